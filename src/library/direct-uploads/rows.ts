/** The rows of direct uploads: what is announced, how they are read, and how they are shown. */
import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { DirectUploadState, Schema } from '../../database/schema.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { AppError } from '../../errors.ts'
import { formatOf } from '../../media/formats.ts'
import { knownKey } from '../../placement/keys.ts'
import type { DirectWrite } from '../../placement/uploads/direct-write.ts'
import type { Actor, Holder } from '../access.ts'
import type { UploadFields } from '../assets/insert-asset.ts'
import {
  type Authenticated,
  type Credentials,
  compileForHolder,
  HOLDER_COLUMNS,
} from '../credentials/authenticated-query.ts'

export type UploadRow = Selectable<Schema['direct_upload']>
export type LoadedUpload = { upload: UploadRow; write: DirectWrite | null }

export type AnnouncedFile = {
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

/** By their names: PostgreSQL prepares no statement with a star. */
export const COLUMNS = [
  'id',
  'owner_id',
  'object_id',
  'asset_id',
  'state',
  'reason',
  'size',
  'sha256',
  'sha1',
  'md5',
  'part_bytes',
  'file_name',
  'file_created_at',
  'file_modified_at',
  'is_favorite',
  'visibility',
  'duration_ms',
  'live_photo_video_id',
  'expires_at',
  'created_at',
  'ended_at',
] as const satisfies readonly (keyof UploadRow)[]

export const EXPIRED = 'it was not confirmed in time'

/** True in a statement where the object is that of an open upload: its client may still go on with it. */
export function isOpen(objectId: RawBuilder<string>): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from direct_upload where direct_upload.object_id = ${objectId} and direct_upload.state = 'open')`
}

/** True in a statement where the object is that of an upload that has not ended. */
export function isOfUnendedUpload(objectId: RawBuilder<string>): RawBuilder<boolean> {
  return sql<boolean>`exists (
    select from direct_upload where direct_upload.object_id = ${objectId}
      and direct_upload.state in ('open', 'received'))`
}

/** Of `direct_upload as u` and its writing `replica as r`. */
const LOADED_COLUMNS = [
  ...COLUMNS.map((name) => `u.${name}` as const),
  'r.location_id',
  'r.key',
  'r.upload_id',
] as const
type LoadedRow = UploadRow & { location_id: string | null; key: string | null; upload_id: string | null }

const uploadOfHolder = compileForHolder<
  { uploadId: string },
  Holder & { [Column in keyof LoadedRow]: LoadedRow[Column] | null }
>((db, value) =>
  db
    .selectFrom('holder')
    .leftJoin('direct_upload as u', (join) =>
      join.on('u.id', '=', value('uploadId')).onRef('u.owner_id', '=', 'holder.userId'),
    )
    .leftJoin('replica as r', (join) =>
      join.onRef('r.object_id', '=', 'u.object_id').on('r.state', '=', sql.lit('writing')),
    )
    .select(HOLDER_COLUMNS)
    .select(LOADED_COLUMNS),
)

/**
 * As `loadUpload`, in one statement with who holds the credentials; null: they are nobody's. `loaded` null:
 * there is none of theirs.
 */
export async function findUpload(
  db: Database,
  credentials: Credentials,
  uploadId: string,
): Promise<Authenticated<{ loaded: LoadedUpload | null }> | null> {
  const answer = await uploadOfHolder(db, credentials, { uploadId })
  if (answer === null) return null
  const { actor, found: rows } = answer
  const [row] = rows
  return { actor, found: { loaded: row.id === null ? null : loadedOf(row as LoadedRow) } }
}

const uploadById = compileOnce<{ uploadId: string; userId: string; isForAdmin: boolean }, LoadedRow>(
  (db, value) =>
    db
      .selectFrom('direct_upload as u')
      .leftJoin('replica as r', (join) =>
        join.onRef('r.object_id', '=', 'u.object_id').on('r.state', '=', sql.lit('writing')),
      )
      .select(LOADED_COLUMNS)
      .where('u.id', '=', value('uploadId'))
      .where(({ eb, or, and }) =>
        or([
          eb('u.owner_id', '=', value('userId')),
          and([value('isForAdmin'), eb('u.state', '=', sql.lit('received'))]),
        ]),
      ),
)

/**
 * @throws AppError not-found, also for somebody else's, but for a confirmed one that an administrator may
 * give up
 */
export async function loadUpload(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  uploadId: string,
  { isForAdmin = false }: { isForAdmin?: boolean } = {},
): Promise<LoadedUpload> {
  const [row] = await uploadById(db, { uploadId, userId, isForAdmin })
  return requireUpload(row ? loadedOf(row) : null)
}

/** @throws AppError not-found */
export function requireUpload(loaded: LoadedUpload | null): LoadedUpload {
  if (loaded === null) throw new AppError('not-found', 'there is no such upload')
  return loaded
}

function loadedOf({
  location_id: locationId,
  key,
  upload_id: multipartId,
  ...upload
}: LoadedRow): LoadedUpload {
  const write =
    locationId === null || key === null
      ? null
      : { objectId: upload.object_id, locationId, key: knownKey(key), multipartId }
  return { upload, write }
}

export function mimeTypeOf(upload: UploadRow): string {
  return formatOf(upload.file_name)?.mimeType ?? 'application/octet-stream'
}

export function describe(upload: UploadRow): DirectUploadView {
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

/** @throws AppError conflict */
export function requireOpen(upload: UploadRow): void {
  if (upload.state !== 'open') throw new AppError('conflict', `this upload is ${upload.state}`)
  if (upload.expires_at < new Date()) throw new AppError('conflict', `this upload is over: ${EXPIRED}`)
}
