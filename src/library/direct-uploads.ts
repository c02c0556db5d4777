/**
 * Uploads that go past the server: a client asks, puts the bytes into the bucket with presigned URLs, and confirms. What
 * it announced is kept in `direct_upload`; the asset appears when `prove-upload.ts` has read the bytes back.
 *
 * States: `open` -> `received` (confirmed: all is there) -> `done`, `duplicate` or `failed`; `open` -> `abandoned`.
 */
import { randomUUID } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import type { Database, Tx } from '../database/connect.ts'
import type { DirectUploadState, Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { formatOf } from '../media/formats.ts'
import {
  abandonWrite,
  beginDirectWrite,
  type DirectMode,
  type DirectTarget,
  type DirectWrite,
  findDirectTarget,
  headWrite,
  keepUntilProven,
  listHeldParts,
  prolongPut,
  type SignedRequest,
  signParts,
  signPut,
} from '../placement/direct-write.ts'
import { knownKey, safeExtension } from '../placement/keys.ts'
import type { Placement } from '../placement/placement.ts'
import { addJob } from '../queue/enqueue.ts'
import type { Actor } from './access.ts'
import { planParts, sizeOfPart } from './direct-upload-parts.ts'
import { demandQuota } from './quota.ts'
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

export type DirectUploadView = {
  id: string
  state: DirectUploadState
  /** Why it failed or was given up, for people. */
  reason: string | null
  /** Of `done` and `duplicate`. */
  assetId: string | null
  fileName: string
  size: number
  /** Lower-case hex. */
  sha256: string
  createdAt: string
  expiresAt: string
  /** Null: one put. Every part has `partBytes`, the last one what is left. */
  parts: { partBytes: number; count: number } | null
}
/** What an open upload still needs: the one put, or which parts are there already. */
export type OpenUpload = DirectUploadView & {
  put: (SignedRequest & { expiresAt: string }) | null
  present: { number: number; size: number }[]
}
export type AskAnswer = { status: 'duplicate'; id: string } | ({ status: 'created' | 'open' } & OpenUpload)

type Parts = { db: Database; placement: Placement }
type UploadRow = Selectable<Schema['direct_upload']>
type Loaded = { upload: UploadRow; write: DirectWrite | null }

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
  const known = await lookForKnown(db, actor.userId, asked)
  if (known.assetId !== null) return { status: 'duplicate', id: known.assetId }
  if (known.uploadId !== null) {
    const again = await goOn({ db, placement }, actor, known.uploadId, asked)
    if (again !== null) return { status: 'open', ...again }
  }
  const target = await findDirectTarget(placement, mode)
  if (typeof target === 'string') throw new AppError('unavailable', `No direct uploads: ${target}`)
  if (known.open >= DIRECT_LIMITS.openUploads) {
    const message = `${known.open} uploads of yours are open: confirm or delete some of them first`
    throw new AppError('conflict', message)
  }
  const partBytes = planParts(asked.size, target.features, DIRECT_LIMITS.singlePutBytes)
  if (partBytes === null && asked.md5 === null) throw missingMd5()
  if (asked.fields.livePhotoVideoId !== null)
    await demandLivePhotoVideo(db, actor, asked.fields.livePhotoVideoId)

  const loaded = await beginWithinQuota(db, actor, asked, { target, partBytes, format, quota: known.quota })
  if (loaded !== null) return { status: 'created', ...(await describeOpen(placement, loaded, target)) }
  const other = await lookForKnown(db, actor.userId, asked)
  const same = other.uploadId && (await goOn({ db, placement }, actor, other.uploadId, asked))
  if (same) return { status: 'open', ...same }
  throw new AppError('conflict', 'The same file was asked for and ended at this moment; ask again')
}

async function lookForKnown(db: Database, ownerId: string, { sha1, sha256 }: DirectUploadAsked) {
  const { rows } = await sql<{
    assetId: string | null
    uploadId: string | null
    open: number
    quota: number | null
  }>`
    select (select quota_bytes from app_user where id = ${ownerId}) as quota,
      (select id from asset where owner_id = ${ownerId} and checksum = ${sha1}) as "assetId",
      (select id from direct_upload where owner_id = ${ownerId} and sha256 = ${sha256}
        and state in ('open', 'received')) as "uploadId",
      (select count(*)::int from direct_upload where owner_id = ${ownerId} and state = 'open') as open`.execute(
    db,
  )
  return rows[0]!
}

type Plan = {
  target: DirectTarget
  partBytes: number | null
  format: { mimeType: string; extension: string }
}

