/** Where objects belong, and what has to happen next for one to be there. Pure: no database, no bytes. */
import type { ObjectKind } from '../database/schema.ts'
import { LEVEL_TO_GIVE_UP_ANOTHER, type ObjectState, type ReplicaState } from './states.ts'

/**
 * For each kind, the locations where its replicas belong. The first is where it is read from when all are
 * equal.
 */
export type Policy = { readonly [Kind in ObjectKind]: readonly string[] }

/**
 * For each kind, how many verified replicas must be where objects belong before one elsewhere is given up: at
 * most as many as there are locations for it.
 */
export type MinCopies = { readonly [Kind in ObjectKind]: number }

/** All of them. */
export function everyLocation(policy: Policy): MinCopies {
  const counts = Object.entries(policy).map(([kind, locations]) => [kind, Math.max(1, locations.length)])
  return Object.fromEntries(counts) as MinCopies
}

/**
 * The policy as if these locations were not there. `short`: kinds that would have fewer locations left than
 * copies that are kept; for them, nothing changes.
 */
export function withoutLocations(
  policy: Policy,
  minCopies: MinCopies,
  ids: readonly string[],
): { policy: Policy; short: ObjectKind[] } {
  const short: ObjectKind[] = []
  const left = Object.entries(policy).map(([name, wanted]) => {
    const kind = name as ObjectKind
    const others = wanted.filter((id) => !ids.includes(id))
    const isShort = others.length < wanted.length && others.length < Math.max(1, minCopies[kind])
    if (isShort) short.push(kind)
    return [kind, isShort ? wanted : others]
  })
  return { policy: Object.fromEntries(left) as Policy, short }
}

/**
 * While a copy is still missing that is wanted, the one that is not wanted is kept so much longer: copied
 * from a disk, the missing one costs no download from a bucket.
 */
const SOURCE_KEPT_MS = 3_600_000

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
 * A replica that is not wanted goes only when as many wanted ones as `minCopies` says are verified at the
 * level that allows it, and not before `holdMs` (an hour at least, while others are missing) after the
 * youngest of those proofs. `keepLocal` names a location that is never cleared (deleteLocalAfterUpload:
 * false).
 */
export function nextSteps(
  object: { state: ObjectState; kind: ObjectKind },
  replicas: readonly PlacedReplica[],
  rules: { policy: Policy; minCopies: MinCopies; holdMs: number; keepLocal: string | null },
): Step[] {
  if (object.state === 'purging') return [{ do: 'purge' }]

  const wanted = rules.policy[object.kind]
  const at = new Map(replicas.map((replica) => [replica.locationId, replica]))
  // Nothing to copy from: the object is at risk, and trying again at once would not help it. The sweep looks
  // again.
  if (!replicas.some((replica) => replica.state === 'verified')) return []
  const steps: Step[] = []
  const home: PlacedReplica[] = []
  for (const locationId of wanted) {
    const replica = at.get(locationId)
    if (replica?.state === 'verified') home.push(replica)
    else steps.push({ do: 'replicate', to: locationId })
  }
  const enough = rules.minCopies[object.kind]
  if (home.length < enough) return steps

  const extra = replicas.filter(
    (replica) => !wanted.includes(replica.locationId) && replica.locationId !== rules.keepLocal,
  )
  if (extra.length === 0) return steps

  const isProven = (replica: PlacedReplica) => (replica.proofLevel ?? 0) >= LEVEL_TO_GIVE_UP_ANOTHER
  const proven = home.filter(isProven)
  for (const { locationId } of home.filter((replica) => !isProven(replica)))
    steps.push({ do: 'replicate', to: locationId })
  if (proven.length < enough) return steps

  const youngestProof = Math.max(...proven.map((replica) => replica.verifiedAt?.getTime() ?? 0))
  const isAnyMissing = home.length < wanted.length
  const keptMs = isAnyMissing ? Math.max(rules.holdMs, SOURCE_KEPT_MS) : rules.holdMs
  const notBefore = new Date(youngestProof + keptMs)
  for (const replica of extra)
    if (replica.state !== 'writing') steps.push({ do: 'evict', from: replica.locationId, notBefore })
  return steps
}
