/**
 * Writes that go past us: a client puts the bytes of an original into the bucket with presigned URLs. The intent is an
 * ordinary one, an object that is not linked and its `writing` replica under a fresh key, whose lease is as long as the
 * client may take. Nothing that arrives counts before `prove-write.ts` has read it.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Features, Multipart, ObjectInfo, ObjectKey, ProbeReport } from '../storage/backend.ts'
import { isStorageError } from '../storage/backend.ts'
import { freshKey } from './keys.ts'
import { locationOf } from './locations.ts'
import type { Location, Placement } from './placement.ts'
import { markForPurge } from './purge.ts'
import { beginObject, type Proof, type StoredObject } from './replicas.ts'

/** `auto`: only where the bucket was seen to refuse what a URL was not made for; `on`: wherever there is a bucket. */
export type DirectMode = 'auto' | 'on' | 'off'

const PUT_URL_MS = 15 * 60_000
const PART_URL_MS = 3_600_000
/** A put that began just before its URL expired may still be under way. */
const PUT_GRACE_MS = 10 * 60_000
/** The intent's own end comes first; the sweep of placement is for what it leaves behind. */
const LEASE_MARGIN_MS = 3_600_000
/** A confirmed upload is never given up for its age: the bucket may be away for weeks. */
const UNTIL_PROVEN = sql<Date>`now() + interval '10 years'`
const ACTOR = 'direct upload'
const LOOK_AGAIN_MS = 5_000

export type DirectTarget = { location: Location; features: Features }
/** The write that a client was given: what its URLs are signed for. */
export type DirectWrite = { objectId: string; locationId: string; key: ObjectKey; uploadId: string | null }
export type SignedRequest = { url: string; headers: Record<string, string> }
export type HeldPart = { number: number; size: number; etag: string }

const known = new WeakMap<Placement, { until: number; answer: DirectTarget | string }>()

/** Where clients may put originals, or why they can't, for people. Looked up in the database every few seconds. */
export async function findDirectTarget(
  placement: Placement,
  mode: DirectMode,
): Promise<DirectTarget | string> {
  if (mode === 'off') return 'direct uploads are switched off (storage.upload.direct)'
  const cached = known.get(placement)
  if (cached !== undefined && cached.until > Date.now()) return cached.answer
  const answer = await lookForTarget(placement, mode)
  known.set(placement, { until: Date.now() + LOOK_AGAIN_MS, answer })
  return answer
}

async function lookForTarget(placement: Placement, mode: DirectMode): Promise<DirectTarget | string> {
  const location = directLocation(placement)
  if (location === null) return 'originals do not belong in a bucket'
  const row = await placement.db
    .selectFrom('location')
    .select(['is_healthy', 'health_error', 'probe', 'marker'])
    .where('id', '=', location.id)
    .executeTakeFirst()
  if (row?.marker == null) return 'the bucket has not been reached yet'
  if (row.is_healthy === false) return `the bucket is not well: ${row.health_error ?? 'no reason is known'}`
  // The probe may have run in another process than this one.
  const features = (row.probe as ProbeReport | null)?.features ?? location.backend.features
  if (mode === 'auto' && !features.enforcedDigests.includes('md5')) {
    return row.probe === null
      ? 'the bucket has not been probed yet'
      : 'the bucket takes bytes that are not what they were announced as (Content-MD5 is not enforced)'
  }
  return { location, features }
}

/** Whether clients are offered direct uploads while the bucket is well, as far as this process knows. */
export function isDirectPossible(placement: Placement, mode: DirectMode): boolean {
  const location = directLocation(placement)
  if (mode === 'off' || location === null) return false
  return mode === 'on' || location.backend.features.enforcedDigests.includes('md5')
}

function directLocation(placement: Placement): Location | null {
  for (const id of placement.policy.original) {
    const location = locationOf(placement, id)
    if (location.kind === 's3' && location.backend.presign && location.backend.multipart) return location
  }
  return null
}

