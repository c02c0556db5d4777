/** The row of an announced file and the intent to write it, in one statement. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { safeExtension } from '../../placement/keys.ts'
import type { DirectTarget } from '../../placement/uploads/direct-target.ts'
import { compileBeginDirectWrite, type DirectWrite } from '../../placement/uploads/direct-write.ts'
import type { Actor } from '../access.ts'
import { lockUser, requireQuota } from '../uploads/quota.ts'
import { DIRECT_LIMITS } from './limits.ts'
import type { Plan } from './plan.ts'
import { type AnnouncedFile, COLUMNS, type UploadRow } from './rows.ts'

export type Begun = { upload: UploadRow; write: DirectWrite; target: DirectTarget }

/**
 * Statements that run at the same moment don't see each other's uploads. There are no more of them than
 * connections, so that whoever is further than this from a limit can't pass it.
 */
const UNSEEN_UPLOADS = 200

/**
 * Null: it is known already, or near a limit, or something is wrong with it, as `beginWithinLimits` will say.
 */
export async function beginIfNew(
  db: Database,
  actor: Actor,
  file: AnnouncedFile,
  plan: Plan,
): Promise<Begun | null> {
  const openUploads = DIRECT_LIMITS.openUploads - UNSEEN_UPLOADS
  const limits = { openUploads, isWithinQuota: false, isRepair: false }
  return orAnnouncedTwice(begin(db, actor, file, { ...plan, ...limits }))
}

/**
 * In one transaction under the user's row lock, so that two requests can't both fit. Null: announced twice.
 */
export async function beginWithinLimits(
  db: Database,
  actor: Actor,
  file: AnnouncedFile,
  plan: Plan & { isRepair: boolean },
): Promise<Begun | null> {
  const { openUploads } = DIRECT_LIMITS
  const beginning = db.transaction().execute(async (tx) => {
    await lockUser(tx, actor.userId)
    await requireQuota(tx, actor.userId, file.size)
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
    return begin(tx, actor, file, { ...plan, openUploads, isWithinQuota: true })
  })
  return orAnnouncedTwice(beginning)
}

/** Null where another request announced the same file at this moment. */
async function orAnnouncedTwice(beginning: Promise<Begun | null>): Promise<Begun | null> {
  try {
    return await beginning
  } catch (error) {
    const { code, constraint } = error as { code?: string; constraint?: string }
    if (code === '23505' && constraint === 'direct_upload_underway') return null
    throw error
  }
}

type Limits = { openUploads: number; isWithinQuota: boolean; isRepair: boolean }

const beginUpload = compileBeginDirectWrite<UploadRow & Limits>((value) => {
  const owner = value('owner_id')
  const row = COLUMNS.map((name) => value(name))
  return sql`
      insert into direct_upload (${sql.join(COLUMNS.map((name) => sql.id(name)))}) select ${sql.join(row)}
      where (select count(*) from direct_upload where owner_id = ${owner} and state = 'open') < ${value('openUploads')}
        and (${value('isWithinQuota')} or (select quota_bytes from app_user where id = ${owner}) is null)
        and (${value('isRepair')} or not exists (select from asset where owner_id = ${owner} and checksum = ${value('sha1')}))
        and not exists (
          select from direct_upload where owner_id = ${owner} and sha256 = ${value('sha256')} and state in ('open', 'received'))
        and (${value('live_photo_video_id')}::uuid is null or exists (
          select from asset where id = ${value('live_photo_video_id')} and owner_id = ${owner} and type = 'VIDEO'))
      returning id`
})

/**
 * Null where it is known, or so many are open already, as far as this statement can see, or nobody asked for
 * the quota.
 */
async function begin(
  db: Database | Tx,
  actor: Actor,
  file: AnnouncedFile,
  { target, partBytes, format, ...limits }: Plan & Limits,
): Promise<Begun | null> {
  const inParts = partBytes !== null
  const lifetimeMs = inParts ? DIRECT_LIMITS.partsLifetimeMs : DIRECT_LIMITS.singleLifetimeMs
  const { fields, size, sha256 } = file
  const upload: UploadRow = {
    id: randomUUID(),
    owner_id: actor.userId,
    object_id: randomUUID(),
    asset_id: randomUUID(),
    state: 'open',
    reason: null,
    size,
    sha256,
    sha1: file.sha1,
    md5: inParts ? null : file.md5,
    part_bytes: partBytes,
    file_name: file.fileName,
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