/** One statement where nobody limits the user; else one transaction, so that two requests can't both fit. Null: asked twice. */
async function beginWithinQuota(
  db: Database,
  actor: Actor,
  asked: DirectUploadAsked,
  { quota, ...plan }: Plan & { quota: number | null },
): Promise<Loaded | null> {
  try {
    if (quota === null) return await begin(db, actor, asked, plan)
    return await db.transaction().execute(async (tx) => {
      await demandQuota(tx, actor.userId, asked.size)
      return begin(tx, actor, asked, plan)
    })
  } catch (error) {
    const { code, constraint } = error as { code?: string; constraint?: string }
    // Another request asked for the same file at this moment.
    if (code === '23505' && constraint === 'direct_upload_underway') return null
    throw error
  }
}

async function begin(
  db: Database | Tx,
  actor: Actor,
  asked: DirectUploadAsked,
  { target, partBytes, format }: Plan,
): Promise<Loaded> {
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
  const columns = sql.join(Object.keys(upload).map((name) => sql.id(name)))
  const noting = sql`insert into direct_upload (${columns}) values (${sql.join(Object.values(upload))})`
  return { upload, write: await beginDirectWrite(db, target, object, { inParts, lifetimeMs, noting }) }
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
  if (upload.md5 !== null) await prolongPut(db, write)
  return describeOpen(placement, loaded, target)
}

export const EXPIRED = 'it was not confirmed in time'

/** Existing writes go on where they began, whatever the policy says by now. */
function targetOf(placement: Placement, write: DirectWrite): DirectTarget {
  const location = placement.locations.get(write.locationId)
  if (!location)
    throw new AppError('unavailable', `location "${write.locationId}" is not configured any more`)
  return { location, features: location.backend.features }
}

async function describeOpen(
  placement: Placement,
  { upload, write }: Loaded,
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

/** How one upload stands; of an open one in parts, those that the bucket holds. @throws AppError not-found */
export async function showDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  uploadId: string,
): Promise<DirectUploadView & { present: { number: number; size: number }[] }> {
  const { upload, write } = await loadUpload(db, actor, uploadId)
  const held = upload.state === 'open' && write !== null ? await listHeldParts(placement, write) : []
  return { ...describe(upload), present: held.map(({ number, size }) => ({ number, size })) }
}

/** The actor's own, newest first: those under way and those that ended lately, or those of the ids. */
export async function listDirectUploads(
  db: Database,
  actor: Actor,
  { ids, state }: { ids: readonly string[] | null; state: DirectUploadState | null },
): Promise<DirectUploadView[]> {
  let query = db
    .selectFrom('direct_upload')
    .selectAll()
    .where('owner_id', '=', actor.userId)
    .orderBy('created_at', 'desc')
    .limit(DIRECT_LIMITS.openUploads)
  if (ids !== null) query = query.where('id', 'in', [...ids])
  if (state !== null) query = query.where('state', '=', state)
  return (await query.execute()).map(describe)
}

/** URLs for parts, each bound to its length and MD5 (lower-case hex). @throws AppError invalid, not-found, conflict */
export async function signDirectParts(
  { db, placement }: Parts,
  actor: Actor,
  uploadId: string,
  parts: readonly { number: number; size: number; md5: string }[],
): Promise<{ expiresAt: string; parts: ({ number: number } & SignedRequest)[] }> {
  const { upload, write } = await loadUpload(db, actor, uploadId)
  demandOpen(upload)
  const { part_bytes: partBytes, size } = upload
  if (partBytes === null) throw new AppError('invalid', 'parts: this upload is one put, not several parts')
  for (const part of parts) {
    const right = sizeOfPart(part.number, { size, partBytes })
    if (part.size !== right)
      throw new AppError(
        'invalid',
        right === null
          ? `parts: there is no part ${part.number}`
          : `parts: part ${part.number} has ${right} bytes, not ${part.size}`,
      )
  }
  if (write === null) throw new AppError('conflict', 'this upload was given up meanwhile')
  const signed = await signParts(placement, write, parts, mimeTypeOf(upload))
  return { expiresAt: signed.expiresAt.toISOString(), parts: signed.parts }
}

/**
 * The client says that all is there. Looks whether it is, and enqueues the proof in the transaction that notes it; until
 * then nothing has changed, so that a kill leaves either an open upload or one that goes on by itself. Idempotent.
 * @throws AppError not-found, conflict (something is missing: the message says what)
 */
