/** Where else something of an object may lie, by what the ledger itself has written down. */
import type { Queryable } from '../../database/connect.ts'
import { keysToClearOf } from '../ledger/keys-to-clear.ts'
import type { ReplicaName } from '../ledger/replicas.ts'
import { classChangesOf } from './class-changes.ts'

/** `mayComeForMs`: for so long something may be put there; 0 or less: no more. */
export type UnnamedKey = ReplicaName & { mayComeForMs: number }

/**
 * Keys of an object that no replica names: those of its class changes, and those that are looked after
 * (`key_to_clear`). "There is no replica" says nothing of them.
 * @param named the object's replicas
 */
export async function unnamedKeysOf(
  db: Queryable,
  objectId: string,
  named: readonly Pick<ReplicaName, 'locationId' | 'key'>[],
): Promise<UnnamedKey[]> {
  const changes = await classChangesOf(db, objectId)
  const ofChanges = changes.flatMap(({ locationId, fromKey, toKey, keyToDelete, leftMs }) => [
    { objectId, locationId, key: fromKey, mayComeForMs: 0 },
    // Until it is decided that the old bytes go, the copy may be under way.
    { objectId, locationId, key: toKey, mayComeForMs: keyToDelete === fromKey ? 0 : leftMs },
  ])
  const noted = await keysToClearOf(db, objectId)
  const isNamed = ({ locationId, key }: UnnamedKey) =>
    named.some((one) => one.locationId === locationId && one.key === key)
  return [...ofChanges, ...noted].filter((one) => !isNamed(one))
}
