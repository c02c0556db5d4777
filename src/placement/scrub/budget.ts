/** How much of a location may be read for scrubbing: so many bytes a month, which come by and by. */
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'

const MONTH_MS = 30 * 24 * 3_600_000
/** After a pause of months, no more is read at once than after this. */
const LONGEST_PAUSE_MS = 24 * 3_600_000

/**
 * Takes the bytes out of the budget before they are read, so that a crash spends too little and never too
 * much. False, and nothing is taken, where so much has not come yet. A clock that was set back gives nothing.
 */
export async function takeFromBudget(
  { db }: Pick<Placement, 'db'>,
  locationId: string,
  bytes: number,
  monthlyBytes: number,
): Promise<boolean> {
  const passedMs = sql<number>`extract(epoch from now() - scrub_budget.at) * 1000`
  // By itself, since what has come is kept also where it is not enough yet.
  await sql`
    insert into scrub_budget (location_id) values (${locationId})
    on conflict (location_id) do update set
      allowed_bytes = least(${monthlyBytes}::float8, scrub_budget.allowed_bytes
        + greatest(0, least(${LONGEST_PAUSE_MS}::float8, ${passedMs})) / ${MONTH_MS}::float8 * ${monthlyBytes}::float8),
      at = now()`.execute(db)
  const { rows } = await sql`
    update scrub_budget set allowed_bytes = allowed_bytes - ${bytes}
    where location_id = ${locationId} and allowed_bytes >= ${bytes} returning location_id`.execute(db)
  return rows.length > 0
}
