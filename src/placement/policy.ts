/** Where objects belong, and what has to happen next for one to be there. Pure: no database, no bytes. */
import type { ObjectKind } from '../database/schema.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER, type ObjectState, type ReplicaState } from './states.ts'

/**
 * For each kind, the locations where its replicas belong. The first is where it is read from when all are
 * equal.
 */
export type Policy = { readonly [Kind in ObjectKind]: readonly string[] }

export type PlacedReplica = {
  locationId: string
  state: ReplicaState
  proofLevel: number | null
  verifiedAt: Date | null
}

export type Step =
  | { do: 'replicate'; to: string }
  | { do: 'evict'; from: string; notBefore: Date }
  | { do: 'purge' }

/**
 * The steps that bring an object to where it belongs. None: it is there.
 *
 * A replica that is not wanted goes only when every wanted one is verified at the level that allows it, and
 * not before `holdMs` after the youngest of those proofs. `keepLocal` names a location that is never cleared
 * (deleteLocalAfterUpload: false).
 */
export function nextSteps(
  object: { state: ObjectState; kind: ObjectKind },
  replicas: readonly PlacedReplica[],
  rules: { policy: Policy; holdMs: number; keepLocal: string | null },
): Step[] {
  if (object.state === 'purging') return [{ do: 'purge' }]

  const wanted = rules.policy[object.kind]
  const at = new Map(replicas.map((replica) => [replica.locationId, replica]))
  // Nothing to copy from: the object is at risk, and trying again at once would not help it. The sweep looks
  // again.
  if (!replicas.some((replica) => replica.state === 'verified')) return []
  const steps: Step[] = []
  for (const locationId of wanted) {
    if (at.get(locationId)?.state !== 'verified') steps.push({ do: 'replicate', to: locationId })
  }
  if (steps.length > 0) return steps

  const extra = replicas.filter(
    (replica) => !wanted.includes(replica.locationId) && replica.locationId !== rules.keepLocal,
  )
  if (extra.length === 0) return []

  const home = wanted.map((locationId) => at.get(locationId)!)
  const unproven = home.filter((replica) => (replica.proofLevel ?? 0) < LEVEL_TO_GIVE_UP_ANOTHER)
  if (unproven.length > 0) return unproven.map((replica) => ({ do: 'replicate', to: replica.locationId }))

  const youngestProof = Math.max(...home.map((replica) => replica.verifiedAt?.getTime() ?? 0))
  const notBefore = new Date(youngestProof + rules.holdMs)
  return extra
    .filter((replica) => replica.state !== 'writing')
    .map((replica) => ({ do: 'evict', from: replica.locationId, notBefore }))
}
