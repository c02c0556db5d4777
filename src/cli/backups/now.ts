import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { count } from '../../library/words.ts'
import { ownBackups } from '../../placement/backups/backup-rows.ts'
import type { Placement } from '../../placement/placement.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { lastErrorOf } from '../../queue/find-jobs.ts'
import { livesAnyWorker } from '../../queue/worker/heartbeat.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes } from '../text.ts'

const LOOK_INTERVAL_MS = 250

/**
 * Has a backup made, and waits until it is verified where backups belong. The running server does it, or,
 * where none runs, this process. Ending the command does not end it.
 */
export async function backUpNow(context: CliContext): Promise<ExitCode> {
  return context.withWorker(async (placement, work) => {
    const { db, policy } = placement
    const homes = policy['database-backup']
    let before = (await ownBackups(db))[0]?.number ?? 0
    let askedAt = await timeOf(db)
    await enqueue(db, 'back-up-database', {})
    const interrupted = context.untilInterrupted()
    let isOurs = false
    for (;;) {
      const [newest] = await ownBackups(db)
      if (newest !== undefined && newest.number > before && newest.takenAt.getTime() < askedAt) {
        // It was under way already, and may lack what came just before this command.
        before = newest.number
        // Or else the clock was put back, and every other one would be too old as well.
        askedAt = Math.min(askedAt, await timeOf(db))
        await enqueue(db, 'back-up-database', {}, { onlyIfNone: true })
      }
      const isThere = newest !== undefined && newest.number > before
      const missing = homes.filter((home) => !newest?.at.some(({ locationId }) => locationId === home))
      if (isThere && missing.length === 0) {
        context.progress('')
        context.print(
          `A backup with ${count(newest.rows)} rows (${bytes(newest.size)}) was made and is verified at ${homes.join(' and ')}.`,
        )
        return EXIT.done
      }
      if (!isOurs && !(await livesAnyWorker(db))) {
        await work(['back-up-database', 'replicate-object'])
        isOurs = true
      }
      if (interrupted.aborted) {
        context.progress('')
        context.print(
          `The backup is not finished: it continues ${isOurs ? 'when the server starts' : 'in the server'}.`,
        )
        return EXIT.attention
      }
      const what = isThere ? `copying it to ${missing.join(' and ')}` : 'reading the database'
      context.progress(
        `backup: ${what}${await whatHinders(placement, isThere ? newest.objectId : null, missing)}`,
      )
      await sleep(LOOK_INTERVAL_MS, undefined, { signal: interrupted }).catch((error: Error) => {
        if (!interrupted.aborted) throw error
      })
    }
  })
}

/** Of the clock by which a backup is dated, in whole milliseconds as there. */
async function timeOf(db: Database): Promise<number> {
  const { rows } = await sql<{ now: Date }>`select date_trunc('milliseconds', now()) as now`.execute(db)
  return rows[0]!.now.getTime()
}

/** A try that failed is repeated by itself. */
async function whatHinders(
  { db }: Pick<Placement, 'db'>,
  objectId: string | null,
  missing: readonly string[],
): Promise<string> {
  const error =
    objectId === null
      ? await lastErrorOf(db, 'back-up-database', {})
      : await lastErrorOf(db, 'replicate-object', { objectId, to: missing[0] ?? '' })
  return error === null ? '' : `; tried again: ${error}`
}