export async function confirmDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  uploadId: string,
): Promise<DirectUploadView> {
  const { upload, write } = await loadUpload(db, actor, uploadId)
  if (upload.state !== 'open') return describe(upload)
  demandOpen(upload)
  if (write === null) throw new AppError('conflict', 'this upload was given up meanwhile')
  const proof = upload.md5 === null ? await demandParts(placement, upload, write) : null
  const held = upload.md5 === null ? proof : await demandPut(placement, upload, write)
  const { rows } = await sql`
    with received as (
      update direct_upload set state = 'received'
      where id = ${uploadId} and state = 'open' and expires_at > now()
        and exists (select from replica where object_id = ${write.objectId} and state = 'writing')
      returning id),
    kept as (${keepUntilProven(write, held, sql<boolean>`exists (select from received)`)})
    select ${addJob('prove-upload', { uploadId }, { key: `prove:${uploadId}` })} from received`.execute(db)
  if (rows.length === 1) return { ...describe(upload), state: 'received' }
  return describe((await loadUpload(db, actor, uploadId)).upload)
}

async function demandPut(placement: Placement, upload: UploadRow, write: DirectWrite) {
  const info = await headWrite(placement, write)
  if (info === null)
    throw new AppError('conflict', 'nothing has arrived in the bucket yet: put the file first')
  if (info.size !== upload.size)
    throw new AppError('conflict', `${info.size} of ${upload.size} bytes are there: put the file again`)
  const md5 = upload.md5!.toString('hex')
  return { method: 'enforced' as const, md5, ...(info.etag !== undefined && { etag: info.etag }) }
}

/** Nothing is made of the parts yet: that is the job's, which does it again after a kill. */
async function demandParts(placement: Placement, upload: UploadRow, write: DirectWrite): Promise<null> {
  const held = new Map((await listHeldParts(placement, write)).map(({ number, size }) => [number, size]))
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

/** Gives an open upload up. Idempotent. @throws AppError not-found, conflict when it was confirmed already */
export async function deleteDirectUpload({ db }: Parts, actor: Actor, uploadId: string): Promise<void> {
  const { upload } = await loadUpload(db, actor, uploadId)
  if (upload.state === 'abandoned') return
  if (upload.state === 'open' && (await endUpload(db, uploadId, 'abandoned', 'you gave it up'))) return
  throw new AppError('conflict', 'this upload was confirmed already; delete the asset instead')
}

/** open or received -> failed or abandoned, and its object is purged. False when it had ended otherwise. */
export async function endUpload(
  db: Database,
  uploadId: string,
  state: 'failed' | 'abandoned',
  reason: string,
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const ended = await tx
      .updateTable('direct_upload')
      .set({ state, reason, ended_at: sql<Date>`now()` })
      .where('id', '=', uploadId)
      .where('state', '=', state === 'failed' ? 'received' : 'open')
      .returning('object_id')
      .executeTakeFirst()
    if (!ended) return false
    await abandonWrite(tx, ended.object_id)
    return true
  })
}

function demandOpen(upload: UploadRow): void {
  if (upload.state !== 'open') throw new AppError('conflict', `this upload is ${upload.state}`)
  if (upload.expires_at < new Date()) throw new AppError('conflict', `this upload is over: ${EXPIRED}`)
}

function missingMd5(): AppError {
  const message = `needed for files up to ${DIRECT_LIMITS.singlePutBytes} bytes: 32 hexadecimal digits`
  return new AppError('invalid', `md5: ${message}`, { fields: [{ path: ['md5'], message, code: 'custom' }] })
}

/** @throws AppError not-found, also for somebody else's */
async function loadUpload(db: Database, actor: Actor, uploadId: string): Promise<Loaded> {
  const row = await db
    .selectFrom('direct_upload as u')
    .leftJoin('replica as r', (join) =>
      join.onRef('r.object_id', '=', 'u.object_id').on('r.state', '=', 'writing'),
    )
    .selectAll('u')
    .select(['r.location_id', 'r.key', 'r.upload_id'])
    .where('u.id', '=', uploadId)
    .where('u.owner_id', '=', actor.userId)
    .executeTakeFirst()
  if (!row) throw new AppError('not-found', 'there is no such upload')
  const { location_id: locationId, key, upload_id, ...upload } = row
  const write =
    locationId === null || key === null
      ? null
      : { objectId: upload.object_id, locationId, key: knownKey(key), uploadId: upload_id }
  return { upload, write }
}

function mimeTypeOf(upload: UploadRow): string {
  return formatOf(upload.file_name)?.mimeType ?? 'application/octet-stream'
}

function describe(upload: UploadRow): DirectUploadView {
  const { part_bytes: partBytes } = upload
  return {
    id: upload.id,
    state: upload.state,
    reason: upload.reason,
    assetId: upload.state === 'done' || upload.state === 'duplicate' ? upload.asset_id : null,
    fileName: upload.file_name,
    size: upload.size,
    sha256: upload.sha256.toString('hex'),
    createdAt: upload.created_at.toISOString(),
    expiresAt: upload.expires_at.toISOString(),
    parts: partBytes === null ? null : { partBytes, count: Math.ceil(upload.size / partBytes) },
  }
}
