/**
 * Clocks jump: a battery is empty, a virtual machine was paused, an NTP server is wrong. All times in the
 * ledger are PostgreSQL's, and every running process notes every minute what its clock shows. From that, two
 * things are seen:
 *
 * - The clock went back. What was written while it was ahead lies in the future: leases that would hold for
 * days, jobs that
 * would wait for days. Those times are brought back.
 * - Time passed that nobody saw: the clock jumped ahead, or nothing ran. Both look the same, so neither
 * counts for what is
 * removed after a time: see `lived_since` (0026-unseen-time.sql). Nor does it before it is noted here, for
 * what a jump makes due runs before the next look.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Log } from '../log.ts'
import type { Database, Queryable, Tx } from './connect.ts'

/**
 * What is seen less often than this is a gap, as in `lived_since`. Observed every minute, so that a busy
 * machine makes none.
 */
const GAP_SECONDS = 3_600
/** NTP steps back by less now and then. */
const STEP_BACK_SECONDS = 60
/** Longer than any time after which something is removed; counted as that time is. */
const GAPS_KEPT_DAYS = 400
/** Each asks for all gaps. There are no more than the looks that found one. */
const GAPS_FORGOTTEN_AT_ONCE = 10

/**
 * For times from which on something is counted until it is removed: `now()`, but not before what has been
 * seen. A clock that falls behind is noticed within a minute; what was put into the trash in that minute
 * would count as old when the clock is right again. A clock that was ahead does no harm: what it has written
 * is brought back.
 */
export const NOW_AS_SEEN = sql<Date>`greatest(now(), (select seen_at from clock_seen))`

/** Brings times back that a clock that was ahead has written; joins the transaction. */
export type ClockRepair = (tx: Tx) => Promise<void>

/**
 * Notes what PostgreSQL's clock shows, and repairs when it went back since the last look, in the same
 * transaction. Of several processes one at a time; any number may call it at any time.
 */
export async function observeClock(
  db: Database,
  log: Log,
  repairs: readonly ClockRepair[],
): Promise<'steady' | 'gap' | 'went-back'> {
  return db.transaction().execute(async (tx) => {
    await sql`insert into clock_seen (seen_at) values (now()) on conflict do nothing`.execute(tx)
    // The clock of this statement: who waited for the row is not to take that for a step back.
    const { rows } = await sql<{ seenAt: Date; now: Date; passed: number }>`
      select seen_at as "seenAt", clock_timestamp() as now,
        extract(epoch from clock_timestamp() - seen_at)::float8 as passed
      from (select seen_at from clock_seen for update) as seen`.execute(tx)
    const { seenAt, now, passed } = rows[0]!
    await sql`update clock_seen set seen_at = ${now}`.execute(tx)
    if (passed < -STEP_BACK_SECONDS) {
      log.warn({ from: seenAt, to: now }, 'the clock went back; what was to happen later happens now')
      await forgetGapsToCome(tx)
      for (const repair of repairs) await repair(tx)
      return 'went-back'
    }
    if (passed <= GAP_SECONDS) {
      await forgetOldGaps(tx)
      return 'steady'
    }
    await sql`insert into clock_gap (from_at, until_at, noticed_at) values (${seenAt}, ${now}, ${now})
      on conflict (from_at) do update set until_at = greatest(clock_gap.until_at, excluded.until_at)`.execute(
      tx,
    )
    log.info(
      { from: seenAt, to: now },
      'nothing ran for a while, or the clock jumped ahead; that time does not count',
    )
    return 'gap'
  })
}

/**
 * Those that are older than whatever still counts. Their age leaves out what nobody has seen pass, as the age
 * of what they count for does: a clock that is two years ahead for a minute would else have all of them
 * forgotten, and what came into the trash before them would be due.
 */
async function forgetOldGaps(tx: Tx): Promise<void> {
  await sql`delete from clock_gap where from_at in (
      select from_at from clock_gap where until_at < now() - ${GAPS_KEPT_DAYS} * interval '1 day'
      order by from_at limit ${GAPS_FORGOTTEN_AT_ONCE})
    and lived_since(until_at) > ${GAPS_KEPT_DAYS} * interval '1 day'`.execute(tx)
}

/** The jump ahead that made them is taken back. */
async function forgetGapsToCome(tx: Tx): Promise<void> {
  await sql`delete from clock_gap where from_at >= now()`.execute(tx)
  await sql`update clock_gap set until_at = now() where until_at > now()`.execute(tx)
}

/** For how many hours after a gap of a day or more nothing begins that depends on the age of things alone. */
const DOUBT_HOURS = 48

/**
 * True for two days after a gap of a day or more: a clock that is wrong by so much is noticed and corrected
 * in that time.
 */
export async function isClockInDoubt(db: Queryable): Promise<boolean> {
  const { rows } = await sql`
    select from clock_gap where until_at - from_at > interval '1 day'
      and noticed_at > now() - ${DOUBT_HOURS} * interval '1 hour'
    union all select from clock_seen where now() - seen_at > interval '1 day'
    limit 1`.execute(db)
  return rows.length > 0
}

/** Sets `column` to `latest` in the rows of `table` where it lies beyond. */
export function bringBack(table: string, column: string, latest: RawBuilder<unknown>): ClockRepair {
  const at = sql.ref(column)
  return async (tx) => {
    await sql`update ${sql.table(table)} set ${at} = ${latest} where ${at} > ${latest}`.execute(tx)
  }
}
