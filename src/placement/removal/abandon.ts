import { noteKeyToClear } from '../ledger/keys-to-clear.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import { beginEviction, forgetReplica, keepReplica, lockObjectRow } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isNamed } from '../replica-io/adopt-bytes.ts'
import { decideRemoval, type RemovalCandidate, removeCandidate } from './remove.ts'

/**
 * `ended`: nothing of it is left. `kept`: its bytes are there and right, and it is verified. `untouched`: it
 * was proven or given up meanwhile, or its writer is alive. `stays`: its bytes are wrong, and all that there
 * is of an acknowledged file.
 */
export type AbandonResult = 'ended' | 'kept' | 'untouched' | 'stays'

/**
 * Ends a write that nobody will finish. What it left is looked at: right bytes become a verified replica, for
 * a commit that this process believes failed may have happened, and this ledger may be older than the bytes.
 * Otherwise the row turns first, so that no one can prove it any more, then its parts go, then its bytes,
 * then the row.
 */
export async function abandonWriting(
  placement: Placement,
  replica: RemovalCandidate,
  { actor, onlyIfDead, signal }: { actor: string; onlyIfDead: boolean; signal?: AbortSignal | undefined },
): Promise<AbandonResult> {
  const { db } = placement
  if (!(await isEndable(placement, replica, onlyIfDead))) {
    if (!onlyIfDead) await noteLatePut(placement, replica)
    return 'untouched'
  }
  const decision = await decideRemoval(placement, replica, { first: 'own', actor, signal })
  if (decision.do === 'stay') {
    placement.log.warn(
      { objectId: replica.objectId, location: replica.locationId, reason: decision.why },
      'an unfinished write is kept though it is wrong',
    )
    return 'stays'
  }
  if (decision.do === 'keep') {
    const { level, proof } = decision.check
    return db.transaction().execute(async (tx) => {
      await lockObjectRow(tx, replica.objectId)
      if (!(await keepReplica(tx, replica, { level, proof, actor, onlyIfDead }))) return 'untouched'
      await enqueueNextSteps(tx, placement, replica.objectId)
      placement.log.info(
        { objectId: replica.objectId, location: replica.locationId },
        'an unfinished write turned out to be complete: it is kept',
      )
      return 'kept'
    })
  }
  // So long nobody else decides anew, longer than the permit is good for.
  const leaseMs = placement.settings.writeLeaseMs * 2
  const isTurned = await db.transaction().execute(async (tx) => {
    await lockObjectRow(tx, replica.objectId)
    return beginEviction(tx, replica, { decision, actor, onlyIfDead, leaseMs })
  })
  if (!isTurned) return 'untouched'
  // Before the row goes: a put that timed out here may still be carried out there, under a key that nothing
  // else names.
  if (decision.permit === null && locationOf(placement, replica.locationId).kind !== 'disk')
    await noteKeyToClear(db, replica, placement.settings.lateRequestMs)
  await removeCandidate(placement, replica, decision)
  await forgetReplica(db, replica)
  return 'ended'
}

/**
 * Of our own write: while this process or its machine slept, somebody took it for dead, found nothing and
 * gave the row up. What was put after that is looked for under its key.
 */
async function noteLatePut({ db }: Pick<Placement, 'db'>, replica: RemovalCandidate): Promise<void> {
  if (!(await isNamed(db, replica))) await noteKeyToClear(db, replica, 0)
}

/** Asked before anything is looked at: most rows that a sweep finds late are settled by then. */
async function isEndable(
  placement: Pick<Placement, 'db'>,
  replica: RemovalCandidate,
  onlyIfDead: boolean,
): Promise<boolean> {
  const row = await placement.db
    .selectFrom('replica')
    .select(({ eb, fn }) => ['state', eb('lease_expires_at', '<', fn<Date>('now', [])).as('is_dead')])
    .where('object_id', '=', replica.objectId)
    .where('location_id', '=', replica.locationId)
    .where('key', '=', replica.key)
    .executeTakeFirst()
  return row?.state === 'writing' && (!onlyIfDead || row.is_dead === true)
}
