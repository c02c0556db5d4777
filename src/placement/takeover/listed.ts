/** What a listing alone says of a key: of which objects it may be, and whether it fits its replica. */
import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { partsOfKey } from '../keys.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { loadObject } from '../ledger/replicas.ts'
import type { LedgerReplica, ListedKey } from '../listing/list-location.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'

/** `here`: its replica at the location, which names another key; null: it has none there. */
export type Candidate = { object: StoredObject; here: Replica | null }
export type NamedElsewhere = Candidate & { here: Replica }

/** Objects that the key may be of, by the ids in it and by its size. */
export async function candidatesFor(
  placement: Pick<Placement, 'db'>,
  location: Location,
  listed: ListedKey,
): Promise<Candidate[]> {
  const parts = partsOfKey(listed.key)
  if (parts === null) return []
  const { rows } = await sql<{ id: string }>`
    select id from stored_object o
    where owner_id = ${parts.ownerId} and asset_id is not distinct from ${parts.assetId}::uuid
      and kind = ${parts.kind as ObjectKind} and size = ${listed.size} and state = 'live'
    order by created_at limit 20`.execute(placement.db)
  const loaded = await Promise.all(rows.map(({ id }) => loadObject(placement.db, id)))
  return loaded.flatMap((one) => {
    if (!one) return []
    const here = one.replicas.find(({ locationId }) => locationId === location.id) ?? null
    return [{ object: one.object, here }]
  })
}

/**
 * The ledger counts on a replica under another key: bytes under this one are one too many, unless that one is
 * gone.
 */
export function isNamedElsewhere(candidate: Candidate): candidate is NamedElsewhere {
  const { here } = candidate
  return here?.state === 'verified' || here?.state === 'evicting'
}

/**
 * By what the listing says alone. Without an ETag to compare, the size must do, as for every daily listing.
 */
export function looksRight(listed: ListedKey, { size, proof }: LedgerReplica): boolean {
  if (listed.size !== size) return false
  return listed.etag === null || proof?.etag === undefined || listed.etag === proof.etag
}
