/** Objects of an owner who is being removed. What refers to an object is the library's to say. */
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { markForPurge } from '../lifecycle/purge.ts'

/**
 * Marks what the owner has left and nothing refers to: files of uploads that may have been acknowledged, say,
 * which are kept for as long as there is somebody whom they were acknowledged to. Returns how many, at most
 * `limit`.
 */
export async function purgeUnreferencedOf(
  tx: Tx,
  ownerId: string,
  {
    isReferredTo,
    limit,
  }: { isReferredTo: (objectId: RawBuilder<string>) => RawBuilder<boolean>; limit: number },
): Promise<number> {
  const isLeft = sql<boolean>`state = 'live' and kind <> 'database-backup' and not ${isReferredTo(sql.ref('object.id'))}`
  const { rows: found } = await sql<{ id: string }>`
    select id from stored_object object where owner_id = ${ownerId} and ${isLeft} limit ${limit}`.execute(tx)
  const ids = uuidArray(found.map(({ id }) => id))
  // What refers to an object locks it, too, and may have been committed since it was found.
  await sql`select from stored_object where id = any(${ids}::uuid[]) order by id for update`.execute(tx)
  const { rows: left } = await sql<{ id: string }>`
    select id from stored_object object where id = any(${ids}::uuid[]) and ${isLeft}`.execute(tx)
  await markForPurge(
    tx,
    left.map(({ id }) => id),
    'user',
  )
  return left.length
}

/**
 * Duplicates that wait until another copy of their bytes is confirmed wait no longer: their owner is removed
 * with all of it.
 */
export async function decideDuplicatesOfOwner(tx: Tx, ownerId: string): Promise<void> {
  const decided = await tx
    .updateTable('stored_object')
    .set({ purge_reason: 'user' })
    .where('owner_id', '=', ownerId)
    .where('state', '=', 'purging')
    .where('purge_reason', '=', 'duplicate')
    .returning('id')
    .execute()
  for (const { id } of decided) await enqueue(tx, 'purge-object', { objectId: id })
}
