/**
 * Uploads that go past the server: a client asks, puts the bytes into the bucket with presigned URLs, and confirms. What
 * it announced is kept in `direct_upload`; the asset appears when `prove-upload.ts` has read the bytes back.
 *
 * States: `open` -> `received` (confirmed: all is there) -> `done`, `duplicate` or `failed`; `open` -> `abandoned`.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { compileOnce } from '../database/compile-once.ts'
import type { Database, Tx } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import {
  type DirectMode,
  type DirectTarget,
  demandDirectTarget,
  findDirectTarget,
  type SignedRequest,
  takesSinglePuts,
} from '../placement/direct-target.ts'
import {
  beginDirectWriteWith,
  type DirectWrite,
  listHeldParts,
  prolongPut,
  signPut,
} from '../placement/direct-write.ts'
import { safeExtension } from '../placement/keys.ts'
import type { Placement } from '../placement/placement.ts'
import type { Actor } from './access.ts'
import { planParts } from './direct-upload-parts.ts'
import {
  COLUMNS,
  type DirectUploadView,
  describe,
  EXPIRED,
  endUpload,
  type LoadedUpload,
  loadUpload,
  mimeTypeOf,
  type UploadRow,
} from './direct-upload-rows.ts'
import { demandQuota, lockUser } from './quota.ts'
import { demandLivePhotoVideo, demandSupportedFile, type UploadFields } from './uploads.ts'

export const DIRECT_LIMITS = {
  /** Files up to this size go in one put. */
  singlePutBytes: 32 * 1024 * 1024,
  /** Open at a time, of one user. */
  openUploads: 1_000,
  partsPerRequest: 100,
  /** From the asking to the confirmation. */
  singleLifetimeMs: 24 * 3_600_000,
  partsLifetimeMs: 7 * 24 * 3_600_000,
} as const

export type DirectUploadAsked = {
  fileName: string
  size: number
  sha256: Buffer
  sha1: Buffer
  /** Needed where the file goes in one put, which is bound to it. */
  md5: Buffer | null
  fields: UploadFields
}

/** What an open upload still needs: the one put, or which parts are there already. */
export type OpenUpload = DirectUploadView & {
  put: (SignedRequest & { expiresAt: string }) | null
  present: { number: number; size: number }[]
}
export type AskAnswer = { status: 'duplicate'; id: string } | ({ status: 'created' | 'open' } & OpenUpload)

type Parts = { db: Database; placement: Placement }
/**
 * Takes note of a file that a client wants to put into the bucket, and answers with what to send where. Asked again for the
 * same bytes it answers with the same upload and what of it is there, so that a client goes on after its crash.
 * @throws AppError invalid (format, digests), too-large, quota-exceeded, conflict (too many open), unavailable (no bucket for it)
 */
export async function askDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  asked: DirectUploadAsked,
  { mode, maxBytes }: { mode: DirectMode; maxBytes: number },
): Promise<AskAnswer> {
  const format = demandSupportedFile(asked.fileName)
  if (asked.size > maxBytes)
    throw new AppError('too-large', `The file is larger than the limit of ${maxBytes} bytes`)
  const target = await findDirectTarget(placement, mode)
  // Mostly it is a new file, far from every limit: then this is the only statement.
  const begun =
    'location' in target ? await beginIfNew(db, actor, asked, planOf(asked, target, format)) : null
  if (begun !== null) return created(placement, begun)

  const known = await lookForKnown(db, actor.userId, asked)
  if (known.assetId !== null) return { status: 'duplicate', id: known.assetId }
  const again = known.uploadId && (await goOn({ db, placement }, actor, known.uploadId, asked))
  if (again) return { status: 'open', ...again }

  const plan = planOf(asked, await demandDirectTarget(placement, mode, actor), format)
  if (asked.fields.livePhotoVideoId !== null)
    await demandLivePhotoVideo(db, actor, asked.fields.livePhotoVideoId)
  const loaded = await beginWithinLimits(db, actor, asked, plan)
  if (loaded !== null) return created(placement, loaded)

  const now = await lookForKnown(db, actor.userId, asked)
  if (now.assetId !== null) return { status: 'duplicate', id: now.assetId }
  const same = now.uploadId && (await goOn({ db, placement }, actor, now.uploadId, asked))
  if (same) return { status: 'open', ...same }
  throw new AppError('conflict', 'The same file was asked for and ended at this moment; ask again')
}

