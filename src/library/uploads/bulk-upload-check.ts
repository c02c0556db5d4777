import type { Database } from '../../database/connect.ts'
import type { Placement } from '../../placement/placement.ts'
import type { Actor } from '../access.ts'
import { parseChecksum } from './checksums.ts'
import { findByChecksums, findSafeAssets } from './duplicates.ts'

export type UploadCheck =
  | { id: string; action: 'accept' }
  | { id: string; action: 'reject'; reason: 'duplicate'; assetId: string; isTrashed: false }

/**
 * For each file that a client might upload (`id` is the client's own name for it): is it here already?
 * Clients delete what is rejected, so one without a good copy, or in the trash, is accepted: its upload
 * repairs it, or takes it out of the trash.
 */
export async function checkBulkUpload(
  { db, placement }: { db: Database; placement: Placement },
  actor: Actor,
  items: readonly { id: string; checksum: string }[],
): Promise<UploadCheck[]> {
  const checksums = items.map((item) => parseChecksum(item.checksum))
  const wanted = new Map(checksums.flatMap((sha1) => (sha1 ? [[sha1.toString('hex'), sha1]] : [])))
  const known = (await findByChecksums(db, actor.userId, [...wanted.values()])).filter(
    // A film that came inside of a photo is that photo's, until it is sent by itself.
    ({ isTrashed, isEmbedded }) => !isTrashed && !isEmbedded,
  )
  const safe = await findSafeAssets(placement, known)
  const byChecksum = new Map(
    known.filter(({ id }) => safe.has(id)).map((asset) => [asset.checksum, asset.id]),
  )
  return items.map(({ id }, index) => {
    const assetId = byChecksum.get(checksums[index]?.toString('hex') ?? '')
    if (assetId === undefined) return { id, action: 'accept' }
    return { id, action: 'reject', reason: 'duplicate', assetId, isTrashed: false }
  })
}
