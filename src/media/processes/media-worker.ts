/**
 * One media process: started within its limits, asked for one task at a time, killed with all that it
 * started.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { getCompileCacheDir } from 'node:module'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { MediaError } from '../media-error.ts'
import { endingWithParent, findSetpriv, limitedCommand, type ProcessLimits } from '../process-limits.ts'
import type { TaskMessage, TaskName, TaskReply, Tasks } from '../tasks.ts'

export type TaskOptions = {
  /** Without an answer or a sign of progress for this long, the process is killed. */
  silenceMs: number
  signal?: AbortSignal
  /** 0 to 1. */
  onProgress?: (fraction: number) => void
}

export type MediaWorker = {
  pid: number | undefined
  limits: ProcessLimits
  /** Since the process began, as of its last answer. */
  cpuSeconds: number
  /** Its last words. */
  stderr: string
  /** It was killed, or ended by itself. */
  isEnding: boolean
  perform<N extends TaskName>(name: N, input: Tasks[N]['in'], options: TaskOptions): Promise<Tasks[N]['out']>
  /** Lets this process end while it is idle; `hold` takes that back. */
  unhold(): void
  hold(): void
  /** SIGKILL, for what it started too. */
  kill(): void
  ended: Promise<void>
}

const SCRIPT = new URL('../media-process.ts', import.meta.url)
/** Characters of its last words that go into the log. */
const KEPT_STDERR = 2000

/** `watchesParent`: where the kernel can't end it with this process (process-limits.ts). */
export function startMediaWorker(limits: ProcessLimits, watchesParent = findSetpriv() === null): MediaWorker {
  // It collects the pixels of a file before it takes the next (media-process.ts).
  const node = [process.execPath, '--expose-gc']
  const { file, args } = limitedCommand(watchesParent ? node : endingWithParent(node), limits)
  const compileCache = getCompileCacheDir()
  const parameters = watchesParent ? [`--watch-parent=${process.pid}`] : []
  const child = fork(SCRIPT, parameters, {
    execPath: file,
    execArgv: args,
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // A group of its own, to be killed as a whole. And Ctrl-C in a terminal reaches the server only, which
    // lets tasks end.
    detached: true,
    // Strangers' files are parsed there: it gets no secret to leak.
    // glibc keeps what one of its arenas had for the next file in the same one, and makes up to eight for
    // each core.
    env: {
      MALLOC_ARENA_MAX: '2',
      // In the environment, for it holds from the first module on: without it Node loads what strips types of
      // TypeScript, 50 ms of CPU, and once more for a thread. The folder is named without the part for this
      // version of Node, which the process adds itself.
      ...(compileCache !== undefined && { NODE_COMPILE_CACHE: dirname(compileCache) }),
    },
  })
  let hasEnded = false
  const worker: MediaWorker = {
    pid: child.pid,
    limits,
    cpuSeconds: 0,
    stderr: '',
    isEnding: false,
    perform: (name, input, options) => perform(worker, child, name, input, options),
    unhold() {
      child.unref()
      child.channel?.unref?.()
    },
    hold() {
      child.ref()
      child.channel?.ref?.()
    },
    kill() {
      worker.isEnding = true
      // A pid that is over may be somebody else's.
      if (!hasEnded) killGroup(child)
    },
    ended: new Promise((resolve) => {
      const onEnd = () => {
        worker.isEnding = true
        hasEnded = true
        // One that ended by itself leaves its group behind: Perl, where the kernel does not end it.
        killGroup(child)
        resolve()
      }
      child.once('exit', onEnd)
      child.once('error', () => child.pid === undefined && onEnd())
    }),
  }
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    worker.stderr = (worker.stderr + text).slice(-KEPT_STDERR)
  })
  return worker
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // macOS says EPERM of a group of zombies.
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

function perform<N extends TaskName>(
  worker: MediaWorker,
  child: ChildProcess,
  name: N,
  input: Tasks[N]['in'],
  { silenceMs, signal, onProgress }: TaskOptions,
): Promise<Tasks[N]['out']> {
  return new Promise((resolve, reject) => {
    worker.stderr = ''
    let silence = setTimeout(onSilence, silenceMs)

    const finish = (act: () => void) => {
      clearTimeout(silence)
      signal?.removeEventListener('abort', onAbort)
      child.off('message', onMessage)
      child.off('exit', onExit)
      child.off('error', onError)
      act()
    }
    function onMessage(reply: TaskReply): void {
      if (reply.kind === 'progress') {
        clearTimeout(silence)
        silence = setTimeout(onSilence, silenceMs)
        onProgress?.(reply.fraction)
        return
      }
      worker.cpuSeconds = reply.cpuSeconds
      finish(() =>
        reply.kind === 'done' ? resolve(reply.output as Tasks[N]['out']) : reject(failureOf(reply)),
      )
    }
    function onSilence(): void {
      const seconds = Math.round(silenceMs / 1000)
      finish(() => reject(new MediaError(`Decoding took longer than ${seconds} s.`, { fault: 'exhausted' })))
      worker.kill()
    }
    function onAbort(): void {
      finish(() => reject(abortReason(signal)))
      worker.kill()
    }
    function onExit(code: number | null, killSignal: string | null): void {
      finish(() =>
        reject(new MediaError(howItEnded(worker.limits, code, killSignal), { fault: 'exhausted' })),
      )
    }
    function onError(cause: Error): void {
      finish(() =>
        reject(new MediaError('The decoder could not be started.', { cause, fault: 'interrupted' })),
      )
      worker.kill()
    }
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    child.on('message', onMessage)
    child.on('exit', onExit)
    child.on('error', onError)
    child.send({ name, input } as TaskMessage, (cause) => {
      // A process that died before it was asked: its exit tells more, where it is still to come.
      if (cause !== null && cause !== undefined && (child.exitCode !== null || child.signalCode !== null)) {
        onExit(child.exitCode, child.signalCode)
      } else if (cause !== null && cause !== undefined) onError(cause)
    })
  })
}

function howItEnded(limits: ProcessLimits, code: number | null, killSignal: string | null): string {
  if (killSignal === 'SIGXCPU') return `Decoding took more than ${limits.cpuSeconds / 2} s of computing.`
  return `The decoder stopped in the middle of the file (${killSignal ?? `exit code ${code}`}).`
}

function failureOf(reply: Extract<TaskReply, { kind: 'failed' }>): Error {
  switch (reply.fault) {
    case 'file':
    case 'exhausted':
      return new MediaError(reply.message, { fault: reply.fault })
    case 'setup':
      return new AppError('unavailable', reply.message)
    case 'program':
      // A decoder that gets no memory or thread may say so in any words: that is not yet the file's fault.
      return new MediaError(`The file could not be processed (${reply.message}).`, { fault: 'exhausted' })
  }
}

export function abortReason(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new DOMException('Aborted', 'AbortError')
}