async function created(placement: Placement, { upload, write, target }: Begun): Promise<AskAnswer> {
  return { status: 'created', ...(await describeOpen(placement, { upload, write }, target)) }
}

const knownUploads = compileOnce<
  { ownerId: string; sha1: Buffer; sha256: Buffer },
  { assetId: string | null; uploadId: string | null }
>(
  (_, value) => sql`
    select (select id from asset where owner_id = ${value('ownerId')} and checksum = ${value('sha1')}) as "assetId",
      (select id from direct_upload where owner_id = ${value('ownerId')} and sha256 = ${value('sha256')}
        and state in ('open', 'received')) as "uploadId"`,
)

async function lookForKnown(db: Database, ownerId: string, { sha1, sha256 }: DirectUploadAsked) {
  const [row] = await knownUploads(db, { ownerId, sha1, sha256 })
  return row!
}

type Plan = {
  target: DirectTarget
  partBytes: number | null
  format: { mimeType: string; extension: string }
}
type Begun = { upload: UploadRow; write: DirectWrite; target: DirectTarget }

/** @throws AppError too-large, invalid (no MD5 for what goes in one put) */
function planOf(asked: DirectUploadAsked, target: DirectTarget, format: Plan['format']): Plan {
  const partBytes = planParts(asked.size, target.features, DIRECT_LIMITS.singlePutBytes)
  if (partBytes !== null || asked.md5 !== null) return { target, partBytes, format }
  const message = `needed for files up to ${DIRECT_LIMITS.singlePutBytes} bytes: 32 hexadecimal digits`
  throw new AppError('invalid', `md5: ${message}`, { fields: [{ path: ['md5'], message, code: 'custom' }] })
}

/**
 * Statements that run at the same moment don't see each other's uploads. There are no more of them than connections, so
 * that whoever is further than this from a limit can't pass it.
 */
const UNSEEN_UPLOADS = 200

/** Null: it is known already, or near a limit, or something is wrong with it, as `beginWithinLimits` will say. */
async function beginIfNew(
  db: Database,
  actor: Actor,
  asked: DirectUploadAsked,
  plan: Plan,
): Promise<Begun | null> {
  const limits = { openUploads: DIRECT_LIMITS.openUploads - UNSEEN_UPLOADS, isWithinQuota: false }
  return orAskedTwice(begin(db, actor, asked, { ...plan, ...limits }))
}

/** In one transaction under the user's row lock, so that two requests can't both fit. Null: asked twice. */
async function beginWithinLimits(
  db: Database,
  actor: Actor,
  asked: DirectUploadAsked,
  plan: Plan,
): Promise<Begun | null> {
  const { openUploads } = DIRECT_LIMITS
  const beginning = db.transaction().execute(async (tx) => {
    await lockUser(tx, actor.userId)
    await demandQuota(tx, actor.userId, asked.size)
    const { open } = await tx
      .selectFrom('direct_upload')
      .select(({ fn }) => fn.countAll<number>().as('open'))
      .where('owner_id', '=', actor.userId)
      .where('state', '=', 'open')
      .executeTakeFirstOrThrow()
    if (open >= openUploads) {
      const message = `${openUploads} uploads of yours are open: confirm or delete some of them first`
      throw new AppError('conflict', message)
    }
    return begin(tx, actor, asked, { ...plan, openUploads, isWithinQuota: true })
  })
  return orAskedTwice(beginning)
}

/** Null where another request asked for the same file at this moment. */
async function orAskedTwice(beginning: Promise<Begun | null>): Promise<Begun | null> {
  try {
    return await beginning
  } catch (error) {
    const { code, constraint } = error as { code?: string; constraint?: string }
    if (code === '23505' && constraint === 'direct_upload_underway') return null
    throw error
  }
}

