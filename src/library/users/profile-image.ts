import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { deriveImages } from '../../media/derive.ts'
import { formatOf } from '../../media/formats.ts'
import { MediaError } from '../../media/media-error.ts'
import { probeFile } from '../../media/probe.ts'
import type { MediaTools } from '../../media/processes/tools.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import type { Placement } from '../../placement/placement.ts'
import { ingestGenerated } from '../../placement/uploads/ingest.ts'
import { makeScratchFolder, type StagedFile, stageStream } from '../../placement/uploads/stage.ts'
import type { Actor } from '../access.ts'
import { type IncomingFile, stageFiles } from '../incoming-files.ts'

/** What is kept of a profile picture: shown at 96 px at most, on screens of up to 3 device pixels each. */
const PROFILE_IMAGE_PX = 500
const MAX_PICTURE_BYTES = 50 * 1024 * 1024

type Parts = { db: Database; placement: Placement; mediaTools: MediaTools }

/**
 * Keeps a small picture made of the file `file`, not the file: no metadata, no other format. @throws AppError
 * invalid for no picture, too-large
 */
export async function setProfileImage(
  { placement, mediaTools }: Omit<Parts, 'db'>,
  actor: Actor,
  files: AsyncIterable<IncomingFile>,
): Promise<{ profileChangedAt: string }> {
  await using form = await stageFiles(files, ({ bytes }) =>
    stageStream(placement, bytes, { maxBytes: MAX_PICTURE_BYTES }),
  )
  const received = form.files.get('file')
  if (!received) throw new AppError('invalid', 'file: a picture is required')
  const file = { fileName: received.name, staged: received.staged }
  if (formatOf(file.fileName)?.type !== 'IMAGE') {
    throw new AppError(
      'invalid',
      `file: ${file.fileName} is not a picture; use JPEG, PNG, WebP or another picture format`,
    )
  }
  await using scratch = await makeScratchFolder(placement)
  const picture = await makePicture(mediaTools, actor.userId, file, scratch.path)
  // Awaited here: the scratch folder goes when this function is left.
  return await ingestGenerated(
    placement,
    {
      kind: 'profile-image',
      ownerId: actor.userId,
      assetId: null,
      contentType: picture.contentType,
      extension: 'jpg',
      path: picture.path,
    },
    async (tx, objectId) => {
      const user = await tx
        .selectFrom('app_user')
        .select('profile_image_object_id as replaced')
        .where('id', '=', actor.userId)
        .forUpdate()
        .executeTakeFirstOrThrow()
      const { profile_changed_at: changedAt } = await tx
        .updateTable('app_user')
        .set({ profile_image_object_id: objectId, profile_changed_at: sql`now()`, updated_at: sql`now()` })
        .where('id', '=', actor.userId)
        .returning('profile_changed_at')
        .executeTakeFirstOrThrow()
      if (user.replaced) await markForPurge(tx, [user.replaced], 'replaced')
      return { profileChangedAt: changedAt.toISOString() }
    },
  )
}

async function makePicture(
  mediaTools: MediaTools,
  owner: string,
  file: { fileName: string; staged: StagedFile },
  folder: string,
) {
  try {
    const facts = await probeFile(mediaTools, file.staged.path, { fileName: file.fileName, owner })
    const sizes = { thumbnailPx: PROFILE_IMAGE_PX, previewPx: PROFILE_IMAGE_PX }
    return (await deriveImages(mediaTools, file.staged.path, facts, folder, sizes, { owner })).preview
  } catch (error) {
    if (error instanceof MediaError) throw new AppError('invalid', `file: ${error.reason}`, { cause: error })
    throw error
  }
}

export async function removeProfileImage(db: Database, actor: Actor): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const user = await tx
      .selectFrom('app_user')
      .select('profile_image_object_id as objectId')
      .where('id', '=', actor.userId)
      .forUpdate()
      .executeTakeFirstOrThrow()
    if (!user.objectId) throw new AppError('invalid', 'There is no profile picture to delete')
    await tx
      .updateTable('app_user')
      .set({ profile_image_object_id: null, profile_changed_at: sql`now()`, updated_at: sql`now()` })
      .where('id', '=', actor.userId)
      .execute()
    await markForPurge(tx, [user.objectId], 'user')
  })
}

/** The object of a user's picture. @throws AppError not-found where there is none. */
export async function findProfileImage(db: Database, userId: string): Promise<string> {
  const user = await db
    .selectFrom('app_user')
    .select('profile_image_object_id as objectId')
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (!user?.objectId) throw new AppError('not-found', 'This user has no profile picture')
  return user.objectId
}
