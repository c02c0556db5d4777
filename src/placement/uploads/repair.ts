/**
 * A copy that was lost is made again out of bytes that somebody sends: the same object, a new proof, on this
 * disk first.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import type { LocalFiles, ObjectInfo } from '../../storage/backend.ts'
import { freshKey } from '../keys.ts'
import { noteKeyToClear, takeKeyBack } from '../ledger/keys-to-clear.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { beginReplica, keepReplica, loadObject, lockObject, proveReplica } from '../ledger/replicas.ts'
import { evictReplica } from '../lifecycle/evict.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { abandonWriting } from '../removal/abandon.ts'
import { asReplica } from '../removal/remove.ts'
import { adoptBytes } from '../replica-io/adopt-bytes.ts'
import { checkByReading } from '../replica-io/verify.ts'
import { PROOF } from '../states.ts'
import { hasCopyNow } from './safe-copies.ts'
import type { StagedFile } from './stage.ts'

const ACTOR = 'repair by upload'
const LOOK_AGAIN_MS = 100
/** A repair is over by then; what it has placed and no row names is looked at. */
const INTENT_MS = 10 * 60_000

type Sent = Pick<StagedFile, 'path' | 'size' | 'sha256'>
/** `held`: a copy was there all along. `gone`: the object is being purged, or was. */
export type Ensured = 'held' | 'repaired' | 'gone'

/**
 * Makes sure that the object has a verified copy now, if need be out of the staged file, which stays its
 * owner's to discard. When it returns, what it says is committed. Several callers and kills are no matter:
 * each looks again at how things stand.
 * @throws AppError conflict where the staged bytes are not the object's (another file of the same SHA-1);
 *   unavailable when somebody else is at it for too long (its cause says for how long, where that is known);
 *   StorageError of the disk
 */
export async function ensureCopy(placement: Placement, objectId: string, sent: Sent): Promise<Ensured> {
  const deadline = performance.now() + placement.settings.answerWithinMs
  for (;;) {
    const loaded = await loadObject(placement.db, objectId)
    if (loaded?.object.state !== 'live') return 'gone'
    requireSameBytes(loaded.object, sent)
    const isHeld = await hasCopyNow(placement, objectId)
    if (isHeld === null) return 'gone'
    if (isHeld) return 'held'
    let waitMs = LOOK_AGAIN_MS
    let cause: RetryLater | undefined
    try {
      if (await repairHere(placement, loaded.object, sent)) return 'repaired'
    } catch (error) {
      if (!(error instanceof RetryLater)) throw error
      cause = error
      waitMs = Math.max(LOOK_AGAIN_MS, error.delayMs)
    }
    if (performance.now() + waitMs > deadline)
      throw new AppError(
        'unavailable',
        'the file is being written or removed by somebody else; send it again in a minute',
        { cause },
      )
    await sleep(waitMs)
  }
}

function requireSameBytes(object: StoredObject, { size, sha256 }: Sent): void {
  if (object.size === size && object.sha256 === sha256.toString('hex')) return
  throw new AppError('conflict', 'another file with the same SHA-1 is here already; this one was not kept')
}

/** False: it could not be done now, by how the replica here stands; look again. */
async function repairHere(placement: Placement, object: StoredObject, sent: Sent): Promise<boolean> {
  const { local } = placement
  const files = local.backend.localFiles
  if (!files) throw new AppError('unavailable', `location ${local.id} holds no local files`)
  await confirmLocation(placement, local)
  const { replicas } = (await loadObject(placement.db, object.id)) ?? { replicas: [] }
  const here = replicas.find(({ locationId }) => locationId === local.id)
  if (here === undefined) return writeAnew(placement, object, sent, files)
  if (here.state === 'suspect') return replaceSuspect(placement, here, object, { sent, files })
  // Its writer is dead, or its bytes are on their way out: after that a fresh one can be made.
  if (here.state === 'writing') await abandonWriting(placement, here, { actor: ACTOR, onlyIfDead: true })
  if (here.state === 'evicting') await evictReplica(placement, { objectId: object.id, from: local.id })
  return false
}

