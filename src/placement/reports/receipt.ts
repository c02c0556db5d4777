import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { Proof } from '../ledger/objects.ts'
import { loadObject } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'
import type { ReplicaState } from '../states.ts'

export type Receipt = {
  objectId: string
  kind: ObjectKind
  /** Lower-case hex. */
  sha256: string
  size: number
  replicas: {
    location: string
    /** Null: the configuration names it no more. */
    locationKind: 'disk' | 's3' | 'memory' | null
    key: string
    state: ReplicaState
    proofLevel: number | null
    proof: Proof | null
    verifiedAt: string | null
    /** Null: the location's ordinary one. */
    storageClass: string | null
  }[]
  /** Every move of every replica, oldest first. */
  history: {
    at: string
    location: string
    from: string | null
    to: string | null
    proofLevel: number | null
    actor: string
    /** Of a move to suspect, where it is known. */
    reason: string | null
  }[]
}

/**
 * What the ledger can show for an object: its digest, every replica with its proof, and how it came to be so.
 */
export async function receiptOf(placement: Placement, objectId: string): Promise<Receipt> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded) throw new AppError('not-found', 'there is no such file')
  const events = await placement.db
    .selectFrom('placement_event')
    .select(['at', 'location_id', 'from_state', 'to_state', 'proof_level', 'proof', 'actor'])
    .where('object_id', '=', objectId)
    .orderBy('id')
    .execute()
  const order = [...placement.locations.keys()]
  return {
    objectId,
    kind: loaded.object.kind,
    sha256: loaded.object.sha256,
    size: loaded.object.size,
    replicas: loaded.replicas
      .sort((a, b) => order.indexOf(a.locationId) - order.indexOf(b.locationId))
      .map((replica) => ({
        location: replica.locationId,
        locationKind: placement.locations.get(replica.locationId)?.kind ?? null,
        key: replica.key,
        state: replica.state,
        proofLevel: replica.proofLevel,
        proof: replica.proof,
        verifiedAt: replica.verifiedAt?.toISOString() ?? null,
        storageClass: replica.storageClass,
      })),
    history: events.map((event) => ({
      at: event.at.toISOString(),
      location: event.location_id,
      from: event.from_state,
      to: event.to_state,
      proofLevel: event.proof_level,
      actor: event.actor,
      reason: event.to_state === 'suspect' ? ((event.proof as Proof | null)?.doubt ?? null) : null,
    })),
  }
}
