/**
 * Writes that go past us: a client puts the bytes of an original into the bucket with presigned URLs. The intent is an
 * ordinary one, an object that is not linked and its `writing` replica under a fresh key, whose lease is as long as the
 * client may take. Nothing that arrives counts before `prove-write.ts` has read it.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Multipart, ObjectInfo, ObjectKey } from '../storage/backend.ts'
import { isStorageError, StorageError } from '../storage/backend.ts'
import type { DirectTarget, SignedRequest } from './direct-target.ts'
import { freshKey } from './keys.ts'
import { locationOf } from './locations.ts'
import type { Placement } from './placement.ts'
import { markForPurge } from './purge.ts'
import { beginObjectWith, type NewObject } from './replicas.ts'

const PUT_URL_MS = 15 * 60_000
const PART_URL_MS = 3_600_000
/** A put that began just before its URL expired may still be under way. */
const PUT_GRACE_MS = 10 * 60_000
const WRITABLE_FOR_MS = PUT_URL_MS + PUT_GRACE_MS
/** The intent's own end comes first; the sweep of placement is for what it leaves behind. */
const LEASE_MARGIN_MS = 3_600_000
/** A confirmed upload is never given up for its age: the bucket may be away for weeks. */
const UNTIL_PROVEN = sql<Date>`now() + interval '10 years'`
const ACTOR = 'direct upload'

/** The write that a client was given: what its URLs are signed for. */
export type DirectWrite = { objectId: string; locationId: string; key: ObjectKey; uploadId: string | null }
export type HeldPart = { number: number; size: number; etag: string }

/**
 * The intent of a write, in one statement with `noting`: an insert of the row of whoever asked for it, which returns it.
 * Null where that inserted nothing: then nothing was begun.
 */
export function beginDirectWriteWith<Values extends Record<string, unknown>>(
  noting: Parameters<typeof beginObjectWith<Values>>[0],
) {
  const begin = beginObjectWith(noting)
  return async (
    db: Queryable,
    target: DirectTarget,
    object: Omit<NewObject, 'kind'>,
    { inParts, lifetimeMs, values }: { inParts: boolean; lifetimeMs: number; values: Values },
  ): Promise<DirectWrite | null> => {
    const whole = { ...object, kind: 'original' as const }
    const write = { objectId: object.id, locationId: target.location.id, key: freshKey(whole) }
    const uploadId = inParts ? '' : null
    const replica = inParts ? { ...write, uploadId: '' } : { ...write, writableForMs: WRITABLE_FOR_MS }
    const first = { replicas: [replica], actor: ACTOR, leaseMs: lifetimeMs + LEASE_MARGIN_MS }
    return (await begin(db, whole, first, values)) ? { ...write, uploadId } : null
  }
}

/** A single put, bound to the bytes: their length, MD5 and type, and to their not being there yet. */
export async function signPut(
  target: DirectTarget,
  write: DirectWrite,
  body: { size: number; md5: Buffer; contentType: string },
): Promise<SignedRequest & { expiresAt: Date }> {
  return target.location.backend.presign!.put(write.key, {
    expiresInSeconds: PUT_URL_MS / 1_000,
    size: body.size,
    digests: [{ algorithm: 'md5', value: body.md5.toString('hex') }],
    contentType: body.contentType,
    onlyIfAbsent: true,
  })
}

/**
 * To be called before another URL for the same put is signed: until it is good for nothing, no purge is final.
 * @throws AppError conflict where the write was given up meanwhile: then nothing may be signed
 */
export async function prolongPut(db: Database, write: DirectWrite): Promise<void> {
  const prolonged = await writingReplica(db, write)
    .set({ writable_until: sql<Date>`now() + ${WRITABLE_FOR_MS} * interval '1 millisecond'` })
    .where(isUploadOpen)
    .executeTakeFirst()
  if (prolonged.numUpdatedRows !== 1n)
    throw new AppError('conflict', 'this upload was given up meanwhile; ask again')
}

/** Each bound to its part's number, length and MD5. Begins the multipart upload where that is still to do. */
export async function signParts(
  placement: Placement,
  write: DirectWrite,
  parts: readonly { number: number; size: number; md5: string }[],
  contentType: string,
): Promise<{ expiresAt: Date; parts: ({ number: number } & SignedRequest)[] }> {
  const multipart = multipartOf(placement, write)
  const uploadId = write.uploadId || (await beginParts(placement, multipart, write, contentType))
  let expiresAt = new Date(Date.now() + PART_URL_MS)
  const signed: ({ number: number } & SignedRequest)[] = []
  for (const part of parts) {
    const options = { ...part, uploadId, expiresInSeconds: PART_URL_MS / 1_000 }
    const { expiresAt: endsAt, ...request } = await multipart.presignPart(write.key, options)
    if (endsAt < expiresAt) expiresAt = endsAt
    signed.push({ number: part.number, ...request })
  }
  return { expiresAt, parts: signed }
}

