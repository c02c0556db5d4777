/**
 * How bytes get in: intent first, then the bytes, then one transaction that makes them count. A kill at any
 * point leaves either a committed library row whose object is verified, or a row that says which bytes to
 * remove.
 */
import { randomUUID } from 'node:crypto'
import type { Tx } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { fileBody } from '../../storage/bytes/file-body.ts'
import { freshKey, safeExtension } from '../keys.ts'
import { takeProcessingLease } from '../ledger/leases.ts'
import { enqueueNextStepsOfNew } from '../ledger/next-steps.ts'
import { beginObject, proveNewObject, proveReplica } from '../ledger/replicas.ts'
import { discardObject } from '../lifecycle/purge.ts'
import { confirmLocation } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { PROOF } from '../states.ts'
import { type StagedFile, stageFile } from './stage.ts'
import { asUploadError } from './upload-error.ts'

/** What is known of an object before its bytes are. */
export type ObjectToIngest = {
  kind: ObjectKind
  ownerId: string
  /** Null for what belongs to the user alone (a profile image). */
  assetId: string | null
  contentType: string
  extension: string
  /** Of a database backup: the moment that it shows. */
  createdAt?: Date
}

/**
 * Makes a staged file an object. `commit` runs in the transaction that makes its first replica verified: it
 * must link the object (insert or point the library's row at it) and enqueue what follows. When it throws,
 * nothing of the object stays, and its error is thrown on. The staged file is gone afterwards either way.
 *
 * A file that was written through while it arrived is proven at its place first; its local replica counts
 * from the same moment, and goes as any other that is not wanted there.
 */
export async function ingestStaged<T>(
  placement: Placement,
  what: ObjectToIngest & { staged: StagedFile; keepLocalUntilProcessed?: boolean },
  commit: (tx: Tx, objectId: string) => Promise<T>,
): Promise<T> {
  const { local, db } = placement
  const files = local.backend.localFiles
  if (!files) throw new AppError('unavailable', `location ${local.id} holds no local files`)
  const { writeThrough } = what.staged
  const object = {
    id: randomUUID(),
    ownerId: what.ownerId,
    assetId: what.assetId,
    kind: what.kind,
    size: what.staged.size,
    sha256: what.staged.sha256.toString('hex'),
    contentType: what.contentType,
    extension: safeExtension(what.extension),
  }
  const here = { objectId: object.id, locationId: local.id, key: freshKey(what) }
  const there = writeThrough && {
    objectId: object.id,
    locationId: writeThrough.locationId,
    key: writeThrough.key(),
  }
  const actor = `ingest ${what.kind}`
  let isBegun = false
  try {
    await confirmLocation(placement, local).catch((error: unknown) => {
      throw asUploadError(error)
    })
    await beginObject(db, object, {
      replicas: there ? [here, there] : [here],
      actor,
      leaseMs: placement.settings.writeLeaseMs,
    })
    isBegun = true
    const held = await files.adopt(what.staged.path, here.key)
    if (held.size !== object.size) {
      throw new AppError('corrupt', `staged ${object.size} bytes, but ${held.size} are in place`)
    }
    const body = fileBody(files.path(here.key), object.size, [{ algorithm: 'sha256', value: object.sha256 }])
    const proven = await writeThrough?.prove(object, body)
    const result = await db.transaction().execute(async (tx) => {
      const level = PROOF.transport
      const proof = { method: 'hashed-on-arrival', modifiedAtMs: held.modifiedAt.getTime() } as const
      await proveNewObject(tx, here, { level, proof, actor })
      if (proven) {
        await proveReplica(tx, there!, { ...proven, actor })
        await writeThrough!.forget(tx)
      }
      const result = await commit(tx, object.id)
      if (what.keepLocalUntilProcessed) await takeProcessingLease(tx, object.id)
      const verified = { state: 'verified', verifiedAt: placement.now() } as const
      await enqueueNextStepsOfNew(tx, placement, object, [
        { ...verified, locationId: local.id, proofLevel: level },
        ...(proven ? [{ ...verified, locationId: there!.locationId, proofLevel: proven.level }] : []),
      ])
      return result
    })
    writeThrough?.finish()
    return result
  } catch (error) {
    // The parts first: completing them after their key was cleared would leave bytes without a row.
    await writeThrough?.abandon()
    if (isBegun) await discardObject(placement, object.id, actor)
    throw error
  } finally {
    await what.staged.discard()
  }
}

/** As `ingestStaged`, for a finished file that this process made in a scratch folder. */
export async function ingestGenerated<T>(
  placement: Placement,
  what: ObjectToIngest & { path: string },
  commit: (tx: Tx, objectId: string) => Promise<T>,
): Promise<T> {
  return ingestStaged(placement, { ...what, staged: await stageFile(what.path) }, commit)
}
