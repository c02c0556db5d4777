import { type ObjectKey, type RemovalPermit, type RemovalReason, StorageError } from './backend.ts'
import { type Clock, longestBetween, type Moment } from './moment.ts'

/** `goodForMs`: how long after it was made it allows removals. */
export type PermitTerm = { goodForMs: number; clock: Clock }

/** Type assertions could forge the type; what was not made here is refused at run time too. */
const made = new WeakMap<object, PermitTerm & { madeAt: Moment }>()

/**
 * Makes a permit. Only `placement/removal/remove.ts`, which has looked, may import this
 * (`.dependency-cruiser.cjs`).
 */
export function permitRemoval(
  keys: readonly ObjectKey[],
  reason: RemovalReason,
  term: PermitTerm,
): RemovalPermit {
  const permit = Object.freeze({ keys: Object.freeze([...keys]), reason }) as unknown as RemovalPermit
  made.set(permit, { ...term, madeAt: term.clock() })
  return permit
}

/**
 * Every backend asks this right before each request that removes anything: the process may have stood still
 * between the look that a permit rests on and the removal, and the bytes may be different by now.
 * @throws StorageError denied for what `permitRemoval` did not make; unavailable where it is too old
 */
export function assertPermitted(permit: RemovalPermit): void {
  const term = made.get(permit)
  if (term === undefined) throw new StorageError('denied', 'bytes are removed with a permit only')
  const ageMs = longestBetween(term.madeAt, term.clock())
  if (ageMs > term.goodForMs)
    throw new StorageError(
      'unavailable',
      `what was to be removed was looked at ${Math.ceil(ageMs / 1_000)} s ago, which is too long: it is looked at again`,
      { isOfOneObject: true },
    )
}
