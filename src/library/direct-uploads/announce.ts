/**
 * Uploads that go past the server: a client announces a file, puts the bytes into the bucket with presigned
 * URLs, and confirms. What it announced is kept in `direct_upload`; the asset appears when `prove.ts` has
 * read the bytes back.
 *
 * States: `open` -> `received` (confirmed: all is there) -> `done`, `duplicate` or `failed`; `open` ->
 * `abandoned`.
 */

import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { AppError } from '../../errors.ts'
import type { Placement } from '../../placement/placement.ts'
import {
  type DirectMode,
  type DirectTarget,
  findDirectTarget,
  requireDirectTarget,
  type SignedRequest,
  takesSinglePuts,
} from '../../placement/uploads/direct-target.ts'
import { type DirectWrite, listHeldParts, prolongPut, signPut } from '../../placement/uploads/direct-write.ts'
import { asUploadError } from '../../placement/uploads/upload-error.ts'
import type { Actor } from '../access.ts'
import { linkIfAlone, requireLivePhotoVideo } from '../assets/live-photos.ts'
import { acknowledgeUnsent } from '../uploads/duplicates.ts'
import { requireSupportedFile } from '../uploads/uploads.ts'
import { type Begun, beginIfNew, beginWithinLimits } from './begin.ts'
import { takeUpExpired, takeUpFound, takeUpJoined } from './confirm.ts'
import { endUpload } from './give-up.ts'
import { planOf } from './plan.ts'
import {
  type AnnouncedFile,
  type DirectUploadView,
  describe,
  EXPIRED,
  isOpen,
  type LoadedUpload,
  loadUpload,
  mimeTypeOf,
} from './rows.ts'

/** What an open upload still needs: the one put, or which parts are there already. */
export type OpenUpload = DirectUploadView & {
  put: (SignedRequest & { expiresAt: string }) | null
  present: { number: number; size: number }[]
}
export type AnnounceAnswer =
  | { status: 'duplicate'; id: string }
  | ({ status: 'created' | 'open' } & OpenUpload)

type Parts = { db: Database; placement: Placement }

/**
 * Takes note of a file that a client wants to put into the bucket, and answers with what to send where.
 * Announced again, the same bytes are answered with the same upload and what of it is there, so that a client
 * goes on after its crash.
 * @throws AppError invalid (format, digests), too-large, quota-exceeded, conflict (too many open, other bytes
 * of the same SHA-1),
 *   unavailable (no bucket for it)
 */
export async function announceUpload(
  parts: Parts,
  actor: Actor,
  file: AnnouncedFile,
  { mode, maxBytes }: { mode: DirectMode; maxBytes: number },
): Promise<AnnounceAnswer> {
  const { db, placement } = parts
  const format = requireSupportedFile(file.fileName)
  if (file.size > maxBytes)
    throw new AppError('too-large', `The file is larger than the limit of ${maxBytes} bytes`)
  const target = await findDirectTarget(placement, mode)
  if ('location' in target) {
    // Mostly it is a new file, far from every limit: then this is the only statement.
    const begun = await beginIfNew(db, actor, file, planOf(file, target, format))
    if (begun !== null) return created(placement, begun)
  }

  const known = await findKnown(db, actor.userId, file)
  const answer = await answerKnown(parts, actor, file, known)
  if (answer !== null) return answer

  const plan = planOf(file, await requireDirectTarget(placement, mode, actor), format)
  const { livePhotoVideoId } = file.fields
  if (livePhotoVideoId !== null) await requireLivePhotoVideo(db, actor, livePhotoVideoId)
  // The asset without a good copy is repaired by what arrives.
  const isRepair = known.assetId !== null
  const begun = await beginWithinLimits(db, actor, file, { ...plan, isRepair })
  if (begun !== null) return created(placement, begun)

  // Another request has announced the same file at this moment.
  const answerNow = await answerKnown(parts, actor, file, await findKnown(db, actor.userId, file))
  if (answerNow !== null) return answerNow
  throw new AppError('conflict', 'The same file was asked for and ended at this moment; ask again')
}

async function created(placement: Placement, { upload, write, target }: Begun): Promise<AnnounceAnswer> {
  return { status: 'created', ...(await describeOpen(placement, { upload, write }, target)) }
}

type Known = { assetId: string | null; uploadId: string | null }

