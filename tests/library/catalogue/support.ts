/** Installations with a bucket in memory, for tests of the catalogue and of what it brings back. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { TestContext } from 'node:test'
import { loadInstallation } from '../../../src/database/backups/installation.ts'
import { setAssetFile } from '../../../src/library/assets/asset-files.ts'
import {
  adoptCatalogue,
  beginCatalogueAdoption,
} from '../../../src/library/catalogue/adoption/adopt-catalogue.ts'
import { everything } from '../../../src/library/catalogue/collect.ts'
import type { AssetEntry } from '../../../src/library/catalogue/entries.ts'
import { writeCatalogue } from '../../../src/library/catalogue/write-catalogue.ts'
import { ingestSidecar } from '../../../src/library/uploads/sidecars.ts'
import { acceptUpload } from '../../../src/library/uploads/uploads.ts'
import type { CatalogueReport } from '../../../src/placement/catalogue/adoption-state.ts'
import { packBatch } from '../../../src/placement/catalogue/batch-format.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { stageStream } from '../../../src/placement/uploads/stage.ts'
import type { MemoryBackend } from '../../../src/storage/memory/memory.ts'
import { createTestUser } from '../../support/http/users.ts'
import { testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

export const ANNA = { email: 'anna@example.org', name: 'Anna', password: 'a long password' }

export const ACTOR = (userId: string) => ({ userId, isAdmin: false, apiKey: null, sessionId: null }) as never

export async function openInstallation(
  t: TestContext,
  options: { buckets?: string[]; everyMs?: number } = {},
) {
  const database = await testDatabase()
  const buckets = options.buckets ?? ['s3']
  const placed = await testPlacement(database.db, {
    remotes: buckets,
    originals: buckets,
    catalogueAt: buckets,
    settings: { catalogueEveryMs: options.everyMs ?? 60_000 },
  })
  t.after(async () => {
    await placed.close()
    await database.drop()
  })
  const { db, pool } = database
  const { placement } = placed
  const heldIn = (id: string) => (placed.remotes.get(id)!.inner as MemoryBackend).held
  return {
    db,
    pool,
    placement,
    mediaLocation: placed.mediaLocation,
    remotes: placed.remotes,
    heldIn,
    user: (who: typeof ANNA & { isAdmin?: boolean } = ANNA) => createTestUser(db, who),
    /** Uploads a file, and copies it to all buckets. */
    async upload(userId: string, name = 'photo.jpg'): Promise<{ id: string; bytes: Buffer }> {
      const bytes = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff]), randomBytes(500)])
      const original = await stageStream(placement, once(bytes), { maxBytes: 1e6 })
      const at = new Date('2024-05-06T07:08:09Z')
      const fields = {
        isFavorite: false,
        visibility: 'timeline' as const,
        durationMs: null,
        livePhotoVideoId: null,
      }
      const { id } = await acceptUpload({ db, placement }, ACTOR(userId), {
        ...{ fileName: name, original, sidecar: null },
        fields: { ...fields, fileCreatedAt: at, fileModifiedAt: at },
      })
      const { original_object_id: objectId } = await db
        .selectFrom('asset')
        .select('original_object_id')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      for (const to of buckets) await replicateObject(placement, { objectId, to })
      return { id, bytes }
    },
    /** Writes all that is due now, and copies it. */
    async write() {
      const written = await writeCatalogue({ db, placement }, { isNow: true })
      const objects = await db
        .selectFrom('stored_object')
        .select('id')
        .where('kind', '=', 'catalogue')
        .execute()
      for (const { id: objectId } of objects)
        for (const to of buckets) await replicateObject(placement, { objectId, to })
      return written
    },
    batchKeys: (id = 's3') => [...heldIn(id).keys()].filter((key) => key.endsWith('.jsonl.gz')).sort(),
    /** As a database that knows nothing of what its new buckets hold. */
    async adopt(
      options: { isRebuild?: boolean; isFresh?: boolean; trashDeleted?: boolean } = {},
    ): Promise<CatalogueReport> {
      await beginCatalogueAdoption(db, { isRebuild: true, isFresh: true, trashDeleted: false, ...options })
      return (await adoptCatalogue({ db, placement }))!.report
    },
    async assets() {
      const { rows } = await pool.query<Record<string, unknown>>(
        `select id, owner_id, original_file_name, encode(checksum, 'hex') as sha1, local_date_time, is_favorite,
           visibility, deleted_at is not null as is_trashed, live_photo_video_id from asset order by id`,
      )
      return rows
    },
    installation: async () => (await loadInstallation(db)).id,
  }
}
export type Installation = Awaited<ReturnType<typeof openInstallation>>

