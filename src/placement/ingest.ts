/**
 * How bytes get in: intent first, then the bytes, then one transaction that makes them count. A kill at any point leaves
 * either a committed library row whose object is verified, or a row that says which bytes to remove.
 */
import { randomUUID } from 'node:crypto'
import type { Tx } from '../database/connect.ts'
import type { ObjectKind } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { freshKey, safeExtension } from './keys.ts'
import { takeProcessingLease } from './leases.ts'
import type { Placement } from './placement.ts'
import { discardObject } from './purge.ts'
import { beginObject, proveNewObject } from './replicas.ts'
import { settleNew } from './settle.ts'
import { type StagedFile, stageFile } from './stage.ts'
import { PROOF } from './states.ts'

export type NewObject = {
  kind: ObjectKind
  ownerId: string
  /** Null for what belongs to the user alone (a profile image). */
  assetId: string | null
  contentType: string
  extension: string
}

/**
 * Makes a staged file an object. `commit` runs in the transaction that makes its first replica verified: it must link the
 * object (insert or point the library's row at it) and enqueue what follows. When it throws, nothing of the object
 * stays, and its error is thrown on. The staged file is gone afterwards either way.
 */
export async function ingestStaged<T>(
  placement: Placement,
  what: NewObject & { staged: StagedFile; keepLocalUntilProcessed?: boolean },
  commit: (tx: Tx, objectId: string) => Promise<T>,
): Promise<T> {
  const { local, db } = placement
  const files = local.backend.localFiles
  if (!files) throw new AppError('unavailable', `location ${local.id} holds no local files`)
  const objectId = randomUUID()
  const key = freshKey(what)
  const replica = { objectId, locationId: local.id, key }
  const actor = `ingest ${what.kind}`
  let isBegun = false
  try {
    await beginObject(
      db,
      {
        id: objectId,
        ownerId: what.ownerId,
        assetId: what.assetId,
        kind: what.kind,
        size: what.staged.size,
        sha256: what.staged.sha256.toString('hex'),
        contentType: what.contentType,
        extension: safeExtension(what.extension),
      },
      { locationId: local.id, key, actor, leaseMs: placement.settings.writeLeaseMs },
    )
    isBegun = true
    const held = await files.adopt(what.staged.path, key)
    if (held.size !== what.staged.size) {
      throw new AppError('corrupt', `staged ${what.staged.size} bytes, but ${held.size} are in place`)
    }
    return await db.transaction().execute(async (tx) => {
      const level = PROOF.transport
      await proveNewObject(tx, replica, { level, proof: { method: 'hashed-on-arrival' }, actor })
      const result = await commit(tx, objectId)
      if (what.keepLocalUntilProcessed) await takeProcessingLease(tx, objectId)
      const held = {
        locationId: local.id,
        state: 'verified',
        proofLevel: level,
        verifiedAt: placement.now(),
      } as const
      await settleNew(tx, placement, { id: objectId, kind: what.kind }, held)
      return result
    })
  } catch (error) {
    if (isBegun) await discardObject(placement, objectId, actor)
    throw error
  } finally {
    await what.staged.discard()
  }
}

/** As `ingestStaged`, for a finished file that this process made in a scratch folder. */
export async function ingestGenerated<T>(
  placement: Placement,
  what: NewObject & { path: string },
  commit: (tx: Tx, objectId: string) => Promise<T>,
): Promise<T> {
  return ingestStaged(placement, { ...what, staged: await stageFile(what.path) }, commit)
}
