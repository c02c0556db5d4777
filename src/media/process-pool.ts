import { type ChildProcess, fork } from 'node:child_process'
import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { MediaError } from './media-error.ts'
import type { TaskMessage, TaskName, TaskReply, Tasks } from './tasks.ts'

export type RunOptions = {
  /** Without an answer or a sign of progress for this long, the process is killed. */
  silenceMs: number
  signal?: AbortSignal
  /** 0 to 1. */
  onProgress?: (fraction: number) => void
}

/** Media processes that start when asked, take one task each at a time, and end when there is nothing to do. */
export type ProcessPool = {
  run<N extends TaskName>(name: N, input: Tasks[N]['in'], options: RunOptions): Promise<Tasks[N]['out']>
  processIds(): number[]
  close(): Promise<void>
}

type Worker = { child: ChildProcess; stderr: string; idleTimer: NodeJS.Timeout | null }
type Waiting = { start: (worker: Worker) => void; fail: (error: Error) => void }

const SCRIPT = new URL('./media-process.ts', import.meta.url)
/** Characters of its last words that go into the log. */
const KEPT_STDERR = 2000

/** At most `limit` processes; an idle one ends after `idleMs`. */
export function openProcessPool(options: { limit: number; idleMs: number; log: Log }): ProcessPool {
  const { limit, idleMs, log } = options
  const workers = new Set<Worker>()
  const idle: Worker[] = []
  const queue: Waiting[] = []
  let isClosed = false

  function startWorker(): Worker {
    const child = fork(SCRIPT, {
      execPath: process.execPath,
      execArgv: [],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      // Strangers' files are parsed there: it gets no secret to leak.
      env: {},
    })
    const worker: Worker = { child, stderr: '', idleTimer: null }
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      worker.stderr = (worker.stderr + text).slice(-KEPT_STDERR)
    })
    child.once('exit', () => forget(worker))
    child.on('error', () => forget(worker))
    workers.add(worker)
    return worker
  }

  function forget(worker: Worker): void {
    if (!workers.delete(worker)) return
    if (worker.idleTimer !== null) clearTimeout(worker.idleTimer)
    const at = idle.indexOf(worker)
    if (at >= 0) idle.splice(at, 1)
    serveQueue()
  }

  function serveQueue(): void {
    while (queue.length > 0 && !isClosed) {
      const worker = idle.pop() ?? (workers.size < limit ? startWorker() : null)
      if (worker === null) return
      if (worker.idleTimer !== null) clearTimeout(worker.idleTimer)
      worker.idleTimer = null
      worker.child.ref()
      queue.shift()?.start(worker)
    }
  }

  function release(worker: Worker): void {
    if (!workers.has(worker)) return
    idle.push(worker)
    worker.idleTimer = setTimeout(() => stop(worker), idleMs)
    worker.idleTimer.unref()
    worker.child.unref()
    worker.child.channel?.unref?.()
    serveQueue()
  }

  function stop(worker: Worker): void {
    forget(worker)
    worker.child.kill('SIGKILL')
  }

  function acquire(signal: AbortSignal | undefined): Promise<Worker> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        start(worker) {
          signal?.removeEventListener('abort', leave)
          resolve(worker)
        },
        fail: reject,
      }
      const leave = () => {
        const at = queue.indexOf(waiting)
        if (at >= 0) queue.splice(at, 1)
        reject(abortError(signal))
      }
      if (isClosed) return reject(closedError())
      if (signal?.aborted) return reject(abortError(signal))
      signal?.addEventListener('abort', leave, { once: true })
      queue.push(waiting)
      serveQueue()
    })
  }

  function perform<N extends TaskName>(
    worker: Worker,
    name: N,
    input: Tasks[N]['in'],
    { silenceMs, signal, onProgress }: RunOptions,
  ): Promise<Tasks[N]['out']> {
    return new Promise((resolve, reject) => {
      worker.stderr = ''
      const { child } = worker
      let silence = setTimeout(onSilence, silenceMs)

      const settle = (act: () => void) => {
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
        } else if (reply.kind === 'done') {
          settle(() => resolve(reply.output as Tasks[N]['out']))
          release(worker)
        } else {
          const error = failureOf(reply)
          settle(() => reject(error))
          release(worker)
        }
      }
      function onSilence(): void {
        const seconds = Math.round(silenceMs / 1000)
        settle(() => reject(new MediaError(`Decoding took longer than ${seconds} s.`, { transient: true })))
        stop(worker)
      }
      function onAbort(): void {
        settle(() => reject(abortError(signal)))
        stop(worker)
      }
      function onExit(code: number | null, killSignal: string | null): void {
        const how = killSignal ?? `exit code ${code}`
        log.warn({ task: name, how, stderr: worker.stderr }, 'a media process ended in the middle of a task')
        const error = isClosed
          ? closedError()
          : new MediaError(`The decoder stopped in the middle of the file (${how}).`, { transient: true })
        settle(() => reject(error))
      }
      function onError(cause: Error): void {
        settle(() => reject(new MediaError('The decoder could not be started.', { cause, transient: true })))
        stop(worker)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      child.on('message', onMessage)
      child.on('exit', onExit)
      child.on('error', onError)
      child.send({ name, input } as TaskMessage, (cause) => {
        if (cause !== null && cause !== undefined) onError(cause)
      })
    })
  }

  return {
    async run(name, input, runOptions) {
      return perform(await acquire(runOptions.signal), name, input, runOptions)
    },
    processIds: () => [...workers].flatMap((worker) => worker.child.pid ?? []),
    async close() {
      isClosed = true
      for (const waiting of queue.splice(0)) waiting.fail(closedError())
      const ended = [...workers].map(
        ({ child }) =>
          new Promise<void>((resolve) => {
            if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined)
              return resolve()
            child.ref()
            child.once('exit', () => resolve())
            child.kill('SIGKILL')
          }),
      )
      await Promise.all(ended)
    },
  }
}

function failureOf(reply: Extract<TaskReply, { kind: 'failed' }>): Error {
  switch (reply.fault) {
    case 'file':
      return new MediaError(reply.message, { transient: reply.transient })
    case 'setup':
      return new AppError('unavailable', reply.message)
    case 'program':
      return new MediaError(`The file could not be processed (${reply.message}).`)
  }
}

function closedError(): MediaError {
  return new MediaError('The server is stopping; the file will be processed later.', { transient: true })
}

function abortError(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new DOMException('Aborted', 'AbortError')
}
