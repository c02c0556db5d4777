/** The client says that all of it is in the bucket: what is looked at, and how the proof begins. */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { AppError, isAppError } from '../../errors.ts'
import { hasReplicaToProve, hasVerifiedReplica } from '../../placement/ledger/object-sql.ts'
import type { Proof } from '../../placement/ledger/objects.ts'
import type { Placement } from '../../placement/placement.ts'
import {
  confirmPlaceOf,
  type DirectWrite,
  headWrite,
  type KeptWrite,
  keepUntilProven,
  listHeldParts,
} from '../../placement/uploads/direct-write.ts'
import { asUploadError } from '../../placement/uploads/upload-error.ts'
import { addJobOf } from '../../queue/enqueue.ts'
import type { Actor } from '../access.ts'
import { sizeOfPart } from './plan.ts'
import {
  type DirectUploadView,
  describe,
  isOpen,
  type LoadedUpload,
  loadUpload,
  requireOpen,
  type UploadRow,
} from './rows.ts'

type Parts = { db: Database; placement: Placement }

/**
 * The client says that all is there. Looks whether it is, and enqueues the proof in the transaction that
 * notes it; until then nothing has changed, so that a kill leaves either an open upload or one that goes on
 * by itself. Idempotent.
 * @throws AppError conflict (something is missing: the message says what)
 */
export async function confirmUpload(
  { db, placement }: Parts,
  actor: Actor,
  { upload, write }: LoadedUpload,
): Promise<DirectUploadView> {
  if (upload.state !== 'open') return describe(upload)
  requireOpen(upload)
  if (write === null) {
    if (await takeUpFound(db, upload)) return { ...describe(upload), state: 'received' }
    throw new AppError('conflict', 'this upload was given up meanwhile')
  }
  let held: Proof | null
  try {
    held = await requireHeld(placement, upload, write)
  } catch (error) {
    if (!isAppError(error, 'conflict')) throw error
    if (await takeUpFound(db, upload)) return { ...describe(upload), state: 'received' }
    if (await takeUpJoined({ db, placement }, { upload, write }))
      return { ...describe(upload), state: 'received' }
    // Confirmed by another request, the parts may be an object by now.
    const { upload: now } = await loadUpload(db, actor, upload.id)
    if (now.state !== 'open') return describe(now)
    throw error
  }
  if (await noteReceived(db, upload, write, { held, isLate: false }))
    return { ...describe(upload), state: 'received' }
  return describe((await loadUpload(db, actor, upload.id)).upload)
}

/**
 * Takes up an upload whose time is over but that is all there, or was found by an adoption, as if it had been
 * confirmed. False where it is not.
 * @throws AppError unavailable, conflict where that can't be told now
 */
export async function takeUpExpired(
  { db, placement }: Parts,
  { upload, write }: LoadedUpload,
): Promise<boolean> {
  if (upload.state !== 'open') return false
  if (await takeUpFound(db, upload)) return true
  if (write === null) return false
  await confirmPlaceOf(placement, write)
  let held: Proof | null
  try {
    held = await requireHeld(placement, upload, write)
  } catch (error) {
    if (!isAppError(error, 'conflict')) throw error
    return takeUpJoined({ db, placement }, { upload, write })
  }
  return noteReceived(db, upload, write, { held, isLate: true })
}

/**
 * Takes up an open upload whose parts are an object already: it was confirmed, and this ledger, if it is an
 * older one, has not heard of that. False where they are not.
 * @throws AppError unavailable where that can't be told now
 */
export async function takeUpJoined(
  { db, placement }: Parts,
  { upload, write }: LoadedUpload,
): Promise<boolean> {
  if (upload.md5 !== null || write === null) return false
  try {
    // First, for another bucket of that name may hold something there.
    await confirmPlaceOf(placement, write)
    if ((await headWrite(placement, write))?.size !== upload.size) return false
  } catch (error) {
    throw asUploadError(error)
  }
  return noteReceived(db, upload, write, { held: null, isLate: true })
}

/**
 * Takes up an upload of which an adoption has found the bytes: it was acknowledged, and this ledger is older
 * than that. Whatever its write has left, at its own place nothing may be there any more. False where nothing
 * was found, or it is not open any more.
 */
export async function takeUpFound(db: Database, upload: UploadRow): Promise<boolean> {
  // Nothing else makes a verified replica of an upload that has not ended.
  if (!(await hasVerifiedReplica(db, upload.object_id))) return false
  return noteReceived(db, upload, null, { held: null, isLate: true })
}

async function noteReceived(
  db: Database,
  upload: UploadRow,
  write: DirectWrite | null,
  { held, isLate }: { held: Proof | null; isLate: boolean },
): Promise<boolean> {
  const rows = await receive(db, {
    objectId: upload.object_id,
    locationId: write?.locationId ?? null,
    key: write?.key ?? null,
    uploadId: upload.id,
    proof: held && JSON.stringify(held),
    isLate,
  })
  return rows.length === 1
}

/** open -> received, and the job that proves it, unless it ended or was given up meanwhile. */
const receive = compileOnce<{ uploadId: string; isLate: boolean } & KeptWrite, { jobId: string }>(
  (_, value) => sql`
    with received as (
      update direct_upload set state = 'received'
      where id = ${value('uploadId')} and state = 'open' and (expires_at > now() or ${value('isLate')})
        and ${hasReplicaToProve(sql`direct_upload.object_id`)}
      returning id),
    kept as (${keepUntilProven(value, sql<boolean>`exists (select from received)`)})
    select (${addJobOf('prove-upload', { uploadId: value('uploadId') })}).id::text as "jobId" from received`,
)

/** All of it is in the bucket; what a proof of a single put begins with. */
async function requireHeld(
  placement: Placement,
  upload: UploadRow,
  write: DirectWrite,
): Promise<Proof | null> {
  return upload.md5 === null ? requireParts(placement, upload, write) : requirePut(placement, upload, write)
}

async function requirePut(placement: Placement, upload: UploadRow, write: DirectWrite): Promise<Proof> {
  const info = await headWrite(placement, write)
  if (info === null)
    throw new AppError('conflict', 'nothing has arrived in the bucket yet: put the file first')
  if (info.size !== upload.size)
    throw new AppError('conflict', `${info.size} of ${upload.size} bytes are there: put the file again`)
  const md5 = upload.md5!.toString('hex')
  return { method: 'enforced' as const, md5, ...(info.etag !== undefined && { etag: info.etag }) }
}

/** Nothing is made of the parts yet: that is the job's, which does it again after a kill. */
async function requireParts(placement: Placement, upload: UploadRow, write: DirectWrite): Promise<null> {
  const held = new Map(
    (await listHeldParts(placement, write, isOpen)).map(({ number, size }) => [number, size]),
  )
  const { count } = describe(upload).parts!
  const missing: number[] = []
  for (let number = 1; number <= count; number += 1) {
    if (held.get(number) !== sizeOfPart(number, { size: upload.size, partBytes: upload.part_bytes! }))
      missing.push(number)
  }
  if (missing.length === 0) return null
  const some = missing.slice(0, 20).join(', ')
  const rest = missing.length > 20 ? ` and ${missing.length - 20} more` : ''
  throw new AppError('conflict', `these parts are missing: ${some}${rest}`)
}
