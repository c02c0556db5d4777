/** Which batches of the catalogue are where they belong. */
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'

export type BatchStatus = {
  /** Of the newest batch that is verified wherever the catalogue belongs; null: there is none. */
  newestAt: Date | null
  /** Of the oldest batch that came after that one; null: there is none. */
  waitingSince: Date | null
  /** Of all that are kept. */
  count: number
}

export async function batchStatus({ db, policy }: Pick<Placement, 'db' | 'policy'>): Promise<BatchStatus> {
  const homes = policy.catalogue
  const { rows } = await sql<BatchStatus>`
    with batch as (
      select b.number, b.made_at, (
        select count(*) from replica r where r.object_id = b.object_id and r.state = 'verified'
          and not coalesce(r.proof ? 'doubt', false) and r.location_id = any(${homes}::text[])
      ) = ${homes.length} as is_safe
      from catalogue_batch b join stored_object o on o.id = b.object_id where o.state = 'live'
    )
    select
      (select made_at from batch where is_safe order by number desc limit 1) as "newestAt",
      (select min(made_at) from batch where number > coalesce((select max(number) from batch where is_safe), 0))
        as "waitingSince",
      (select count(*)::float8 from batch) as count`.execute(db)
  return rows[0]!
}