/** The originals and the catalogue of one installation's bucket, in another one's that begins empty. */
export async function moveBucket(from: Installation, to: Installation, id = 's3', toId = id): Promise<void> {
  for (const [key, held] of from.heldIn(id)) if (!key.startsWith('.')) to.heldIn(toId).set(key, held)
  await to.pool.query('update installation set id = $1', [await from.installation()])
}

export async function packed(
  header: { installation: string; isSnapshot?: boolean; parents?: string[]; madeAt?: string },
  entries: readonly object[],
): Promise<{ bytes: Buffer; sha256: string }> {
  const pieces: Buffer[] = []
  async function* all() {
    yield* entries
  }
  const whole = { isSnapshot: false, parents: [], madeAt: new Date().toISOString(), ...header }
  for await (const piece of packBatch(whole, all(), () => undefined)) pieces.push(piece)
  const bytes = Buffer.concat(pieces)
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') }
}

/** Puts a batch into a bucket behind everybody's back. @returns its SHA-256 */
export async function plant(
  held: MemoryBackend['held'],
  header: Parameters<typeof packed>[0],
  entries: readonly object[],
): Promise<{ key: string; sha256: string }> {
  const { bytes, sha256 } = await packed(header, entries)
  const key = batchKey(header.installation)
  held.set(key, { bytes, modifiedAt: new Date() })
  return { key, sha256 }
}

export const batchKey = (installation: string) =>
  `catalogue/${installation}/2026-05-04T03-02-01Z.${randomBytes(16).toString('hex')}.jsonl.gz`

export function assetEntry(owner: string, changes: Partial<AssetEntry> = {}): { asset: AssetEntry } {
  const bytes = changes.original === undefined ? randomBytes(10) : null
  const id = changes.id ?? randomUUID()
  const at = '2024-05-06T07:08:09.000Z'
  return {
    asset: {
      ...{ id, owner, type: 'IMAGE', name: 'photo.jpg', mimeType: 'image/jpeg' },
      sha1: createHash('sha1')
        .update(bytes ?? '')
        .digest('hex'),
      original: {
        ...{ id: randomUUID(), size: 10, contentType: 'image/jpeg', extension: 'jpg' },
        sha256: createHash('sha256')
          .update(bytes ?? '')
          .digest('hex'),
        keys: { s3: `users/${owner}/${id}/original.${randomBytes(16).toString('hex')}.jpg` },
      },
      ...{ sidecar: null, fileCreatedAt: at, fileModifiedAt: at, localDateTime: '2024-05-06 07:08:09' },
      ...{ timeZone: null, createdAt: at, trashedAt: null, isFavorite: false, visibility: 'timeline' },
      ...{ livePhotoVideo: null, isEmbedded: false, durationMs: null, albums: [], said: null },
      ...changes,
    },
  }
}

/** What this installation's next batch follows. */
export async function headsOf({ pool }: Installation): Promise<string[]> {
  const { rows } = await pool.query<{ heads: string[] }>('select heads from catalogue_state')
  return rows[0]!.heads
}

/** Each asset as the catalogue would tell it now. */
export async function entriesOf({ db }: Installation): Promise<AssetEntry[]> {
  const found: AssetEntry[] = []
  for await (const entry of everything(db)) if ('asset' in entry) found.push(entry.asset)
  return found
}

/** Gives an asset a sidecar, as an upload of one does. @returns the id of its object */
export async function addSidecar(
  { db, pool, placement }: Pick<Installation, 'db' | 'pool' | 'placement'>,
  assetId: string,
): Promise<string> {
  const bytes = Buffer.from(`<x:xmpmeta>${randomBytes(8).toString('hex')}</x:xmpmeta>`)
  const { rows } = await pool.query<{ owner_id: string }>('select owner_id from asset where id = $1', [
    assetId,
  ])
  const staged = await stageStream(placement, once(bytes), { maxBytes: 1e6 })
  await ingestSidecar(placement, { userId: rows[0]!.owner_id }, assetId, staged, (tx, objectId) =>
    setAssetFile(tx, assetId, 'sidecar', { objectId, width: null, height: null }),
  )
  const { object_id } = await db
    .selectFrom('asset_file')
    .select('object_id')
    .where('asset_id', '=', assetId)
    .where('kind', '=', 'sidecar')
    .executeTakeFirstOrThrow()
  return object_id
}

/** The object of an asset's sidecar. */
export async function sidecarOf({ pool }: Installation, assetId: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ object_id: string }>(
    `select object_id from asset_file where asset_id = $1 and kind = 'sidecar'`,
    [assetId],
  )
  return rows[0]?.object_id
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
