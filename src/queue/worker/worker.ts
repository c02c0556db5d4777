/**
 * Takes jobs out of graphile-worker's tables and runs them, as many at a time as each *lane* allows.
 *
 * The tables, `add_job` with its keys, and the notifications are graphile-worker's; its runner is not used.
 * Tried with
 * 0.18.0: it does not wait for the statement that ends a job, so PostgreSQL being away at that moment is an
 * unhandled rejection that ends the process; with batching on, the runner stops for good after the first such
 * error instead.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { ClockRepair } from '../../database/clock.ts'
import type { Database } from '../../database/connect.ts'
import { listen } from '../../database/listen.ts'
import { isDatabaseOutage } from '../../database/outage.ts'
import type { Log } from '../../log.ts'
import { describeFailure, failureFacts, UNEXPECTED } from '../failure-facts.ts'
import { forgetOldFailures } from '../failures.ts'
import { JOB_RULES, type JobName, type Jobs } from '../job-types.ts'
import { QUEUES } from '../queue-names.ts'
import { laterInMs } from '../retry-later.ts'
import { enqueueDue, prepareSchedule, RECURRING_JOBS, type RecurringJob } from '../schedule.ts'
import { type BackOff, backOffMs } from './back-off.ts'
import {
  awaitPlace,
  type ClaimedJob,
  claimJobs,
  completeJob,
  failJob,
  postponeJob,
  type Room,
  releaseAllJobs,
  releaseUnknownJobs,
} from './claimed-job.ts'
import { HEARTBEAT_TIMES, type HeartbeatTimes, startHeartbeat } from './heartbeat.ts'
import type { WaitSettings } from './longest-waits.ts'
import { clockWatch } from './watch-clock.ts'
import { makeWorkerId } from './worker-id.ts'

export type JobContext = {
  /**
   * Aborted when the worker stops and its patience is over; a handler that then throws is run again
   * elsewhere.
   */
  signal: AbortSignal
  /** 1 is the first. */
  attempt: number
}
export type JobHandlers = { [Name in JobName]: (payload: Jobs[Name], context: JobContext) => Promise<void> }

export type WorkerOptions = {
  pool: pg.Pool
  db: Database
  handlers: JobHandlers
  /** How many jobs at a time: of media, of video conversion, of moving bytes. */
  concurrency: { processing: number; video: number; storage: number }
  backOff: BackOff
  log: Log
  /** What else is put off, beside back-offs; absent: nothing. */
  waits?: WaitSettings
  /** What others wrote while the clock was ahead, when it went back. */
  clockRepairs?: readonly ClockRepair[]
  /**
   * Jobs of these names alone, and nothing that recurs: a command that does one kind of work. Absent: all.
   */
  only?: readonly JobName[]
  /** For tests. */
  lookAtClockMs?: number
  heartbeat?: HeartbeatTimes
  pollMs?: number
  slowAfterMs?: number
  recurring?: readonly RecurringJob[]
}

export type Worker = {
  id: string
  /**
   * Takes no more jobs and waits for the running ones, at most `graceMs`; then aborts their signal, waits a
   * second, and gives back what still runs.
   */
  stop(graceMs: number): Promise<void>
}

/** Finds jobs whose time has come; new ones are notified. */
const POLL_MS = 2_000
/**
 * After a look at all lanes, notifications within this time are answered by one look at its end. With 20 ms
 * the looks were a fifth of the CPU of direct uploads; lanes that work claim at the end of their jobs anyway.
 */
const NOTICE_MS = 100
/** For this long the end of a job waits for others before the next is claimed. */
const GATHER_MS = 5
const ABORT_GRACE_MS = 1_000
/** A photo takes a second or two, an encoding minutes. */
const SLOW_AFTER_MS = 10_000
const SLOWER_VIDEO = 12
/** Attempts that find their place silent without being worth a line in the log. */
const QUIET_TRIES = 3
/** Between tries to write down how a job ended while the database is away. */
const SETTLE_RETRY_MS = 500

type Running = { ended: Promise<void>; owner: string | null; beganAt: number }

