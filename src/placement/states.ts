/**
 * The states of a replica and the moves between them. Pure: no database, no bytes.
 *
 * Words:
 * - *object*: immutable bytes of one kind; it is `live` until its user's decision makes it `purging`, for
 * good.
 * - *location*: a configured place. *Replica*: an object at one location; no row means absent.
 * - *proof level*: how well a replica is known to hold the object's bytes (see `PROOF`).
 * - *evict*: to remove one replica of a live object, never the last verified one. *Purge*: to remove all of
 * an object.
 *   A write that nobody will finish is looked at: right bytes are kept (`proven`), wrong ones are evicted as
 *   well. No bytes are ever removed under a row that could still be proven.
 * - *kept*, *doubted*: an eviction that was cut short is decided anew, and the bytes stay.
 *
 * The database enforces the same table (`guard_replica`): a mistake here cannot lose a photo.
 */
import type { ObjectState, ReplicaState } from '../database/schema.ts'

export type { ObjectState, ReplicaState }

export type ReplicaEvent =
  | 'begin'
  | 'proven'
  | 'abandoned'
  | 'found-bad'
  | 'found-good'
  | 'evict'
  | 'gone'
  | 'purge'
  | 'kept'
  | 'doubted'

/**
 * | level | evidence |
 * | --- | --- |
 * | 0 exists | the location said yes |
 * | 1 size | HEAD shows the right size |
 * | 2 transport | the location checked a digest while receiving, and the probe saw it refuse wrong ones |
 * | 3 attested | the location reports a digest that it computed over what it holds; it is ours |
 * | 4 read back | all bytes were read from the location and their SHA-256 is ours |
 */
export const PROOF = { exists: 0, size: 1, transport: 2, attested: 3, readBack: 4 } as const
export type ProofLevel = (typeof PROOF)[keyof typeof PROOF]

/** Another replica may be given up only for replicas of at least this level. */
export const LEVEL_TO_GIVE_UP_ANOTHER: ProofLevel = PROOF.attested

/** A comparison has three answers, and `unknown` (a time-out, no evidence) permits nothing. */
export type Comparison = 'same' | 'different' | 'unknown'

type Move = { from: ReplicaState | 'absent'; event: ReplicaEvent; to: ReplicaState | 'absent' }

const MOVES: readonly Move[] = [
  { from: 'absent', event: 'begin', to: 'writing' },
  { from: 'writing', event: 'proven', to: 'verified' },
  { from: 'writing', event: 'abandoned', to: 'evicting' },
  { from: 'verified', event: 'found-bad', to: 'suspect' },
  { from: 'suspect', event: 'found-good', to: 'verified' },
  { from: 'verified', event: 'evict', to: 'evicting' },
  { from: 'suspect', event: 'evict', to: 'evicting' },
  { from: 'evicting', event: 'gone', to: 'absent' },
  { from: 'writing', event: 'purge', to: 'evicting' },
  { from: 'verified', event: 'purge', to: 'evicting' },
  { from: 'suspect', event: 'purge', to: 'evicting' },
  { from: 'evicting', event: 'kept', to: 'verified' },
  { from: 'evicting', event: 'doubted', to: 'suspect' },
]

/** Where the event leads from there, or null where it is not allowed. */
export function nextState(
  from: ReplicaState | 'absent',
  event: ReplicaEvent,
): ReplicaState | 'absent' | null {
  return MOVES.find((move) => move.from === from && move.event === event)?.to ?? null
}

/** The last-copy rule: may a replica be evicted that leaves this many other verified ones? */
export function mayEvict(object: ObjectState, otherVerified: number, minCopies: number): boolean {
  return object === 'purging' || otherVerified >= minCopies
}