async function writeAnew(
  placement: Placement,
  object: StoredObject,
  sent: Sent,
  files: LocalFiles,
): Promise<boolean> {
  const { db, local, settings } = placement
  const replica = { objectId: object.id, locationId: local.id, key: freshKey(object), uploadId: null }
  if (!(await beginReplica(db, { ...replica, actor: ACTOR, leaseMs: settings.writeLeaseMs }))) return false
  try {
    const { modifiedAt } = await takeIn(files, replica, sent)
    await prove(placement, replica, modifiedAt)
    return true
  } catch (error) {
    await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: false }).catch((failure: Error) =>
      placement.log.warn(
        { objectId: object.id, error: failure.message },
        'a failed repair is left to the sweep',
      ),
    )
    throw error
  }
}

async function takeIn(files: LocalFiles, { key }: Pick<Replica, 'key'>, sent: Sent): Promise<ObjectInfo> {
  const held = await files.adopt(sent.path, key)
  if (held.size !== sent.size)
    throw new AppError('corrupt', `staged ${sent.size} bytes, but ${held.size} are in place`)
  return held
}

/** @throws AppError conflict where the object is being purged, or the replica was given up meanwhile */
async function prove(
  placement: Placement,
  replica: Pick<Replica, 'objectId' | 'locationId' | 'key'>,
  modifiedAt: Date,
): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, replica.objectId)
    if (now?.object.state !== 'live')
      throw new AppError('conflict', 'the file was deleted at this moment; send it again')
    await proveReplica(tx, replica, {
      level: PROOF.transport,
      proof: { method: 'hashed-on-arrival', modifiedAtMs: modifiedAt.getTime() },
      actor: ACTOR,
    })
    await enqueueNextSteps(tx, placement, replica.objectId)
  })
}

/**
 * The replica here is bad or gone, and the database keeps its row, since it may be the last copy. So what
 * lies there is read, and only if it is other bytes the sent ones are placed under a fresh key, read back,
 * and the row turns to them. What lay there before goes afterwards, by the same rules as anything else
 * (`clear-keys.ts`); so does a file that is left by a kill in between.
 */
async function replaceSuspect(
  placement: Placement,
  suspect: Replica,
  object: StoredObject,
  { sent, files }: { sent: Sent; files: LocalFiles },
): Promise<boolean> {
  const { db, local } = placement
  const found = await checkByReading(placement, object, suspect)
  if (found.answer === 'unknown') throw new AppError('unavailable', `${local.label}: ${found.reason}`)
  if (found.answer === 'same') {
    const { level, proof } = found
    return db.transaction().execute(async (tx) => {
      await lockObject(tx, object.id)
      if (!(await keepReplica(tx, suspect, { level, proof, actor: ACTOR }))) return false
      await enqueueNextSteps(tx, placement, object.id)
      return true
    })
  }
  const fresh = { objectId: object.id, locationId: local.id, key: freshKey(object) }
  await noteKeyToClear(db, fresh, INTENT_MS)
  await takeIn(files, fresh, sent)
  const check = await checkByReading(placement, object, asReplica(placement, fresh))
  if (check.answer !== 'same')
    throw new AppError('corrupt', `${local.label} does not keep what is written to it`)
  const { level, proof } = check
  return db.transaction().execute(async (tx) => {
    const now = await lockObject(tx, object.id)
    if (now?.object.state !== 'live') return false
    const here = now.replicas.find(({ locationId }) => locationId === local.id)
    if (here?.state === 'verified' || here?.state === 'evicting') return false
    if (!(await takeKeyBack(tx, fresh))) return false
    await adoptBytes(tx, fresh, { level, proof, actor: ACTOR })
    await noteKeyToClear(tx, suspect, 0)
    await enqueueNextSteps(tx, placement, object.id)
    return true
  })
}
