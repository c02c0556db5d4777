/**
 * Writes that go past us: a client puts the bytes of an original into the bucket with presigned URLs. The
 * intent is an ordinary one, an object that is not linked and its `writing` replica under a fresh key, whose
 * lease is as long as the client may take. Nothing that arrives counts before `prove-write.ts` has read it.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import type { PurgeReason } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { Multipart, ObjectInfo, ObjectKey } from '../../storage/backend.ts'
import { isStorageError, StorageError } from '../../storage/backend.ts'
import { freshKey } from '../keys.ts'
import { compileBeginObject, type NewObject } from '../ledger/replicas.ts'
import { markForPurge } from '../lifecycle/purge.ts'
import { assertNoConflict } from '../locations/counter/conflict.ts'
import { loadCounter } from '../locations/counter/record.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { abortParts } from '../removal/remove.ts'
import { confirmLocationNow } from '../replica-io/mark-bad.ts'
import type { DirectTarget, SignedRequest } from './direct-target.ts'

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

/**
 * The write that a client was given: what its URLs are signed for. `multipartId`: the bucket's name for an
 * upload in parts; '' where none is begun yet, null where the file goes in one put.
 */
export type DirectWrite = {
  objectId: string
  locationId: string
  key: ObjectKey
  multipartId: string | null
}
/**
 * True in a statement for the object of a write that its client may still go on with. Confirmed, its parts
 * belong to the job that makes an object of them.
 */
export type IsOpen = (objectId: RawBuilder<string>) => RawBuilder<boolean>
export type HeldPart = { number: number; size: number; etag: string }

/**
 * The intent of a write, in one statement with `insert`: of the row of whoever asked for it, which returns
 * it. What it compiles to answers null where that inserted nothing: then nothing was begun.
 */