const beginUpload = beginDirectWriteWith<UploadRow & { openUploads: number; isWithinQuota: boolean }>(
  (value) => {
    const owner = value('owner_id')
    const row = COLUMNS.map((name) => value(name))
    return sql`
      insert into direct_upload (${sql.join(COLUMNS.map((name) => sql.id(name)))}) select ${sql.join(row)}
      where (select count(*) from direct_upload where owner_id = ${owner} and state = 'open') < ${value('openUploads')}
        and (${value('isWithinQuota')} or (select quota_bytes from app_user where id = ${owner}) is null)
        and not exists (select from asset where owner_id = ${owner} and checksum = ${value('sha1')})
        and not exists (
          select from direct_upload where owner_id = ${owner} and sha256 = ${value('sha256')} and state in ('open', 'received'))
        and (${value('live_photo_video_id')}::uuid is null or exists (
          select from asset where id = ${value('live_photo_video_id')} and owner_id = ${owner} and type = 'VIDEO'))
      returning id`
  },
)

/** Null where it is known, or so many are open already, as far as this statement can see, or nobody asked for the quota. */
async function begin(
  db: Database | Tx,
  actor: Actor,
  asked: DirectUploadAsked,
  { target, partBytes, format, ...limits }: Plan & { openUploads: number; isWithinQuota: boolean },
): Promise<Begun | null> {
  const inParts = partBytes !== null
  const lifetimeMs = inParts ? DIRECT_LIMITS.partsLifetimeMs : DIRECT_LIMITS.singleLifetimeMs
  const { fields, size, sha256 } = asked
  const upload: UploadRow = {
    id: randomUUID(),
    owner_id: actor.userId,
    object_id: randomUUID(),
    asset_id: randomUUID(),
    state: 'open',
    reason: null,
    size,
    sha256,
    sha1: asked.sha1,
    md5: inParts ? null : asked.md5,
    part_bytes: partBytes,
    file_name: asked.fileName,
    file_created_at: fields.fileCreatedAt,
    file_modified_at: fields.fileModifiedAt,
    is_favorite: fields.isFavorite,
    visibility: fields.visibility,
    duration_ms: fields.durationMs,
    live_photo_video_id: fields.livePhotoVideoId,
    expires_at: new Date(Date.now() + lifetimeMs),
    created_at: new Date(),
    ended_at: null,
  }
  const object = {
    id: upload.object_id,
    ownerId: actor.userId,
    assetId: upload.asset_id,
    size,
    sha256: sha256.toString('hex'),
    contentType: format.mimeType,
    extension: safeExtension(format.extension),
  }
  const values = { ...upload, ...limits }
  const write = await beginUpload(db, target, object, { inParts, lifetimeMs, values })
  return write === null ? null : { upload, write, target }
}

/** An upload that is under way already, or null where its time is over and a new one may begin. */
async function goOn(
  parts: Parts,
  actor: Actor,
  uploadId: string,
  asked: DirectUploadAsked,
): Promise<OpenUpload | null> {
  const { db, placement } = parts
  const loaded = await loadUpload(db, actor, uploadId)
  const { upload, write } = loaded
  if (!asked.sha1.equals(upload.sha1) || (upload.md5 && asked.md5 && !asked.md5.equals(upload.md5)))
    throw new AppError(
      'conflict',
      `sha1, md5: upload ${uploadId} of the same SHA-256 has others; delete it first`,
    )
  if (upload.state !== 'open') return { ...describe(upload), put: null, present: [] }
  if (upload.expires_at < new Date() || write === null) {
    await endUpload(db, uploadId, 'abandoned', EXPIRED)
    return null
  }
  const target = targetOf(placement, write)
  if (upload.md5 !== null) {
    if (!takesSinglePuts(target.features)) {
      await endUpload(db, uploadId, 'abandoned', 'the bucket does not take it in one piece any more')
      return null
    }
    await prolongPut(db, write)
  }
  return describeOpen(placement, loaded, target)
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
    const held = await listHeldParts(placement, write)
    return { ...describe(upload), put: null, present: held.map(({ number, size }) => ({ number, size })) }
  }
  const body = { size: upload.size, md5: upload.md5, contentType: mimeTypeOf(upload) }
  const { expiresAt, ...put } = await signPut(target, write, body)
  return { ...describe(upload), put: { ...put, expiresAt: expiresAt.toISOString() }, present: [] }
}
