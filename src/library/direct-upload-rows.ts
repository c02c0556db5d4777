/** The rows of direct uploads: as they are read, shown and ended. */
import { type Selectable, sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import type { DirectUploadState, Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { formatOf } from '../media/formats.ts'
import { abandonWrite, type DirectWrite } from '../placement/direct-write.ts'
import { knownKey } from '../placement/keys.ts'
import type { Actor } from './access.ts'

export type UploadRow = Selectable<Schema['direct_upload']>
export type LoadedUpload = { upload: UploadRow; write: DirectWrite | null }

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
const COLUMNS = [
  'u.id',
  'u.owner_id',
  'u.object_id',
  'u.asset_id',
  'u.state',
  'u.reason',
  'u.size',
  'u.sha256',
  'u.sha1',
  'u.md5',
  'u.part_bytes',
  'u.file_name',
  'u.file_created_at',
  'u.file_modified_at',
  'u.is_favorite',
  'u.visibility',
  'u.duration_ms',
  'u.live_photo_video_id',
  'u.expires_at',
  'u.created_at',
  'u.ended_at',
] as const

export const EXPIRED = 'it was not confirmed in time'

/** @throws AppError not-found, also for somebody else's, but for a confirmed one that an administrator may give up */
export async function loadUpload(
  db: Database,
  actor: Pick<Actor, 'userId'>,
  uploadId: string,
  { isForAdmin = false }: { isForAdmin?: boolean } = {},
): Promise<LoadedUpload> {
  const row = await db
    .selectFrom('direct_upload as u')
    .leftJoin('replica as r', (join) =>
      join.onRef('r.object_id', '=', 'u.object_id').on('r.state', '=', 'writing'),
    )
    .select(COLUMNS)
    .select(['r.location_id', 'r.key', 'r.upload_id'])
    .where('u.id', '=', uploadId)
    .where(({ eb, or }) =>
      or([eb('u.owner_id', '=', actor.userId), ...(isForAdmin ? [eb('u.state', '=', 'received')] : [])]),
    )
    .executeTakeFirst()
  if (!row) throw new AppError('not-found', 'there is no such upload')
  const { location_id: locationId, key, upload_id, ...upload } = row
  const write =
    locationId === null || key === null
      ? null
      : { objectId: upload.object_id, locationId, key: knownKey(key), uploadId: upload_id }
  return { upload, write }
}

/** open or received -> failed or abandoned, and its object is purged. False when it is not, or no longer, in `from`. */
export async function endUpload(
  db: Database,
  uploadId: string,
  state: 'failed' | 'abandoned',
  reason: string,
  from: 'open' | 'received' = state === 'failed' ? 'received' : 'open',
): Promise<boolean> {
  return db.transaction().execute(async (tx) => {
    const ended = await tx
      .updateTable('direct_upload')
      .set({ state, reason, ended_at: sql<Date>`now()` })
      .where('id', '=', uploadId)
      .where('state', '=', from)
      .returning('object_id')
      .executeTakeFirst()
    if (!ended) return false
    // Its job may be making an object of the parts at this moment.
    await abandonWrite(tx, ended.object_id, { isBeingProven: from === 'received' && state === 'abandoned' })
    return true
  })
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
