import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import type { Actor } from './access.ts'
import { parseChecksum } from './checksums.ts'

export type UploadCheck =
  | { id: string; action: 'accept' }
  | { id: string; action: 'reject'; reason: 'duplicate'; assetId: string; isTrashed: boolean }

/** For each file that a client might upload (`id` is the client's own name for it): is it here already? */
export async function checkBulkUpload(
  db: Database,
  actor: Actor,
  items: readonly { id: string; checksum: string }[],
): Promise<UploadCheck[]> {
  const checksums = items.map((item) => parseChecksum(item.checksum)?.toString('hex') ?? null)
  const wanted = [...new Set(checksums.filter((hex) => hex !== null))]
  const rows = await db
    .selectFrom('asset')
    .select(['id', 'checksum', 'deleted_at'])
    .where('owner_id', '=', actor.userId)
    .where(sql<boolean>`checksum = any(select decode(hex, 'hex') from unnest(${wanted}::text[]) as hex)`)
    .execute()
  const known = new Map(rows.map((row) => [row.checksum.toString('hex'), row]))
  return items.map(({ id }, index) => {
    const found = known.get(checksums[index] ?? '')
    if (!found) return { id, action: 'accept' }
    return {
      id,
      action: 'reject',
      reason: 'duplicate',
      assetId: found.id,
      isTrashed: found.deleted_at !== null,
    }
  })
}
