import { AppError } from '../../errors.ts'
import type { PutResult } from '../../storage/backend.ts'
import type { Proof, Replica, StoredObject } from '../ledger/objects.ts'
import { renewWriteLease } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'
import { PROOF, type ProofLevel } from '../states.ts'
import { checkByReading } from './verify.ts'

const UNPROVEN = {
  state: 'writing',
  proofLevel: null,
  proof: null,
  verifiedAt: null,
  leaseLeftMs: null,
  storageClass: null,
  restore: null,
} as const

export type Proven = { level: ProofLevel; proof: Proof }

/**
 * Runs a put to a replica that is `writing`, renewing its lease meanwhile, and gives the proof of what is
 * there: what the put itself proves or, where that is too little to give up another replica for, all bytes
 * read back. The signal that `put` gets is also aborted when the lease was lost. Throws what the put throws,
 * `corrupt` for other bytes, `unavailable` when it can't be known, `conflict` when the lease was lost.
 */
export async function proveByPut(
  placement: Placement,
  object: Pick<StoredObject, 'id' | 'size' | 'sha256'>,
  { locationId, key }: Pick<Replica, 'locationId' | 'key'>,
  put: (signal: AbortSignal) => Promise<PutResult>,
  signal?: AbortSignal,
): Promise<Proven> {
  const { db, settings } = placement
  const replica = { objectId: object.id, locationId, key }
  const stop = new AbortController()
  const signals = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const renewal = setInterval(() => {
    renewWriteLease(db, replica, settings.writeLeaseMs).then(
      (isOurs) => isOurs || stop.abort(new AppError('conflict', 'the write lease was lost')),
      (error: Error) => placement.log.warn({ error: error.message }, 'a write lease could not be renewed'),
    )
  }, settings.writeLeaseMs / 4)
  try {
    const held = await put(signals)
    // A HEAD of its own would tell nothing more than the put did.
    if (held.proof === 'attested')
      return { level: PROOF.attested, proof: { method: 'attested', ...held.evidence } }
    const written = { ...replica, ...UNPROVEN, classSince: placement.now() }
    const check = await checkByReading(placement, object, written, signals)
    if (check.answer === 'different')
      throw new AppError('corrupt', `${locationId} holds other bytes: ${check.reason}`)
    if (check.answer === 'unknown') throw new AppError('unavailable', `${locationId}: ${check.reason}`)
    return { level: check.level, proof: { ...held.evidence, ...check.proof } }
  } finally {
    clearInterval(renewal)
  }
}
