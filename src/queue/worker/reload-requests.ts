/**
 * A question to all processes of the installation: read your configuration again, and say what came of it.
 * Each has a file of its own, perhaps in another container, so that only itself can answer. Asked and
 * answered by NOTIFY: nothing of it outlives the moment.
 */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { sql } from 'kysely'
import type pg from 'pg'
import type { Database } from '../../database/connect.ts'
import { type Listener, listen } from '../../database/listen.ts'
import type { Log } from '../../log.ts'
import { HEARTBEAT_TIMES } from './heartbeat.ts'
import { isKnownDead, makeWorkerId } from './worker-id.ts'

/** What one process made of its configuration. Ids of locations and dotted keys; never a value. */
export type ReloadOutcome = {
  /** False: it goes on with what it had, for `problem`. */
  isReloaded: boolean
  problem: string | null
  added: string[]
  /** Described otherwise than before. */
  changed: string[]
  removed: string[]
  /** Added and changed locations that can't be used yet. */
  troubles: { location: string; problem: string }[]
  /** Other settings that have changed: these take effect at a start only. */
  needsRestart: string[]
}
/** `outcome` null: it did not answer in time. */
export type ReloadAnswer = { process: string; outcome: ReloadOutcome | null }

const ASK = 'glassine_reload'
const ANSWER = 'glassine_reload_answer'
/** A NOTIFY carries less than 8,000 bytes. */
const MOST_BYTES = 7_500
const MOST_TROUBLES = 10

/** Has `reload` called whenever somebody asks, one after another, and sends the answer. */
export function answerReloads(
  { pool, db, log }: { pool: pg.Pool; db: Database; log: Log },
  workerId: string,
  reload: () => Promise<ReloadOutcome>,
): Promise<Listener> {
  return listen(pool, ASK, log, {
    message(id) {
      reload()
        .then((outcome) => {
          const answer = shortened({ id, workerId, process: nameOf(process.pid), outcome })
          return sql`select pg_notify(${ANSWER}, ${answer})`.execute(db)
        })
        .catch((error: Error) => log.error({ error: error.message }, 'a reload could not be answered'))
    },
  })
}

type Message = { id: string; workerId: string; process: string; outcome: ReloadOutcome }

function shortened(message: Message): string {
  const { outcome } = message
  const troubles = outcome.troubles
    .slice(0, MOST_TROUBLES)
    .map((one) => ({ ...one, problem: one.problem.slice(0, 200) }))
  for (const length of [4_000, 1_500, 300]) {
    const problem = outcome.problem?.slice(0, length) ?? null
    const text = JSON.stringify({ ...message, outcome: { ...outcome, troubles, problem } })
    if (Buffer.byteLength(text) < MOST_BYTES) return text
  }
  const few = { added: [], changed: [], removed: [], troubles: [], needsRestart: [] }
  const problem = outcome.problem?.slice(0, 300) ?? 'too much has changed to be told here: see its log'
  return JSON.stringify({ ...message, outcome: { ...few, isReloaded: outcome.isReloaded, problem } })
}

/**
 * Asks every living process, and waits until all have answered, or `withinMs`. Each process has one worker,
 * by whose heartbeat it is known.
 */
export async function askToReload(
  { pool, db, log }: { pool: pg.Pool; db: Database; log: Log },
  withinMs: number,
): Promise<ReloadAnswer[]> {
  const id = randomUUID()
  const answers = new Map<string, ReloadAnswer>()
  const { promise: allAnswered, resolve } = Promise.withResolvers<void>()
  let expected: ReadonlySet<string> | null = null
  const lookWhetherAll = () => {
    if (expected !== null && [...expected].every((one) => answers.has(one))) resolve()
  }
  const listener = await listen(pool, ANSWER, log, {
    message(payload) {
      const message = JSON.parse(payload) as Message
      if (message.id !== id) return
      answers.set(message.workerId, { process: message.process, outcome: message.outcome })
      lookWhetherAll()
    },
  })
  const late = setTimeout(resolve, withinMs)
  try {
    expected = await livingWorkers(db)
    await sql`select pg_notify(${ASK}, ${id})`.execute(db)
    lookWhetherAll()
    await allAnswered
  } finally {
    clearTimeout(late)
    await listener.close()
  }
  for (const workerId of expected)
    if (!answers.has(workerId))
      answers.set(workerId, { process: `process ${workerId.split('/')[1]}`, outcome: null })
  return [...answers.values()].sort((a, b) => a.process.localeCompare(b.process))
}

async function livingWorkers(db: Database): Promise<Set<string>> {
  const { rows } = await sql<{ workerId: string }>`
    select worker_id as "workerId" from worker_heartbeat
    where beaten_at > now() - ${HEARTBEAT_TIMES.deadAfterMs} * interval '1 millisecond'`.execute(db)
  const here = await makeWorkerId()
  const living = new Set<string>()
  for (const { workerId } of rows) if (!(await isKnownDead(workerId, here))) living.add(workerId)
  return living
}

function nameOf(pid: number): string {
  return `process ${pid} on ${hostname()}`
}