export function compileBeginDirectWrite<Values extends Record<string, unknown>>(
  insert: Parameters<typeof compileBeginObject<Values>>[0],
) {
  const begin = compileBeginObject(insert)
  return async (
    db: Queryable,
    target: DirectTarget,
    object: Omit<NewObject, 'kind'>,
    { inParts, lifetimeMs, values }: { inParts: boolean; lifetimeMs: number; values: Values },
  ): Promise<DirectWrite | null> => {
    const whole = { ...object, kind: 'original' as const }
    const write = { objectId: object.id, locationId: target.location.id, key: freshKey(whole) }
    const replica = inParts ? { ...write, uploadId: '' } : { ...write, writableForMs: WRITABLE_FOR_MS }
    const first = { replicas: [replica], actor: ACTOR, leaseMs: lifetimeMs + LEASE_MARGIN_MS }
    return (await begin(db, whole, first, values)) ? { ...write, multipartId: inParts ? '' : null } : null
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
 * To be called before another URL for the same put is signed: until it is good for nothing, no purge is
 * final.
 * @throws AppError conflict where the write was given up meanwhile: then nothing may be signed
 */
export async function prolongPut(db: Database, write: DirectWrite, isOpen: IsOpen): Promise<void> {
  const prolonged = await writingReplica(db, write)
    .set({ writable_until: sql<Date>`now() + ${WRITABLE_FOR_MS} * interval '1 millisecond'` })
    .where(isOpen(OBJECT_ID))
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
  isOpen: IsOpen,
): Promise<{ expiresAt: Date; parts: ({ number: number } & SignedRequest)[] }> {
  const multipart = multipartOf(placement, write)
  const uploadId = write.multipartId || (await beginParts(placement, multipart, write, contentType, isOpen))
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
  isOpen: IsOpen,
): Promise<string> {
  await confirmPlaceOf(placement, write)
  const { uploadId } = await withPatience(placement, (signal) =>
    multipart.begin(write.key, { contentType, signal }),
  )
  const noted = await writingReplica(placement.db, write)
    .set({ upload_id: uploadId })
    .where('upload_id', '=', '')
    .where(isOpen(OBJECT_ID))
    .executeTakeFirst()
  if (noted.numUpdatedRows === 1n) return uploadId
  // Another request of the same client was first, or the upload was given up.
  await abortParts(placement, { ...write, uploadId })
  throw new AppError('conflict', 'this upload is being begun by another request; ask again')
}

/**
 * The parts that the bucket holds. When it has given the upload up, none: the next signature begins it anew.
 * When the parts are gone because they became an object meanwhile, none as well, and nothing is forgotten.
 */
export async function listHeldParts(
  placement: Placement,
  write: DirectWrite,
  isOpen: IsOpen,
): Promise<HeldPart[]> {
  const { multipartId } = write
  if (!multipartId) return []
  const multipart = multipartOf(placement, write)
  try {
    return await withPatience(placement, (signal) => multipart.listParts(write.key, multipartId, { signal }))
  } catch (error) {
    if (!isStorageError(error, 'not-found')) throw error
    // Another bucket of that name holds no upload of ours, and the right one may come back.
    await confirmLocationNow(placement, write.locationId)
    await writingReplica(placement.db, write)
      .set({ upload_id: '' })
      .where('upload_id', '=', multipartId)
      .where(isOpen(OBJECT_ID))
      .execute()
    return []
  }
}

/** That the bucket is the one that this ledger knows: of another one nothing follows for the write. */
export function confirmPlaceOf(placement: Placement, write: DirectWrite): Promise<void> {
  return confirmLocation(placement, locationOf(placement, write.locationId))
}

/**
 * By what the ledger has noted; a place that is away, or not configured any more, is not asked.
 * @throws AppError conflict
 */
export async function assertNoOtherLedgerOf(placement: Placement, write: DirectWrite): Promise<void> {
  const location = placement.locations.get(write.locationId)
  const counter = location && (await loadCounter(placement, location.id))
  if (counter) assertNoConflict(location, counter)
}

/** What a single put has left under the key, by one HEAD; null: nothing. */
export function headWrite(placement: Placement, write: DirectWrite): Promise<ObjectInfo | null> {
  const { backend } = locationOf(placement, write.locationId)
  return withPatience(placement, (signal) => backend.head(write.key, { signal }))
}

/**
 * Somebody waits for the answer to a request: quick tries included, no longer than for the first byte of a
 * file.
 */
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

/** `locationId`, `key`: null where there is no write any more, and nothing to keep. `proof`: JSON. */
export type KeptWrite = {
  objectId: string
  locationId: string | null
  key: string | null
  proof: string | null
}

/**
 * The client has said that all is there: from here on only the proof ends the write. An update to be part of
 * the statement that notes this, under the same condition.
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
 * The write came to nothing; what it may have left goes as soon as nothing can put it there again: no URL
 * and, where it
 * `isBeingProven`, no parts that become an object meanwhile.
 */
export async function abandonWrite(
  tx: Queryable,
  objectId: string,
  { reason, isBeingProven = false }: { reason: PurgeReason; isBeingProven?: boolean },
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
  // Beside the write there may be bytes that an adoption has found: an asset's, in a ledger that is newer
  // than this one. Nobody has decided that those go, so they are looked at, and right ones stay.
  const { rows: found } = await sql`
    select from replica where object_id = ${objectId}::uuid and state <> 'writing' limit 1`.execute(tx)
  await markForPurge(tx, [objectId], found.length > 0 ? 'duplicate' : reason)
}

function multipartOf(placement: Placement, write: DirectWrite): Multipart {
  const { multipart } = locationOf(placement, write.locationId).backend
  if (!multipart) throw new AppError('unavailable', `${write.locationId} takes no uploads in parts`)
  return multipart
}

const OBJECT_ID = sql.ref<string>('replica.object_id')

function writingReplica(db: Queryable, write: DirectWrite) {
  return db
    .updateTable('replica')
    .where('object_id', '=', write.objectId)
    .where('location_id', '=', write.locationId)
    .where('key', '=', write.key)
    .where('state', '=', 'writing')
}
