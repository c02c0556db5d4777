/** What a rehearsal tries: a hundredth of the objects, at most 50, by chance. */
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'
import type { Campaign } from './campaign-rows.ts'

export const MOST_SAMPLES = 50

/** How many of so many objects are tried. */
export function samplesOf(count: number): number {
  return Math.min(MOST_SAMPLES, Math.ceil(count / 100))
}

/** What failed in an earlier rehearsal is tried again first. */
export async function chooseSamples({ db }: Placement, { id }: Campaign): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await sql`
      update campaign_object set state = 'pending', cause = null, error = null, attempts = 0
      where campaign_id = ${id}::uuid and state = 'failed'`.execute(tx)
    const { rows } = await sql<{ count: number }>`
      select count(*)::float8 as count from campaign_object
      where campaign_id = ${id}::uuid and state = 'pending'`.execute(tx)
    await sql`
      with chosen as materialized (
        select object_id from campaign_object where campaign_id = ${id}::uuid and state = 'pending'
        order by is_sample and rehearsed_at is null desc, random() limit ${samplesOf(rows[0]!.count)})
      update campaign_object c set is_sample = true, rehearsed_at = null
      from chosen where c.campaign_id = ${id}::uuid and c.object_id = chosen.object_id`.execute(tx)
    await sql`update campaign set is_sampled = true where id = ${id}::uuid`.execute(tx)
  })
}
