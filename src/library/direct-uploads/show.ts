/** How direct uploads stand. */
import type { Database } from '../../database/connect.ts'
import type { DirectUploadState } from '../../database/schema.ts'
import type { Placement } from '../../placement/placement.ts'
import { listHeldParts } from '../../placement/uploads/direct-write.ts'
import type { Actor } from '../access.ts'
import { DIRECT_LIMITS } from './limits.ts'
import { type DirectUploadView, describe, isOpen, type LoadedUpload, loadUpload } from './rows.ts'

type Parts = { db: Database; placement: Placement }

/** How one upload stands; of an open one in parts, those that the bucket holds. */
export async function showDirectUpload(
  { db, placement }: Parts,
  actor: Actor,
  { upload, write }: LoadedUpload,
): Promise<DirectUploadView & { present: { number: number; size: number }[] }> {
  const held = upload.state === 'open' && write !== null ? await listHeldParts(placement, write, isOpen) : []
  // Begun and nothing there: it may have been confirmed, and its parts made an object, while the bucket was
  // asked.
  const isDoubtful = upload.state === 'open' && write?.multipartId && held.length === 0
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
