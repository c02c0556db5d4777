import { type Selectable, sql } from 'kysely'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { knownKey } from '../keys.ts'
import { noteKeyToClear } from '../ledger/keys-to-clear.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import { isLockedSql } from '../ledger/object-locks.ts'
import { loadObject, lockObject } from '../ledger/replicas.ts'
import { readOnlyIds } from '../location.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { adoptBytes, isNamed } from '../replica-io/adopt-bytes.ts'
import { checkFully, type Same } from '../replica-io/verify.ts'
import { asFound, putAnew } from './put-anew.ts'
import { asReplica, decideRemoval, type RemovalCandidate } from './remove.ts'
import { removeUnnamed } from './remove-unnamed.ts'
import { confirmedCopy, twinsOf } from './twins.ts'

const BATCH = 500
const ACTOR = 'late put'

type DueKey = Selectable<Schema['key_to_clear']>

/**
 * Looks at keys that no replica names any more, but that somebody could still put to, by a URL that held or a
 * put that was slow. What is there goes for the same reasons as anything else; right bytes that nothing else
 * stands for become a replica. How many keys were looked after. A key is looked at ever more rarely, the last
 * time a day after its URL's end; one whose place is away is left to the next sweep, and one that fails by
 * itself is tried again more and more rarely, so that the others get their turn.
 */
export async function clearLateKeys(placement: Placement): Promise<number> {
  const due = await placement.db
    .selectFrom('key_to_clear')
    .selectAll()
    .where('clear_at', '<=', sql<Date>`now()`)
    .where(sql<boolean>`coalesce(retry_at <= now(), true)`)
    .where(sql<boolean>`location_id <> all(${readOnlyIds(placement)}::text[])`)
    .where(sql<boolean>`not ${isLockedSql(sql`key_to_clear`, placement.now())}`)
    .orderBy('clear_at')
    .limit(BATCH)
    .execute()
  const away = new Set<string>()
  let count = 0
  for (const row of due) {
    const { location_id: locationId, key } = row
    if (away.has(locationId)) continue
    try {
      // Of a key that has no history nothing can be told: what lies there stays.
      if (row.object_id !== null)
        await clear(placement, { objectId: row.object_id, locationId, key: knownKey(key) }, row)
      await noteCleared(placement, locationId, key)
      count += 1
    } catch (error) {
      if (await isAway(placement, locationId)) away.add(locationId)
      else await noteFailed(placement, locationId, key)
      placement.log.warn(
        { location: locationId, key, error: (error as Error).message },
        "a key can't be cleared now",
      )
    }
  }
  return count
}

/** Whether other keys there would fare no better. Costs a request a minute at most. */
async function isAway(placement: Placement, locationId: string): Promise<boolean> {
  try {
    await confirmLocation(placement, locationOf(placement, locationId))
    return false
  } catch {
    return true // why, the failure of the key says
  }
}

async function clear(placement: Placement, late: RemovalCandidate, row: DueKey): Promise<void> {
  // Adopted meanwhile: it lives and goes with its replica, and is noted again when that leaves it.
  if (await isNamed(placement.db, late)) return
  if (await standsForTwin(placement, late, row)) return
  // Mostly nothing is there, which one HEAD tells.
  const decision = await decideRemoval(placement, late, { first: 'own', actor: ACTOR })
  if (decision.do === 'remove') return removeUnnamed(placement, late, decision)
  if (decision.do === 'keep') return keep(placement, late, decision.check)
  placement.log.warn({ ...late, reason: decision.why }, 'what was put late is wrong, and stays')
}

/**
 * Of an object that went as a duplicate: whether what lies there is needed by the photo that it went for,
 * which has lost its copies since; then it becomes that one's. Where the owner has deleted that photo as
 * well, nothing needs it.
 * @throws RetryLater while a copy of it can't be confirmed
 */
async function standsForTwin(placement: Placement, late: RemovalCandidate, row: DueKey): Promise<boolean> {
  const { duplicate_owner_id: ownerId, duplicate_kind: kind, duplicate_size: size, duplicate_sha256 } = row
  if (ownerId === null || kind === null || size === null || duplicate_sha256 === null) return false
  const sha256 = duplicate_sha256.toString('hex')
  const twins = await twinsOf(placement, { id: late.objectId, ownerId, kind, size: Number(size), sha256 })
  const [first] = twins
  if (!first) return false
  const found = asReplica(placement, { ...late, objectId: first.object.id })
  const check = await checkFully(placement, first.object, found)
  if (check.answer === 'unknown') throw new AppError('unavailable', `${late.locationId}: ${check.reason}`)
  if (check.answer === 'different') return check.isAbsent === true
  for (const twin of twins) if (await confirmedCopy(placement, twin)) return false
  const needy = twins.find(({ replicas }) => replicas.every(({ state }) => state !== 'verified'))
  if (!needy) throw new RetryLater(`no copy of ${first.object.id} can be confirmed now`, 60_000)
  const forNeedy = { ...late, objectId: needy.object.id }
  const result = await putAnew(placement, needy.object, asFound(placement, forNeedy, check), { actor: ACTOR })
  const isNowNamed =
    result === 'not-now'
      ? (await nameWhereItLies(placement, forNeedy, check)) === 'adopted'
      : result === 'done'
  if (!isNowNamed) await lookAgain(placement, late)
  return true
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
    if (result === 'done') return
    if (result === 'settled-meanwhile') return lookAgain(placement, late)
  }
  const again = await decideRemoval(placement, late, { first: 'others', actor: ACTOR })
  if (again.do === 'remove') return removeUnnamed(placement, late, again)
  if (again.do === 'stay') return
  // The bytes taken for a replica are not one, or are being given up: the next look finds that place free.
  if (isTaken || (await nameWhereItLies(placement, late, again.check)) === 'taken')
    await lookAgain(placement, late)
}

/**
 * Right bytes that nothing stands for stay where they are for now: this look must not be the last one, as it
 * is for a key whose time was over while nothing ran, or the place was away.
 */
function lookAgain({ db }: Pick<Placement, 'db'>, late: RemovalCandidate): Promise<void> {
  return noteKeyToClear(db, late, 0)
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
    update key_to_clear set clear_at = now() + greatest(interval '10 minutes', now() - writable_until),
      failures = 0, retry_at = null
    where location_id = ${locationId} and key = ${key}
      and writable_until >= now() - interval '1 day'`.execute(db)
}

/** `clear_at` stays: it also says for how long somebody may be removing what lies there. */
async function noteFailed({ db }: Placement, locationId: string, key: string): Promise<void> {
  await sql`
    update key_to_clear set failures = failures + 1,
      retry_at = now() + least(interval '5 minutes' * power(2, least(failures, 10)), interval '6 hours')
    where location_id = ${locationId} and key = ${key}`.execute(db)
}
