import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { wantedPlaces } from '../belonging.ts'
import type { Placement } from '../placement.ts'
import { nextSteps, type PlacedReplica, type Step } from '../policy.ts'
import type { StoredObject } from './objects.ts'
import { lockObject } from './replicas.ts'

/**
 * Enqueues, in the caller's transaction, what still has to happen for an object to be where it belongs.
 * Idempotent: called after every move of a replica, and by the sweep for whatever fell through (a changed
 * policy, say).
 *
 * Locks the object: when a proof and the end of a lease commit at the same moment, each would else look
 * before the other's change can be seen, and neither would enqueue the eviction.
 */
export async function enqueueNextSteps(tx: Queryable, placement: Placement, objectId: string): Promise<void> {
  const loaded = await lockObject(tx, objectId)
  if (!loaded) return
  await enqueueSteps(tx, placement, objectId, stepsOf(placement, loaded.object, loaded.replicas))
}

/**
 * As `enqueueNextSteps`, for an object that nobody else can know of yet: how it stands is known and needs no
 * lock.
 */
export async function enqueueNextStepsOfNew(
  tx: Queryable,
  placement: Placement,
  object: { id: string; kind: ObjectKind },
  replicas: readonly PlacedReplica[],
): Promise<void> {
  await enqueueSteps(tx, placement, object.id, stepsOf(placement, { ...object, state: 'live' }, replicas))
}

async function enqueueSteps(
  tx: Queryable,
  placement: Placement,
  objectId: string,
  steps: readonly Step[],
): Promise<void> {
  for (const step of steps) {
    if (step.do === 'purge') await enqueue(tx, 'purge-object', { objectId })
    if (step.do === 'replicate') await enqueue(tx, 'replicate-object', { objectId, to: step.to })
    if (step.do === 'evict' && !(await isLeased(tx, placement, objectId, step.from)))
      await enqueue(tx, 'evict-replica', { objectId, from: step.from }, { runAt: step.notBefore })
  }
}

/** What still has to happen for an object that stands like this. */
export function stepsOf(
  placement: Placement,
  object: Pick<StoredObject, 'state' | 'kind'> & Partial<Pick<StoredObject, 'createdAt' | 'assigned'>>,
  replicas: readonly PlacedReplica[],
): Step[] {
  const steps = nextSteps(object, replicas, {
    policy: { ...placement.policy, [object.kind]: wantedPlaces(object, placement) },
    minCopies: placement.minCopies,
    holdMs: placement.settings.holdMs,
    keepLocal: placement.settings.deleteLocalAfterUpload ? null : placement.local.id,
  })
  // Files of the original installation are not copied over: people who try something with a copy would pay
  // for reading all of them.
  return steps.filter((step) => {
    if (step.do === 'replicate') return !replicas.some((one) => isAtOriginal(placement, one))
    return step.do !== 'evict' || !placement.locations.get(step.from)?.isReadOnly
  })
}

function isAtOriginal(placement: Placement, { state, locationId }: PlacedReplica): boolean {
  return state === 'verified' && placement.locations.get(locationId)?.isOfOriginal === true
}

/** Places of an original that this installation is a copy of. */
export function originalPlaces(placement: Pick<Placement, 'locations'>): string[] {
  return [...placement.locations.values()].flatMap(({ id, isOfOriginal }) => (isOfOriginal ? [id] : []))
}

/** Does somebody need the local copy? Whoever releases the lease enqueues the next steps again. */
export async function isLeased(
  tx: Queryable,
  placement: Placement,
  objectId: string,
  locationId: string,
): Promise<boolean> {
  if (locationId !== placement.local.id) return false
  const lease = await tx
    .selectFrom('local_lease')
    .select('id')
    .where('object_id', '=', objectId)
    .where('expires_at', '>', sql<Date>`now()`)
    .limit(1)
    .executeTakeFirst()
  return lease !== undefined
}
