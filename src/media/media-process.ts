/**
 * The program of a media process (see process-pool.ts): one task at a time, asked and answered over IPC.
 * Decoders load when first needed: sharp and ExifTool's library 25 MB each, libheif and FFmpeg 80 MB.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { constants, setPriority } from 'node:os'
import { Worker } from 'node:worker_threads'
import { isAppError } from '../errors.ts'
import { MediaError } from './media-error.ts'
import { plainWords } from './plain-words.ts'
import type { TaskMessage, TaskName, TaskReply, Tasks } from './tasks.ts'

/** Raising the own one needs no right (proc_pid_oom_score_adj(5)). */
const OOM_SCORE = '/proc/self/oom_score_adj'

// Requests to the API come first when both want the CPU.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
// A machine without memory is to end this process, not the server or its database.
if (existsSync(OOM_SCORE)) writeFileSync(OOM_SCORE, '800')
const WATCH_PARENT = '--watch-parent='
const parent = process.argv.find((arg) => arg.startsWith(WATCH_PARENT))?.slice(WATCH_PARENT.length)
if (parent !== undefined) {
  new Worker(new URL('./processes/parent-watch.ts', import.meta.url), { workerData: Number(parent) }).unref()
}
// Not `process.exit`: that ends the thread that watches the parent, and then waits for a decoder that is
// stuck in native code. The whole group, of which this process is the first: ExifTool's Perl is in it.
process.on('disconnect', () => process.kill(-process.pid, 'SIGKILL'))
process.on('message', (message: TaskMessage) => {
  void perform(message)
    .then(
      (output) => () => reply({ kind: 'done', output, cpuSeconds: cpuSeconds() }),
      (error: unknown) => () => reply(failure(error, message)),
    )
    .then((answer) => {
      collectPixels()
      answer()
      keepCompiled(message.name)
    })
})

const done = new Set<TaskName>()

/** What the first task of a name has loaded. Node would do so at its exit, and this process is killed. */
function keepCompiled(name: TaskName): void {
  if (!done.has(name)) flushCompileCache()
  done.add(name)
}

/** Of pixels and files that tasks have left. */
const MOST_GARBAGE_BYTES = 64 * 2 ** 20

/**
 * Pixels are memory outside of V8's heap, which hardly grows with them, so that they would lie there until
 * the process holds too much for another file and is replaced: after every third photo of 12 megapixels,
 * which made each cost 213 instead of 157 ms of CPU.
 */
function collectPixels(): void {
  if (process.memoryUsage().external > MOST_GARBAGE_BYTES) globalThis.gc?.()
}

function reply(message: TaskReply): void {
  process.send?.(message)
}

/** Of this process, all its threads. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** What is said of a file is read by its owner, so that no path of this machine may be in it. */
function failure(error: unknown, { input }: TaskMessage): TaskReply {
  const paths = Object.values(input).filter(
    (value): value is string => typeof value === 'string' && value.startsWith('/'),
  )
  const failed = { kind: 'failed', cpuSeconds: cpuSeconds() } as const
  if (error instanceof MediaError && error.fault !== 'interrupted') {
    return { ...failed, fault: error.fault, message: plainWords(error.reason, paths) }
  }
  const message = error instanceof Error ? error.message : String(error)
  // Of the machine, to its administrator: where Perl was looked for.
  if (isAppError(error, 'unavailable')) return { ...failed, fault: 'setup', message }
  return { ...failed, fault: 'program', message: plainWords(message, paths) }
}

async function perform({ name, input }: TaskMessage): Promise<Tasks[TaskName]['out']> {
  switch (name) {
    case 'describe':
      return (await import('./metadata/describe.ts')).describeFile(input)
    case 'image':
      return (await import('./pictures/image.ts')).makeImagesFromFile(input)
    case 'heic':
      return (await import('./pictures/heic.ts')).makeImagesFromHeic(input)
    case 'raw':
      return (await import('./pictures/raw.ts')).makeImagesFromRaw(input)
    case 'develop':
      return (await import('./pictures/develop.ts')).makeImagesByDeveloping(input)
    case 'frame':
      return (await import('./video/frame.ts')).makeImagesFromFrame(input)
    case 'inspect':
      return (await import('./video/inspect.ts')).inspectVideo(input)
    case 'encode':
      return (await import('./video/encode.ts')).encodeVideo(input, (fraction) =>
        reply({ kind: 'progress', fraction }),
      )
  }
}