type Lane = {
  names: JobName[]
  limit: number
  /** A job that has run for so long no longer holds up those of other owners. */
  slowAfterMs: number
  running: Map<string, Running>
  isFilling: boolean
  again: boolean
  gathering: NodeJS.Timeout | undefined
}

/**
 * Starts a worker. It needs one connection of the pool for itself, and one per claim or end of a job for a
 * moment.
 */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { db, log, handlers } = options
  const heartbeatTimes = options.heartbeat ?? HEARTBEAT_TIMES
  const recurring = options.recurring ?? (options.only ? [] : RECURRING_JOBS)
  const pollMs = options.pollMs ?? POLL_MS
  const slowAfterMs = options.slowAfterMs ?? SLOW_AFTER_MS
  const workerId = await makeWorkerId()
  const abort = new AbortController()
  let isStopping = false
  let isUnreachable = false
  const claims = new Set<Promise<void>>()

  const lanes: Lane[] = [
    lane(['process-asset', 'prove-upload'], options.concurrency.processing, slowAfterMs),
    lane(['transcode-video'], options.concurrency.video, slowAfterMs * SLOWER_VIDEO),
    lane(
      ['replicate-object', 'evict-replica', 'purge-object', 'change-class', 'restore-replica'],
      options.concurrency.storage,
    ),
    lane(
      [
        'sweep-placement',
        'sweep-library',
        'sweep-classes',
        'check-restores',
        'sweep-readings',
        'merge-counts',
        'name-places',
        'check-backups',
        'check-alerts',
        'write-catalogue',
        'make-memories',
      ],
      2,
    ),
    // A lane of their own, for what takes long and nobody waits for: a listing or a scrub keeps no sweep
    // waiting, and a film that is fetched to be read again takes no place from a photo.
    lane(['check-listings', 'scrub-locations', 'read-again', 'extend-locks', 'collect-strays'], 2),
    // As many as a campaign has workers at most; uploads that wait for their copies are not behind them.
    lane(['run-campaign'], 4),
    // A lane of its own: what finds out that a bucket is back must not wait behind uploads that hang, nor
    // behind sweeps.
    lane(['check-locations'], 1),
    // Of their own as well: an adoption takes as long as a listing, and somebody waits for it. The media
    // volume and one bucket at a time; and a backup, which reads the whole database; and messages, whose
    // receivers may be slow. (Each lane may want a
    // connection at the same moment.)
    lane(['adopt-location', 'adopt-catalogue', 'back-up-database', 'deliver-notification'], 3),
  ].flatMap(({ names, limit, slowAfterMs }) => {
    const wanted = names.filter((name) => options.only?.includes(name) ?? true)
    return wanted.length > 0 ? [lane(wanted, limit, slowAfterMs)] : []
  })

  /**
   * Claims as many jobs as the lanes have room for, in one statement: a claim costs as much as a small
   * request.
   */
  async function fill(wanted: readonly Lane[]): Promise<void> {
    for (const lane of wanted) if (lane.isFilling) lane.again = true
    let filling = wanted.filter((lane) => !lane.isFilling)
    for (const lane of filling) lane.isFilling = true
    while (filling.length > 0) {
      for (const lane of filling) lane.again = false
      const claim = claimFor(filling)
      claims.add(claim)
      await claim
      claims.delete(claim)
      const again = filling.filter((lane) => lane.again)
      for (const lane of filling) lane.isFilling = lane.again
      filling = again
    }
  }

  async function claimFor(filling: readonly Lane[]): Promise<void> {
    const rooms = filling.map(roomOf).filter(({ jobs }) => jobs > 0)
    if (isStopping || rooms.length === 0) return
    try {
      const jobs = await claimJobs(db, workerId, rooms)
      // Claimed while the worker was told to stop: given back with what is interrupted.
      if (isStopping) return
      for (const job of jobs) start(filling.find(({ names }) => names.includes(job.name))!, job)
      if (isUnreachable) log.info({}, 'the queue can be reached again')
      isUnreachable = false
    } catch (error) {
      if (!isUnreachable)
        log.warn({ error: (error as Error).message }, 'no jobs can be claimed; trying again')
      isUnreachable = true
    }
  }

  /** While others of the lane still run, a few ends are gathered, so that one claim takes several jobs. */
  function fillSoon(lane: Lane): void {
    if (lane.running.size === 0) {
      void fill([lane])
      return
    }
    lane.gathering ??= setTimeout(() => {
      lane.gathering = undefined
      void fill([lane])
    }, GATHER_MS)
  }

  function start(lane: Lane, job: ClaimedJob): void {
    const beganAt = performance.now()
    const ended = runJob(job).finally(() => {
      lane.running.delete(job.id)
      fillSoon(lane)
    })
    lane.running.set(job.id, { ended, owner: job.owner, beganAt })
  }

  async function runJob(job: ClaimedJob): Promise<void> {
    const beganAt = performance.now()
    let end: () => Promise<boolean>
    let againInMs: number | undefined
    try {
      await callHandler(handlers, job, { signal: abort.signal, attempt: job.attempt })
      log.debug({ job: job.name, ms: Math.round(performance.now() - beganAt) }, 'a job is done')
      end = () => completeJob(db, workerId, job)
    } catch (thrown) {
      const error = thrown instanceof Error ? thrown : new Error(String(thrown))
      const laterMs = laterInMs(error)
      if (laterMs !== null) {
        againInMs = laterMs
        end = () => postponeJob(db, workerId, job, laterMs)
      } else if (abort.signal.aborted) {
        end = () => postponeJob(db, workerId, job, 0)
      } else {
        const { code, placeBackAt } = failureFacts(error)
        const told = { error: describeFailure(error), delayMs: backOffMs(job.attempt, options.backOff) }
        againInMs = told.delayMs
        if (placeBackAt !== null) {
          // One line tells of the outage (placement/locations/outage-log.ts), and not one for each file.
          log.debug({ job: job.name, ...job.payload, error: told.error }, 'a job waits for its place')
          end = () => awaitPlace(db, workerId, job, told)
        } else {
          logFailure(job, code, error)
          const { queue } = JOB_RULES[job.name]
          const isFinal = job.attempt >= job.maxAttempts
          end = () => failJob(db, workerId, job, { ...told, queue, code, isFinal })
        }
      }
    }
    await endJob(job, end)
    // Nothing notifies of a time that comes; a short back-off would else last until the next poll.
    if (againInMs !== undefined && againInMs < pollMs) setTimeout(onNotice, againInMs + 1).unref()
  }

  /**
   * A stack only for what nobody foresaw. A place that does not answer is a matter of its own from the moment
   * on when it counts as away; until then the first tries are not worth a line each.
   */
  function logFailure(job: ClaimedJob, code: string, error: Error): void {
    const { queue } = JOB_RULES[job.name]
    const facts = { queue: QUEUES[queue].label, job: job.name, ...job.payload, attempt: job.attempt, code }
    if (code === UNEXPECTED) log.warn({ ...facts, err: error }, 'a job failed')
    else {
      const isHiccup = code === 'unavailable' && job.attempt <= QUIET_TRIES
      log[isHiccup ? 'debug' : 'warn']({ ...facts, error: describeFailure(error) }, 'a job failed')
    }
  }

  /**
   * Writes down how a job ended, for as long as the database is away; else it would run again without need.
   */
  async function endJob(job: ClaimedJob, end: () => Promise<boolean>): Promise<void> {
    for (;;) {
      try {
        if (!(await end()))
          log.warn({ job: job.name, ...job.payload }, 'a job was given to another worker while it ran here')
        return
      } catch (error) {
        if (abort.signal.aborted || !isDatabaseOutage(error)) {
          // It stays locked; releaseUnknownJobs or another worker frees it, and it runs again.
          log.error(
            { job: job.name, ...job.payload, err: error },
            'the end of a job could not be written down',
          )
          return
        }
        await sleep(SETTLE_RETRY_MS)
      }
    }
  }

  const runningIds = () => lanes.flatMap((lane) => [...lane.running.keys()])
  const fillAll = () => {
    for (const lane of lanes) void fill([lane])
  }
  // Every enqueue notifies, and a look costs a claim for each lane: a hundred uploads asked for 700 claims.
  let lookedAt = Number.NEGATIVE_INFINITY
  let look: NodeJS.Timeout | undefined
  const onNotice = () => {
    if (look !== undefined) return
    const lookNow = () => {
      look = undefined
      lookedAt = performance.now()
      fillAll()
    }
    const waitMs = lookedAt + NOTICE_MS - performance.now()
    if (waitMs <= 0) lookNow()
    else look = setTimeout(lookNow, waitMs)
  }

  const watchClock = clockWatch({
    db,
    log,
    waits: options.waits ?? { holdMs: 0, urlMs: 0 },
    repairs: options.clockRepairs ?? [],
    ...(options.lookAtClockMs !== undefined && { everyMs: options.lookAtClockMs }),
  })

  async function keepSchedule(): Promise<void> {
    await watchClock()
    const enqueued = await enqueueDue(db, recurring)
    if (enqueued.includes('sweep-library')) await forgetOldFailures(db)
  }

  const heartbeat = await startHeartbeat(db, workerId, heartbeatTimes, log, async () => {
    const released = await releaseUnknownJobs(db, workerId, runningIds(), heartbeatTimes.deadAfterMs)
    if (released > 0) log.warn({ jobs: released }, 'claimed jobs that were not running are free again')
  })
  await watchClock()
  await prepareSchedule(db, recurring)
  const listener = await listen(options.pool, 'jobs:insert', log, { message: onNotice, connected: fillAll })
  const poll = setInterval(() => {
    keepSchedule().catch((error: Error) => log.debug({ error: error.message }, 'the schedule was not read'))
    fillAll()
  }, pollMs)

  let stopped: Promise<void> | undefined
  async function stop(graceMs: number): Promise<void> {
    isStopping = true
    clearInterval(poll)
    clearTimeout(look)
    await listener.close()
    const allEnded = async () => {
      await Promise.all(claims)
      await Promise.all(lanes.flatMap((lane) => [...lane.running.values()].map(({ ended }) => ended)))
    }
    await Promise.race([allEnded(), sleep(graceMs, undefined, { ref: false })])
    abort.abort(new Error('the worker stops'))
    await Promise.race([allEnded(), sleep(ABORT_GRACE_MS, undefined, { ref: false })])
    try {
      const released = await releaseAllJobs(db, workerId)
      if (released > 0) log.info({ jobs: released }, 'jobs were interrupted; they run again')
      await heartbeat.stop()
    } catch (error) {
      log.warn(
        { error: (error as Error).message },
        'the worker could not say goodbye; its jobs run again when it is missed',
      )
    }
  }
  return {
    id: workerId,
    stop(graceMs) {
      stopped ??= stop(graceMs)
      return stopped
    },
  }
}

