/** What the ledger knows: objects, and their replicas at locations. */
import type { ObjectKind } from '../../database/schema.ts'
import type { Evidence, ObjectKey } from '../../storage/backend.ts'
import type { Assigned } from '../belonging.ts'
import type { ObjectState, ReplicaState } from '../states.ts'
import type { RestoreTier } from '../storage-classes.ts'

/** How a replica was proven, kept so that a later HEAD can be compared with it. */
export type Proof = Evidence & {
  method: 'hashed-on-arrival' | 'enforced' | 'attested' | 'read-back'
  /**
   * Of a suspect replica: what was found. Of a verified one: a sign that it may be wrong, until its bytes are
   * read.
   */
  doubt?: string
}

export type StoredObject = {
  id: string
  ownerId: string
  assetId: string | null
  kind: ObjectKind
  size: number
  /** Lower-case hex. */
  sha256: string
  contentType: string
  extension: string
  state: ObjectState
  createdAt: Date
  /** Where a campaign has put it; null: it belongs where the policy says. */
  assigned: Assigned | null
  /** The location that it is read from before nearer ones; null: the nearest. */
  readFirst: string | null
}

export type Replica = {
  objectId: string
  locationId: string
  key: ObjectKey
  state: ReplicaState
  proofLevel: number | null
  proof: Proof | null
  verifiedAt: Date | null
  /** Of a writing one: how long its writer still counts as alive, in ms by the database's clock. */
  leaseLeftMs: number | null
  /**
   * Of a write in parts; empty: may have been begun, under an id that is not known, and is found by its key.
   */
  uploadId?: string | null
  /** For so long somebody outside holds a URL that may put to the key, in ms by the database's clock. */
  writableLeftMs?: number | null
  /** Null: the location's ordinary one. */
  storageClass: string | null
  classSince: Date
  /** Of an archived one: the readable copy that was asked for. */
  restore: Restore | null
}

export type Restore = {
  tier: RestoreTier
  days: number
  requestedAt: Date
  expectedAt: Date
  /** Null: not there yet. */
  availableUntil: Date | null
}

/** Files that were counted, and their bytes. */
export type Amount = { count: number; bytes: number }
