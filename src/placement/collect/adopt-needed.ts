/**
 * Bytes that nothing names may be those of a file that has lost a copy: by an older state of the ledger, or
 * by hand. Those are read, and become that copy. They are never removed.
 */
import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { type ReadBytes, readBytes } from '../catalogue/adopt-object.ts'
import { partsOfKey } from '../keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { StoredObject } from '../ledger/objects.ts'
import { loadObject, lockObject } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { asFound, putAnew } from '../removal/put-anew.ts'
import { adoptBytes, proofOfRead } from '../replica-io/adopt-bytes.ts'
import { PROOF } from '../states.ts'
import { lacksACopySql } from './copies-that-count.ts'
import {
  type Item,
  itemsToCompare,
  LATER_MS,
  noteSha256,
  postponeItem,
  releaseItem,
  settleItem,
} from './items.ts'

const ACTOR = 'collect'
const BATCH = 100

/**
 * `among`: of these alone; absent: of all that waits at the location, whether it is due or not. The location
 * is confirmed before anything there is read. @throws AppError as `confirmLocation`; conflict where it is
 * retired
 */
export async function adoptWhereNeeded(
  placement: Placement,
  location: Location,
  { among, signal }: { among?: readonly Item[]; signal?: AbortSignal | undefined } = {},
): Promise<number> {
  let adopted = 0
  const items = await itemsToCompare(placement, location.id, among, BATCH)
  if (items.length === 0) return 0
  await requireInUse(placement, location)
  await confirmLocation(placement, location)
  for (const item of items) {
    if (signal?.aborted) break
    if (await adoptOne(placement, location, item, signal)) adopted += 1
  }
  return adopted
}

/** Nothing becomes a replica at a retired place (`guard_retired`), and what is needed does not go. */
async function requireInUse({ db }: Placement, { id, label }: Location): Promise<void> {
  const row = await db.selectFrom('location').select('retired_at').where('id', '=', id).executeTakeFirst()
  if (row?.retired_at == null) return
  throw new AppError(
    'conflict',
    `${label} is retired, and a file there may be the copy that another one lacks: use it again ("npx glassine storage drain ${id} --cancel")`,
  )
}

async function adoptOne(
  placement: Placement,
  location: Location,
  item: Item,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const read = await readBytes({ placement, location }, item.key, item.size, signal)
  if (read === 'absent') return false
  if (read === 'wrong-size') {
    await settleItem(placement, item, 'kept', 'changed')
    return false
  }
  if (typeof read === 'string') {
    await settleItem(placement, item, 'kept', 'unread')
    return false
  }
  await noteSha256(placement, item, read.sha256)
  const lacking = await lackingObjects(placement, read)
  if (lacking.length > 0 && item.isClaimed && !(await releaseItem(placement, item))) return false
  for (const objectId of lacking)
    if (await becomesCopyOf(placement, location, { objectId, item, read, signal })) {
      await settleItem(placement, item, 'kept', 'adopted')
      placement.log.info(
        { objectId, location: location.id, key: item.key },
        'a file became a copy that was lacking',
      )
      return true
    }
  // Its row at this location counts, or the object is on its way out: reading them again at once helps
  // nobody.
  if (lacking.length > 0) await postponeItem(placement, item, 'not-now', LATER_MS)
  return false
}

async function lackingObjects(placement: Placement, { sha256, size }: ReadBytes): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select o.id from stored_object o where o.sha256 = ${Buffer.from(sha256, 'hex')} and o.size = ${size}
      and ${lacksACopySql(placement)} order by o.is_linked desc, o.created_at limit 20`.execute(placement.db)
  return rows.map(({ id }) => id)
}

function isKeyOfObject(key: string, { ownerId, assetId, kind }: StoredObject): boolean {
  const parts = partsOfKey(key)
  return parts?.ownerId === ownerId && parts.assetId === assetId && parts.kind === kind
}

/** @throws RetryLater where somebody may be removing them */
async function becomesCopyOf(
  placement: Placement,
  location: Location,
  {
    objectId,
    item: { key, wasClaimed },
    read: { held },
    signal,
  }: { objectId: string; item: Item; read: ReadBytes; signal: AbortSignal | undefined },
): Promise<boolean> {
  const found = { objectId, locationId: location.id, key }
  const proven = { level: PROOF.readBack, proof: proofOfRead(location, held), held }
  const loaded = await loadObject(placement.db, objectId)
  const here = loaded?.replicas.find(({ locationId }) => locationId === location.id)
  // Nothing is put beside a row that counts here until somebody has read what it names.
  if (here !== undefined && (here.state === 'verified' || here.state === 'evicting')) return false
  const isForeign = loaded !== null && !isKeyOfObject(key, loaded.object)
  if (loaded !== null && (wasClaimed || isForeign)) {
    // A deletion whose answer got lost may still be carried out at this key. One of another file says wrongly
    // whose the copy is: no catalogue names it, and a rebuild would give it to somebody else. What lies there
    // may be theirs, and stays.
    const check = { answer: 'same' as const, reason: 'all bytes were read', ...proven }
    const result = await putAnew(placement, loaded.object, asFound(placement, found, check), {
      actor: ACTOR,
      signal,
      leavesFound: !wasClaimed,
    })
    if (result !== 'not-now') return result === 'done'
    // The only copy that there is counts under any key.
    if (isForeign && loaded.replicas.some(({ state }) => state === 'verified')) return false
  }
  return placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, objectId)
    if (now?.object.state !== 'live') return false
    if ((await adoptBytes(tx, found, { ...proven, actor: ACTOR })) !== 'adopted') return false
    await enqueueNextSteps(tx, placement, objectId)
    return true
  })
}
