import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { enqueue, enqueueMany } from '../../queue/enqueue.ts'

type ToProcess = { id: string; ownerId: string }

/**
 * Enqueues the processing of an asset. The more of the owner's assets wait already (10, 100, 1,000), the
 * later: five photos need not wait for somebody's import of fifty thousand.
 */
export async function enqueueProcessing(tx: Queryable, { id, ownerId }: ToProcess): Promise<void> {
  const rank = sql<number>`(
    select width_bucket(count(*)::int, array[10, 100, 1000])
    from (select from asset where owner_id = ${ownerId}::uuid and processing = 'pending' limit 1000) as waiting)`
  await enqueue(tx, 'process-asset', { assetId: id }, { owner: ownerId, rank })
}

/** The same for many, who asked for it together: without a rank. */
export async function enqueueProcessingOfMany(tx: Queryable, assets: readonly ToProcess[]): Promise<void> {
  const jobs = assets.map(({ id, ownerId }) => ({ payload: { assetId: id }, owner: ownerId }))
  await enqueueMany(tx, 'process-asset', jobs)
}
