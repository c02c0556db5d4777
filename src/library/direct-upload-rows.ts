/** The rows of direct uploads: as they are read, shown and ended. */
import { type Selectable, sql } from 'kysely'
import { compileOnce } from '../database/compile-once.ts'
import type { Database } from '../database/connect.ts'
import type { DirectUploadState, Schema } from '../database/schema.ts'
import { AppError } from '../errors.ts'
import { formatOf } from '../media/formats.ts'
import { abandonWrite, type DirectWrite } from '../placement/direct-write.ts'
import { knownKey } from '../placement/keys.ts'
import type { Actor, Holder } from './access.ts'
import { HOLDER_COLUMNS, lookFrom } from './first-look.ts'

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

/** Of `direct_upload as u` and its writing `replica as r`. */
const LOADED_COLUMNS = [
  ...COLUMNS.map((name) => `u.${name}` as const),
  'r.location_id',
  'r.key',
  'r.upload_id',
] as const
type LoadedRow = UploadRow & { location_id: string | null; key: string | null; upload_id: string | null }

/** Of the actor's own; null: there is none. As `loadUpload`, together with who asks. */
export const lookForUpload = lookFrom<
  { uploadId: string },
  Holder & { [Column in keyof LoadedRow]: LoadedRow[Column] | null },
  { loaded: LoadedUpload | null }
>(
  (from, value) =>
    from
      .selectFrom('holder')
      .leftJoin('direct_upload as u', (join) =>
        join.on('u.id', '=', value('uploadId')).onRef('u.owner_id', '=', 'holder.userId'),
      )
      .leftJoin('replica as r', (join) =>
        join.onRef('r.object_id', '=', 'u.object_id').on('r.state', '=', sql.lit('writing')),
      )
      .select(HOLDER_COLUMNS)
      .select(LOADED_COLUMNS),
  ([row]) => ({ loaded: row.id === null ? null : loadedOf(row as LoadedRow) }),
)

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

/** @throws AppError not-found, also for somebody else's, but for a confirmed one that an administrator may give up */
export async function loadUpload(
  db: Database,
  { userId }: Pick<Actor, 'userId'>,
  uploadId: string,
  { isForAdmin = false }: { isForAdmin?: boolean } = {},
): Promise<LoadedUpload> {
  const [row] = await uploadById(db, { uploadId, userId, isForAdmin })
  return demandUpload(row ? loadedOf(row) : null)
}

/** @throws AppError not-found */
export function demandUpload(loaded: LoadedUpload | null): LoadedUpload {
  if (loaded === null) throw new AppError('not-found', 'there is no such upload')
  return loaded
}

function loadedOf({ location_id: locationId, key, upload_id: uploadId, ...upload }: LoadedRow): LoadedUpload {
  const write =
    locationId === null || key === null
      ? null
      : { objectId: upload.object_id, locationId, key: knownKey(key), uploadId }
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