const knownUploads = compileOnce<{ ownerId: string; sha1: Buffer; sha256: Buffer }, Known>(
  (_, value) => sql`
    select (select id from asset where owner_id = ${value('ownerId')} and checksum = ${value('sha1')}) as "assetId",
      (select id from direct_upload where owner_id = ${value('ownerId')} and sha256 = ${value('sha256')}
        and state in ('open', 'received')) as "uploadId"`,
)

async function findKnown(db: Database, ownerId: string, { sha1, sha256 }: AnnouncedFile): Promise<Known> {
  const [row] = await knownUploads(db, { ownerId, sha1, sha256 })
  return row!
}

/** For a file that is here already, or on its way; null where it is neither, or its time is over. */
async function answerKnown(
  parts: Parts,
  actor: Actor,
  file: AnnouncedFile,
  known: Known,
): Promise<AnnounceAnswer | null> {
  const here = known.assetId === null ? null : await acknowledgeUnsent(parts, actor, file)
  if (here !== null) {
    const { livePhotoVideoId } = file.fields
    if (livePhotoVideoId !== null) await linkIfAlone(parts, actor, here.id, livePhotoVideoId)
    return { status: 'duplicate', id: here.id }
  }
  const upload = known.uploadId === null ? null : await resume(parts, actor, known.uploadId, file)
  return upload === null ? null : { status: 'open', ...upload }
}

/**
 * Goes on with an upload that is under way; null where its time is over, not all of it is there, and a new
 * one may begin.
 */
async function resume(
  parts: Parts,
  actor: Actor,
  uploadId: string,
  file: AnnouncedFile,
): Promise<OpenUpload | null> {
  const { db, placement } = parts
  const loaded = await loadUpload(db, actor, uploadId)
  const { upload, write } = loaded
  if (!file.sha1.equals(upload.sha1) || (upload.md5 && file.md5 && !file.md5.equals(upload.md5)))
    throw new AppError(
      'conflict',
      `sha1, md5: upload ${uploadId} of the same SHA-256 has others; delete it first`,
    )
  if (upload.state !== 'open') return { ...describe(upload), put: null, present: [] }
  if (await takeUpFound(db, upload)) return { ...describe(upload), state: 'received', put: null, present: [] }
  if (upload.expires_at < new Date() || write === null) {
    // All of it may be there, and may have been acknowledged since, if this ledger is an older one: ended, it
    // would never come back.
    const isThere = await takeUpExpired(parts, loaded).catch((error: unknown) => {
      throw asUploadError(error)
    })
    if (isThere) return { ...describe(upload), state: 'received', put: null, present: [] }
    await endUpload(db, uploadId, 'abandoned', EXPIRED, { isLookedAt: true })
    return null
  }
  const target = targetOf(placement, write)
  if (upload.md5 !== null) {
    if (!takesSinglePuts(target.features)) {
      await endUpload(db, uploadId, 'abandoned', 'the bucket does not take it in one piece any more', {
        isLookedAt: true,
      })
      return null
    }
    await prolongPut(db, write, isOpen)
  }
  const open = await describeOpen(placement, loaded, target)
  // Asked for again, they would be sent to the key of the object that they have become.
  if (open.put === null && open.present.length === 0 && (await takeUpJoined(parts, loaded)))
    return { ...open, state: 'received' }
  return open
}

/** Existing writes go on where they began, whatever the policy says by now. */
function targetOf(placement: Placement, write: DirectWrite): DirectTarget {
  const location = placement.locations.get(write.locationId)
  if (!location)
    throw new AppError('unavailable', `location "${write.locationId}" is not configured any more`)
  return { location, features: location.backend.features }
}

async function describeOpen(
  placement: Placement,
  { upload, write }: LoadedUpload,
  target: DirectTarget,
): Promise<OpenUpload> {
  if (write === null) return { ...describe(upload), put: null, present: [] }
  if (upload.md5 === null) {
    const held = await listHeldParts(placement, write, isOpen)
    return { ...describe(upload), put: null, present: held.map(({ number, size }) => ({ number, size })) }
  }
  const body = { size: upload.size, md5: upload.md5, contentType: mimeTypeOf(upload) }
  const { expiresAt, ...put } = await signPut(target, write, body)
  return { ...describe(upload), put: { ...put, expiresAt: expiresAt.toISOString() }, present: [] }
}
