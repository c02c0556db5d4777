import { sql } from 'kysely'
import { knownKey } from '../keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import { loadObject, lockObject } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'
import { adoptBytes, isNamed } from '../replica-io/adopt-bytes.ts'
import type { Same } from '../replica-io/verify.ts'
import { asFound, putAnew } from './put-anew.ts'
import { decideRemoval, type RemovalCandidate } from './remove.ts'
import { removeUnnamed } from './remove-unnamed.ts'

const BATCH = 500
const ACTOR = 'late put'

/**
 * Looks at keys that no replica names any more, but that somebody could still put to, by a URL that held or a
 * put that was slow. What is there goes for the same reasons as anything else; right bytes that nothing else
 * stands for become a replica. How many keys were looked after. A key is looked at ever more rarely, the last
 * time a day after its URL's end; one whose place is away is left to the next sweep.
 */
export async function clearLateKeys(placement: Placement): Promise<number> {
  const due = await placement.db
    .selectFrom('key_to_clear')
    .select(['location_id', 'key', 'object_id'])
    .where('clear_at', '<=', sql<Date>`now()`)
    .orderBy('clear_at')
    .limit(BATCH)
    .execute()
  const away = new Set<string>()
  let count = 0
  for (const { location_id: locationId, key, object_id: objectId } of due) {
    if (away.has(locationId)) continue
    try {
      // Of a key that has no history nothing can be told: what lies there stays.
      if (objectId !== null) await clear(placement, { objectId, locationId, key: knownKey(key) })
      await noteCleared(placement, locationId, key)
      count += 1
    } catch (error) {
      away.add(locationId)
      placement.log.warn(
        { location: locationId, key, error: (error as Error).message },
        "a key can't be cleared now",
      )
    }
  }
  return count
}

async function clear(placement: Placement, late: RemovalCandidate): Promise<void> {
  // Adopted meanwhile: it lives and goes with its replica, and is noted again when that leaves it.
  if (await isNamed(placement.db, late)) return
  // Mostly nothing is there, which one HEAD tells.
  const decision = await decideRemoval(placement, late, { first: 'own', actor: ACTOR })
  if (decision.do === 'remove') return removeUnnamed(placement, late, decision)
  if (decision.do === 'keep') return keep(placement, late, decision.check)
  placement.log.warn({ ...late, reason: decision.why }, 'what was put late is wrong, and stays')
}

/**
 * Right bytes become a replica, in a bucket under a fresh key: an earlier look may have sent a deletion whose
 * answer got lost. Where there is a replica already, they are the same bytes once more, and go for it.
 */
async function keep(placement: Placement, late: RemovalCandidate, check: Same): Promise<void> {
  const loaded = await loadObject(placement.db, late.objectId)
  if (!loaded) return
  const here = loaded.replicas.find(({ locationId }) => locationId === late.locationId)
  const isTaken = here?.state === 'verified' || here?.state === 'evicting'
  if (!isTaken) {
    const found = asFound(placement, late, check)
    const result = await putAnew(placement, loaded.object, found, { actor: ACTOR })
    if (result !== 'not-now') return
  }
  const again = await decideRemoval(placement, late, { first: 'others', actor: ACTOR })
  if (again.do === 'remove') return removeUnnamed(placement, late, again)
  // The bytes taken for a replica are not one: the next look finds that key free.
  if (again.do === 'keep' && !isTaken) await nameWhereItLies(placement, late, again.check)
}

/**
 * On a disk, or where it can't be put anew. `taken`: there is a replica at that place by now. @throws
 * RetryLater where somebody may be removing it
 */
export async function nameWhereItLies(
  placement: Placement,
  late: RemovalCandidate,
  { level, proof, held }: Same,
): Promise<'adopted' | 'taken'> {
  return placement.db.transaction().execute(async (tx) => {
    await lockObject(tx, late.objectId)
    const adopted = await adoptBytes(tx, late, { level, proof, held, actor: ACTOR })
    if (adopted === 'adopted') await enqueueNextSteps(tx, placement, late.objectId)
    return adopted
  })
}

async function noteCleared({ db }: Placement, locationId: string, key: string): Promise<void> {
  await sql`
    with over as (
      delete from key_to_clear where location_id = ${locationId} and key = ${key}
        and writable_until < now() - interval '1 day')
    update key_to_clear set clear_at = now() + greatest(interval '10 minutes', now() - writable_until)
    where location_id = ${locationId} and key = ${key}
      and writable_until >= now() - interval '1 day'`.execute(db)
}
