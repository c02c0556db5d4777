import type { Log } from '../../log.ts'
import { MediaError } from '../media-error.ts'
import { holdsTooMuch } from '../process-limits.ts'
import type { TaskName, Tasks } from '../tasks.ts'
import { type DecodeNeed, limitsFor } from './decode-need.ts'
import { memoryForOne, openDecodeQueue } from './decode-queue.ts'
import { type MediaWorker, startMediaWorker, type TaskOptions } from './media-worker.ts'

export type RunOptions = TaskOptions & {
  /** Whose file it is: owners take turns. */
  owner: string
  need: DecodeNeed
}

/**
 * Media processes that start when asked, take one task each at a time, and end when there is nothing to do.
 */
export type ProcessPool = {
  run<N extends TaskName>(name: N, input: Tasks[N]['in'], options: RunOptions): Promise<Tasks[N]['out']>
  processIds(): number[]
  close(): Promise<void>
}

export type PoolOptions = {
  /**
   * At most so many at a time; up to twice as many where others wait behind slow ones (see decode-queue.ts).
   */
  limit: number
  /** For all of them together. */
  memoryBytes: number
  idleMs: number
  /** A task that runs for longer no longer holds up other owners. */
  slowAfterMs: number
  log: Log
}

type Idle = { worker: MediaWorker; timer: NodeJS.Timeout }

/** An idle process ends after `idleMs`. */
export function openProcessPool({ limit, memoryBytes, idleMs, slowAfterMs, log }: PoolOptions): ProcessPool {
  const workers = new Set<MediaWorker>()
  const queue = openDecodeQueue({ limit, memoryBytes, slowAfterMs })
  const mostBytes = memoryForOne(memoryBytes)
  let idle: Idle[] = []
  let isClosed = false

  /** An idle process with the same limits, or a new one in the place of one with others. */
  function takeWorker(need: DecodeNeed): MediaWorker {
    const limits = limitsFor(need, mostBytes)
    const fits = idle.find(
      ({ worker }) =>
        worker.limits.memoryBytes === limits.memoryBytes && worker.limits.cpuSeconds === limits.cpuSeconds,
    )
    if (fits !== undefined) {
      takeFromIdle(fits)
      fits.worker.hold()
      return fits.worker
    }
    const oldest = idle[0]
    if (workers.size >= limit && oldest !== undefined) stop(oldest.worker)
    const worker = startMediaWorker(limits)
    workers.add(worker)
    void worker.ended.then(() => forget(worker))
    return worker
  }

  function takeFromIdle(one: Idle): void {
    clearTimeout(one.timer)
    idle = idle.filter((other) => other !== one)
  }

  function forget(worker: MediaWorker): void {
    workers.delete(worker)
    const resting = idle.find((one) => one.worker === worker)
    if (resting !== undefined) takeFromIdle(resting)
  }

  function stop(worker: MediaWorker): void {
    forget(worker)
    worker.kill()
  }

  function rest(worker: MediaWorker): void {
    const { pid, limits } = worker
    const isUsedUp =
      worker.cpuSeconds > limits.cpuSeconds / 2 || (pid !== undefined && holdsTooMuch(pid, limits))
    if (worker.isEnding || isUsedUp) {
      stop(worker)
      return
    }
    const timer = setTimeout(() => stop(worker), idleMs)
    timer.unref()
    idle.push({ worker, timer })
    worker.unhold()
  }

  return {
    async run(name, input, { owner, need, ...options }) {
      const leave = await queue.enter({ owner, memoryBytes: need.memoryBytes }, options.signal)
      if (isClosed) throw closedError()
      const worker = takeWorker(need)
      try {
        return await worker.perform(name, input, options)
      } catch (error) {
        if (isClosed) throw closedError()
        throw explained(error, worker, { name, need, mostBytes, log })
      } finally {
        rest(worker)
        leave()
      }
    },
    processIds: () => [...workers].flatMap((worker) => worker.pid ?? []),
    async close() {
      isClosed = true
      queue.close(closedError())
      for (const { timer } of idle) clearTimeout(timer)
      await Promise.all(
        [...workers].map((worker) => {
          worker.hold()
          worker.kill()
          return worker.ended
        }),
      )
    },
  }
}

/**
 * A decoder that gets no memory ends as it likes: some say so in words of their own, some crash. So a file
 * whose estimate passes what one file may take is told that.
 */
function explained(
  error: unknown,
  worker: MediaWorker,
  { name, need, mostBytes, log }: { name: TaskName; need: DecodeNeed; mostBytes: number; log: Log },
): unknown {
  if (!(error instanceof MediaError)) return error
  if (error.fault !== 'file')
    log.warn({ task: name, reason: error.reason, stderr: worker.stderr }, 'a media process failed')
  if (need.memoryBytes <= mostBytes || error.fault === 'interrupted') return error
  const [wanted, most] = [need.memoryBytes, mostBytes].map((bytes) => (bytes / 2 ** 30).toFixed(1))
  return new MediaError(
    `The picture is so large that decoding it may take ${wanted} GiB of memory, and one file may take ${most} GiB here ` +
      `(media.memory in the configuration): ${error.reason}`,
    { cause: error, fault: 'exhausted' },
  )
}

function closedError(): MediaError {
  return new MediaError('The server is stopping; the file will be processed later.', { fault: 'interrupted' })
}
