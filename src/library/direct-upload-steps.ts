/** What follows the asking: the parts, the confirmation, the giving up; and looking how it stands. */
import { sql } from 'kysely'
import { compileOnce } from '../database/compile-once.ts'
import type { Database } from '../database/connect.ts'
import type { DirectUploadState } from '../database/schema.ts'
import { AppError, isAppError } from '../errors.ts'
import type { SignedRequest } from '../placement/direct-target.ts'
import {
  type DirectWrite,
  headWrite,
  type KeptWrite,
  keepUntilProven,
  listHeldParts,
  signParts,
} from '../placement/direct-write.ts'
import type { Placement } from '../placement/placement.ts'
import type { Proof } from '../placement/replicas.ts'
import { addJobOf } from '../queue/enqueue.ts'
import type { Jobs } from '../queue/job-types.ts'
import type { Actor } from './access.ts'
import { sizeOfPart } from './direct-upload-parts.ts'
import {
  type DirectUploadView,
  describe,
  EXPIRED,
  endUpload,
  type LoadedUpload,
  loadUpload,
  mimeTypeOf,
  type UploadRow,
} from './direct-upload-rows.ts'
import { DIRECT_LIMITS } from './direct-uploads.ts'

type Parts = { db: Database; placement: Placement }

/** How one upload stands; of an open one in parts, those that the bucket holds. */
export async function showDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  { upload, write }: LoadedUpload,
): Promise<DirectUploadView & { present: { number: number; size: number }[] }> {
  const held = upload.state === 'open' && write !== null ? await listHeldParts(placement, write) : []
  // Begun and nothing there: it may have been confirmed, and its parts made an object, while the bucket was asked.
  const isDoubtful = upload.state === 'open' && write?.uploadId && held.length === 0
  const now = isDoubtful ? (await loadUpload(db, actor, upload.id)).upload : upload
  return { ...describe(now), present: held.map(({ number, size }) => ({ number, size })) }
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

/** URLs for parts, each bound to its length and MD5 (lower-case hex). @throws AppError invalid, conflict */
export async function signDirectParts(
  placement: Placement,
  { upload, write }: LoadedUpload,
  parts: readonly { number: number; size: number; md5: string }[],
): Promise<{ expiresAt: string; parts: ({ number: number } & SignedRequest)[] }> {
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
 * @throws AppError conflict (something is missing: the message says what)
 */
export async function confirmDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  { upload, write }: LoadedUpload,
): Promise<DirectUploadView> {
  if (upload.state !== 'open') return describe(upload)
  demandOpen(upload)
  if (write === null) throw new AppError('conflict', 'this upload was given up meanwhile')
  let held: Proof | null
  try {
    held = await demandHeld(placement, upload, write)
  } catch (error) {
    // Confirmed by another request, the parts may be an object by now.
    const { upload: now } = await loadUpload(db, actor, upload.id)
    if (isAppError(error, 'conflict') && now.state !== 'open') return describe(now)
    throw error
  }
  const rows = await receive(db, {
    ...write,
    uploadId: upload.id,
    proof: held && JSON.stringify(held),
    payload: JSON.stringify({ uploadId: upload.id } satisfies Jobs['prove-upload']),
    jobKey: `prove:${upload.id}`,
  })
  if (rows.length === 1) return { ...describe(upload), state: 'received' }
  return describe((await loadUpload(db, actor, upload.id)).upload)
}

/** open -> received, and the job that proves it, unless it ended or was given up meanwhile. */
const receive = compileOnce<Record<'uploadId' | 'payload' | 'jobKey', string> & KeptWrite, { jobId: string }>(
  (_, value) => sql`
    with received as (
      update direct_upload set state = 'received'
      where id = ${value('uploadId')} and state = 'open' and expires_at > now()
        and exists (select from replica where object_id = ${value('objectId')} and state = 'writing')
      returning id),
    kept as (${keepUntilProven(value, sql<boolean>`exists (select from received)`)})
    select (${addJobOf('prove-upload', { payload: value('payload'), key: value('jobKey') })}).id::text as "jobId" from received`,
)

/** All of it is in the bucket; what a proof of a single put begins with. */
async function demandHeld(
  placement: Placement,
  upload: UploadRow,
  write: DirectWrite,
): Promise<Proof | null> {
  return upload.md5 === null ? demandParts(placement, upload, write) : demandPut(placement, upload, write)
}

async function demandPut(placement: Placement, upload: UploadRow, write: DirectWrite): Promise<Proof> {
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

/**
 * Gives an upload up that is no asset yet; a confirmed one, for want of its place, may be what nobody can prove. An
 * administrator gives up those of others, too, once they are confirmed. Idempotent.
 * @throws AppError not-found, conflict when it has become an asset, or ended otherwise
 */
export async function deleteDirectUpload({ db }: Parts, actor: Actor, uploadId: string): Promise<void> {
  const { upload } = await loadUpload(db, actor, uploadId, { isForAdmin: actor.isAdmin })
  if (upload.state === 'abandoned') return
  const reason = upload.owner_id === actor.userId ? 'you gave it up' : 'an administrator gave it up'
  // Its proof and `done` are one transaction: what is still received has no verified replica.
  for (const from of ['open', 'received'] as const)
    if (await endUpload(db, uploadId, 'abandoned', reason, from)) return
  const { state } = (await loadUpload(db, { userId: upload.owner_id }, uploadId)).upload
  if (state === 'abandoned') return
  throw new AppError(
    'conflict',
    state === 'done' || state === 'duplicate'
      ? 'this upload is an asset already; delete that instead'
      : `this upload is ${state}`,
  )
}

function demandOpen(upload: UploadRow): void {
  if (upload.state !== 'open') throw new AppError('conflict', `this upload is ${upload.state}`)
  if (upload.expires_at < new Date()) throw new AppError('conflict', `this upload is over: ${EXPIRED}`)
}
