import type { ObjectKey, RemovalPermit } from '../../../src/storage/backend.ts'
import { systemClock } from '../../../src/storage/moment.ts'
import { permitRemoval } from '../../../src/storage/removal-permit.ts'

/** Leave to remove keys of a test's own. */
export function leaveTo(keys: readonly ObjectKey[]): RemovalPermit {
  return permitRemoval(keys, 'decided', { goodForMs: Number.POSITIVE_INFINITY, clock: systemClock })
}

/** Such leave, as it is when the machine has slept since. */
export function oldLeaveTo(keys: readonly ObjectKey[]): RemovalPermit {
  let sleptMs = 0
  const permit = permitRemoval(keys, 'decided', {
    goodForMs: 40_000,
    clock: () => ({ steadyMs: 0, bootMs: sleptMs, wallMs: sleptMs }),
  })
  sleptMs = 41_000
  return permit
}

export function forgedLeaveTo(keys: readonly ObjectKey[]): RemovalPermit {
  return { keys, reason: 'decided' } as unknown as RemovalPermit
}