async function beginParts(
  placement: Placement,
  multipart: Multipart,
  write: DirectWrite,
  contentType: string,
): Promise<string> {
  const { uploadId } = await withPatience(placement, (signal) =>
    multipart.begin(write.key, { contentType, signal }),
  )
  const noted = await writingReplica(placement.db, write)
    .set({ upload_id: uploadId })
    .where('upload_id', '=', '')
    .where(isUploadOpen)
    .executeTakeFirst()
  if (noted.numUpdatedRows === 1n) return uploadId
  // Another request of the same client was first, or the upload was given up.
  await multipart.abort(write.key, uploadId)
  throw new AppError('conflict', 'this upload is being begun by another request; ask again')
}

/**
 * The parts that the bucket holds. When it has given the upload up, none: the next signature begins it anew. When the parts
 * are gone because they became an object meanwhile, none as well, and nothing is forgotten.
 */
export async function listHeldParts(placement: Placement, write: DirectWrite): Promise<HeldPart[]> {
  const { uploadId } = write
  if (!uploadId) return []
  const multipart = multipartOf(placement, write)
  try {
    return await withPatience(placement, (signal) => multipart.listParts(write.key, uploadId, { signal }))
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    await writingReplica(placement.db, write)
      .set({ upload_id: '' })
      .where('upload_id', '=', uploadId)
      .where(isUploadOpen)
      .execute()
    return []
  }
}

/** What a single put has left under the key, by one HEAD; null: nothing. */
export function headWrite(placement: Placement, write: DirectWrite): Promise<ObjectInfo | null> {
  const { backend } = locationOf(placement, write.locationId)
  return withPatience(placement, (signal) => backend.head(write.key, { signal }))
}

/** Somebody waits for the answer to a request: quick tries included, no longer than for the first byte of a file. */
async function withPatience<T>(placement: Placement, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { answerWithinMs } = placement.settings
  const patience = new AbortController()
  const late = () => patience.abort(new StorageError('unavailable', `no answer for ${answerWithinMs} ms`))
  const timer = setTimeout(late, answerWithinMs)
  try {
    return await ask(patience.signal)
  } finally {
    clearTimeout(timer)
  }
}

/** `proof`: JSON. */
export type KeptWrite = { objectId: string; locationId: string; key: string; proof: string | null }

/**
 * The client has said that all is there: from here on only the proof ends the write. An update to be part of the
 * statement that notes this, under the same condition.
 */
export function keepUntilProven(
  value: (name: keyof KeptWrite) => RawBuilder<string>,
  condition: RawBuilder<boolean>,
): RawBuilder<unknown> {
  return sql`
    update replica set lease_expires_at = ${UNTIL_PROVEN}, proof = ${value('proof')}::jsonb
    where object_id = ${value('objectId')} and location_id = ${value('locationId')} and key = ${value('key')}
      and state = 'writing' and ${condition}`
}

/**
 * The write came to nothing; what it may have left goes as soon as nothing can put it there again: no URL and, where it
 * `isBeingProven`, no parts that become an object meanwhile.
 */
export async function abandonWrite(
  tx: Queryable,
  objectId: string,
  { isBeingProven = false }: { isBeingProven?: boolean } = {},
): Promise<void> {
  await tx
    .updateTable('replica')
    .set({
      lease_expires_at: sql<Date>`now() - interval '1 minute'`,
      ...(isBeingProven && {
        writable_until: sql<Date>`greatest(writable_until, now() + ${PUT_GRACE_MS} * interval '1 millisecond')`,
      }),
    })
    .where('object_id', '=', objectId)
    .where('state', '=', 'writing')
    .execute()
  await markForPurge(tx, [objectId])
}

function multipartOf(placement: Placement, write: DirectWrite): Multipart {
  const { multipart } = locationOf(placement, write.locationId).backend
  if (!multipart) throw new AppError('unavailable', `${write.locationId} takes no uploads in parts`)
  return multipart
}

/** Confirmed, its parts belong to the job that makes an object of them. */
const isUploadOpen = sql<boolean>`exists (
  select from direct_upload where direct_upload.object_id = replica.object_id and direct_upload.state = 'open')`

function writingReplica(db: Queryable, write: DirectWrite) {
  return db
    .updateTable('replica')
    .where('object_id', '=', write.objectId)
    .where('location_id', '=', write.locationId)
    .where('key', '=', write.key)
    .where('state', '=', 'writing')
}