/** The intent of a write, in one statement with `noting`, the insert of the row of whoever asked for it. */
export async function beginDirectWrite(
  tx: Queryable,
  target: DirectTarget,
  object: Omit<StoredObject, 'kind' | 'state' | 'minCopies' | 'createdAt'>,
  { inParts, lifetimeMs, noting }: { inParts: boolean; lifetimeMs: number; noting: RawBuilder<unknown> },
): Promise<DirectWrite> {
  const whole = { ...object, kind: 'original' as const }
  const write = { objectId: object.id, locationId: target.location.id, key: freshKey(whole) }
  const uploadId = inParts ? '' : null
  const replica = inParts
    ? { ...write, uploadId: '' }
    : { ...write, writableUntil: new Date(Date.now() + PUT_URL_MS + PUT_GRACE_MS) }
  const first = { replicas: [replica], actor: ACTOR, leaseMs: lifetimeMs + LEASE_MARGIN_MS }
  await beginObject(tx, whole, first, noting)
  return { ...write, uploadId }
}

/** A single put, bound to the bytes: their length, MD5 and type, and, where the bucket can, to their not being there yet. */
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
    onlyIfAbsent: target.features.conditionalPut === true,
  })
}

/** To be called before another URL for the same put is signed: until it is good for nothing, no purge is final. */
export async function prolongPut(db: Database, write: DirectWrite): Promise<void> {
  await writingReplica(db, write)
    .set({ writable_until: new Date(Date.now() + PUT_URL_MS + PUT_GRACE_MS) })
    .execute()
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
  const { uploadId } = await multipart.begin(write.key, { contentType })
  const noted = await writingReplica(placement.db, write)
    .set({ upload_id: uploadId })
    .where('upload_id', '=', '')
    .executeTakeFirst()
  if (noted.numUpdatedRows === 1n) return uploadId
  // Another request of the same client was first, or the upload was given up.
  await multipart.abort(write.key, uploadId)
  throw new AppError('conflict', 'this upload is being begun by another request; ask again')
}

/** The parts that the bucket holds. When it has given the upload up, none: the next signature begins it anew. */
export async function listHeldParts(placement: Placement, write: DirectWrite): Promise<HeldPart[]> {
  if (!write.uploadId) return []
  try {
    return await multipartOf(placement, write).listParts(write.key, write.uploadId)
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    await writingReplica(placement.db, write)
      .set({ upload_id: '' })
      .where('upload_id', '=', write.uploadId)
      .execute()
    return []
  }
}

/** What a single put has left under the key, by one HEAD; null: nothing. */
export function headWrite(placement: Placement, write: DirectWrite): Promise<ObjectInfo | null> {
  return locationOf(placement, write.locationId).backend.head(write.key)
}

/**
 * The client has said that all is there: from here on only the proof ends the write. An update to be part of the
 * statement that notes this, under the same condition.
 */
export function keepUntilProven(
  write: DirectWrite,
  proof: Proof | null,
  condition: RawBuilder<boolean>,
): RawBuilder<unknown> {
  return sql`
    update replica set lease_expires_at = ${UNTIL_PROVEN},
      proof = ${proof === null ? null : JSON.stringify(proof)}::jsonb
    where object_id = ${write.objectId} and location_id = ${write.locationId} and key = ${write.key}
      and state = 'writing' and ${condition}`
}

/** The write came to nothing; what it may have left goes as soon as no URL can put it there again. */
export async function abandonWrite(tx: Queryable, objectId: string): Promise<void> {
  await tx
    .updateTable('replica')
    .set({ lease_expires_at: sql<Date>`now() - interval '1 minute'` })
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

function writingReplica(db: Queryable, write: DirectWrite) {
  return db
    .updateTable('replica')
    .where('object_id', '=', write.objectId)
    .where('location_id', '=', write.locationId)
    .where('key', '=', write.key)
    .where('state', '=', 'writing')
}