function lane(names: JobName[], limit: number, slowAfterMs = Number.POSITIVE_INFINITY): Lane {
  return {
    names,
    limit,
    slowAfterMs,
    running: new Map(),
    isFilling: false,
    again: false,
    gathering: undefined,
  }
}

/**
 * What a lane has room for. One that is full has room for those whose jobs in it are not slow: as much as
 * there are slow ones, up to its limit once more. Only then are owners told apart: passing over an import of
 * 100,000 photos costs a tenth of a second.
 */
function roomOf({ names, limit, slowAfterMs, running }: Lane): Room {
  const free = limit - running.size
  if (free > 0 || slowAfterMs === Number.POSITIVE_INFINITY) return { names, jobs: free, avoid: [] }
  const now = performance.now()
  const slow = [...running.values()].filter(({ beganAt }) => now - beganAt >= slowAfterMs)
  const avoid = [...new Set(slow.flatMap(({ owner }) => owner ?? []))]
  return { names, jobs: Math.min(slow.length, limit) + free, avoid }
}

function callHandler(handlers: JobHandlers, job: ClaimedJob, context: JobContext): Promise<void> {
  // The payload is what `enqueue` wrote under this name; TypeScript cannot see that the two belong together.
  const handler = handlers[job.name] as (payload: unknown, context: JobContext) => Promise<void>
  return handler(job.payload, context)
}
