/** Assets that exist in the catalogue only, for what reads nothing else. */
import { createHash, randomUUID } from 'node:crypto'
import type { Insertable } from 'kysely'
import type { Database } from '../../../src/database/connect.ts'
import type { Schema } from '../../../src/database/schema.ts'

export async function addAsset(
  db: Database,
  ownerId: string,
  asset: Partial<Insertable<Schema['asset']>> = {},
  exif: Partial<Insertable<Schema['asset_exif']>> = {},
): Promise<string> {
  const id = randomUUID()
  const objectId = randomUUID()
  const sha256 = createHash('sha256').update(id).digest()
  await db
    .insertInto('stored_object')
    .values({
      id: objectId,
      owner_id: ownerId,
      asset_id: id,
      kind: 'original',
      size: 1000,
      sha256,
      content_type: 'image/jpeg',
      extension: 'jpg',
    })
    .execute()
  await db
    .insertInto('asset')
    .values({
      id,
      owner_id: ownerId,
      type: 'IMAGE',
      checksum: createHash('sha1').update(id).digest(),
      original_object_id: objectId,
      original_file_name: 'photo.jpg',
      original_mime_type: 'image/jpeg',
      file_size: 1000,
      file_created_at: '2024-05-01T10:00:00.000Z',
      file_modified_at: '2024-05-01T10:00:00.000Z',
      local_date_time: '2024-05-01 12:00:00.000',
      width: 4000,
      height: 3000,
      ...asset,
    })
    .execute()
  await db
    .insertInto('asset_exif')
    .values({ asset_id: id, ...exif })
    .execute()
  return id
}
