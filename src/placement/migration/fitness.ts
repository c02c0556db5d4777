/** Whether an object can move, by all that the ledger knows. Pure. */
import type { ObjectKind } from '../../database/schema.ts'
import type { MinCopies } from '../policy.ts'
import { isArchiveClass } from '../storage-classes.ts'
import { placesAfter, type Way } from './object-states.ts'

export type Candidate = {
  isLive: boolean
  kind: ObjectKind
  size: number
  /** Where it belongs now. */
  wanted: readonly string[]
  replicas: readonly {
    locationId: string
    state: string
    storageClass: string | null
    /** Of an archived one: its bytes can be read now. */
    isRestored: boolean
  }[]
  /** Another campaign is at it. */
  isTaken: boolean
}

export type Unfit =
  | 'deleted'
  | 'not-there'
  | 'no-verified-copy'
  | 'archived'
  | 'too-few-copies'
  | 'in-another-campaign'
  | 'source-read-only'
  | 'too-large'

export type Places = {
  minCopies: MinCopies
  /** Absent: it is configured no more. */
  placeOf(locationId: string): { isReadOnly: boolean; maxBytes: number } | undefined
}

/** Why it can't move; null: it would. */
export function whyUnfit(candidate: Candidate, way: Way, { minCopies, placeOf }: Places): Unfit | null {
  const { isLive, kind, size, wanted, replicas, isTaken } = candidate
  if (!isLive) return 'deleted'
  if (isTaken) return 'in-another-campaign'
  if (way.fromIds.length > 0 && !wanted.some((id) => way.fromIds.includes(id))) return 'not-there'
  const verified = replicas.filter(({ state, locationId }) => state === 'verified' && placeOf(locationId))
  if (verified.length === 0) return 'no-verified-copy'
  const missing = way.toIds.filter((id) => !verified.some(({ locationId }) => locationId === id))
  const isReadable = verified.some((one) => !isArchiveClass(one.storageClass) || one.isRestored)
  if (missing.length > 0 && !isReadable) return 'archived'
  if (placesAfter(wanted, way).length < minCopies[kind]) return 'too-few-copies'
  const leaves = replicas.filter(({ locationId }) => way.fromIds.includes(locationId))
  if (leaves.some(({ locationId }) => placeOf(locationId)?.isReadOnly)) return 'source-read-only'
  if (missing.some((id) => size > (placeOf(id)?.maxBytes ?? 0))) return 'too-large'
  return null
}
