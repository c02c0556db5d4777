/**
 * What reading files again may cost: bytes a day that are fetched from buckets for it, and bytes a day of
 * archived originals that are restored for it. A day is one of UTC.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'

export type ReadingBudget = {
  /** 0: nothing is read from a bucket. */
  dailyBytes: number
  /** 0: nothing is restored. */
  archivedDailyBytes: number
}

/** A gibibyte costs 0.09 USD at AWS, and is 300 photos. */
export const DEFAULT_READING_BUDGET: ReadingBudget = { dailyBytes: 2 ** 30, archivedDailyBytes: 0 }

const TODAY = sql<string>`(now() at time zone 'UTC')::date`

export type Spent = { bucketBytes: number; archivedBytes: number }

export async function spentToday(db: Queryable): Promise<Spent> {
  const { rows } = await sql<Spent>`
    select bucket_bytes as "bucketBytes", archive_bytes as "archivedBytes" from reading_day where day = ${TODAY}`.execute(
    db,
  )
  return rows[0] ?? { bucketBytes: 0, archivedBytes: 0 }
}

/**
 * Takes the bytes out of today's budget before they are fetched, so that a crash spends too little and never
 * too much. False, and nothing is taken, where so much is not left.
 */
export async function spend(db: Queryable, bytes: number, dailyBytes: number): Promise<boolean> {
  return take(db, 'bucket_bytes', bytes, dailyBytes)
}

/** The same for what is restored. */
export async function spendArchived(
  db: Queryable,
  bytes: number,
  archivedDailyBytes: number,
): Promise<boolean> {
  return take(db, 'archive_bytes', bytes, archivedDailyBytes)
}

async function take(
  db: Queryable,
  column: 'bucket_bytes' | 'archive_bytes',
  bytes: number,
  limit: number,
): Promise<boolean> {
  if (bytes > limit) return false
  const spent = sql.ref(`reading_day.${column}`)
  const { rows } = await sql`
    insert into reading_day (day, ${sql.ref(column)}) values (${TODAY}, ${bytes})
    on conflict (day) do update set ${sql.ref(column)} = ${spent} + ${bytes}
    where ${spent} + ${bytes} <= ${limit} returning day`.execute(db)
  return rows.length > 0
}

/** Days that are long over. */
export async function forgetOldDays(db: Queryable): Promise<void> {
  await sql`delete from reading_day where day < ${TODAY} - 400`.execute(db)
}
