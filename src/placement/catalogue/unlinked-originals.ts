/**
 * Originals that nothing in the library refers to, with a copy that was found right: uploads that a backup of
 * the database caught in flight, and whose bytes a takeover has found. A catalogue, or their keys alone, may
 * say whose they are.
 */
import { sql } from 'kysely'
import { partsOfKey } from '../keys.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'

/** `copies`: its verified replicas. `beganAt`: when its upload did. */
export type UnlinkedOriginal = { object: StoredObject; copies: Replica[]; beganAt: Date }

/** Without those whose upload goes on, or is awaited. In the order of their ids, behind `after`. */
export async function unlinkedOriginals(
  placement: Pick<Placement, 'db' | 'isAwaited'>,
  { after, limit }: { after: string; limit: number },
): Promise<UnlinkedOriginal[]> {
  const { db } = placement
  const { rows } = await sql<{ id: string; beganAt: Date }>`
    select id, created_at as "beganAt" from stored_object o
    where kind = 'original' and state = 'live' and not is_linked and asset_id is not null and id > ${after}::uuid
      and exists (select from replica r where r.object_id = o.id and r.state = 'verified')
      and not exists (select from replica r where r.object_id = o.id and r.state = 'writing'
        and r.lease_expires_at > now())
      and not ${placement.isAwaited(sql.ref('o.id'))}
    order by id limit ${limit}`.execute(db)
  const found: UnlinkedOriginal[] = []
  for (const { id, beganAt } of rows) {
    const loaded = await loadObject(db, id)
    if (!loaded) continue
    const copies = loaded.replicas.filter(
      ({ state, key }) => state === 'verified' && partsOfKey(key) !== null,
    )
    found.push({ object: loaded.object, copies, beganAt })
  }
  return found
}
