import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'

/**
 * Takes assets that are about to be purged out of their stacks. One of fewer than two is none any more; where
 * the asset goes that stood for its stack, the earliest of the others stands for it. To be called while the
 * assets are locked, before their rows go.
 */
export async function leaveStacks(tx: Tx, goneIds: readonly string[]): Promise<void> {
  const gone = uuidArray(goneIds)
  // Locked in the order of ids: who changes a stack waits, and two purges don't wait for each other.
  const { rows } = await sql<{ id: string }>`
    select id from stack where id in (select stack_id from asset where id = any(${gone}::uuid[]))
    order by id for update`.execute(tx)
  if (rows.length === 0) return
  const stacks = uuidArray(rows.map(({ id }) => id))
  await sql`
    delete from stack where id = any(${stacks}::uuid[]) and 2 > (
      select count(*) from asset where asset.stack_id = stack.id and asset.id <> all(${gone}::uuid[]))`.execute(
    tx,
  )
  await sql`
    update stack set updated_at = now(), primary_asset_id = (
      select id from asset where asset.stack_id = stack.id and asset.id <> all(${gone}::uuid[])
      order by asset.deleted_at is not null, asset.file_created_at, asset.id limit 1)
    where id = any(${stacks}::uuid[]) and primary_asset_id = any(${gone}::uuid[])`.execute(tx)
}
