/** Attacks on what people were told is safe, through the API. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { hideLivePhotoVideo } from '../../../src/library/assets/live-photos.ts'
import { deleteAssets, purgeAssets } from '../../../src/library/assets/trash.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { type DirectServer, hashOf, startDirectServer } from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

/** Another file of the same size was put over the only copy. */
async function changedHere(t: TestContext) {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  const { rows } = await sql<{ key: string }>`select key from replica`.execute(server.db)
  const path = join(server.mediaLocation, rows[0]!.key)
  await writeFile(path, randomBytes(bytes.length))
  await utimes(path, new Date(), new Date(Date.now() - 86_400_000))
  return { server, bytes, id, path }
}

async function bulkCheck({ admin }: DirectServer, bytes: Buffer): Promise<string> {
  const { results } = await admin.json<{ results: { action: string }[] }>('/assets/bulk-upload-check', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assets: [{ id: 'x', checksum: hashOf('sha1', bytes) }] }),
  })
  return results[0]!.action
}

test('A3: a local file that was changed at the same size is no duplicate, and repaired by the right bytes', async (t) => {
  const { server, bytes, id } = await changedHere(t)
  assert.equal(await bulkCheck(server, bytes), 'accept')
  const again = await server.admin.upload(bytes, 'photo.jpg')
  assert.deepEqual([again.id, again.status], [id, 'duplicate'])
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
  assert.equal(await bulkCheck(server, bytes), 'reject')
})

test('A3: a local file whose time alone was changed is read once, and known again', async (t) => {
  const { server, bytes, id, path } = await changedHere(t)
  await writeFile(path, bytes)
  await utimes(path, new Date(), new Date(Date.now() - 86_400_000))
  assert.equal((await server.admin.upload(bytes, 'photo.jpg')).status, 'duplicate')
  assert.equal(await bulkCheck(server, bytes), 'reject')
  const { rows } = await sql`select from placement_event where actor = 'repair by upload'`.execute(server.db)
  assert.equal(rows.length, 0)
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
})

for (const [how, remove] of [
  ['for good', (server: DirectServer, still: string) => purgeAssets(server.db, [still])],
  [
    'into the trash',
    (server: DirectServer, still: string, userId: string) =>
      deleteAssets(server.db, { userId } as Parameters<typeof deleteAssets>[1], [still], { force: false }),
  ],
] as const)
  test(`the moving part of a live photo stays when another still comes to use it while the first goes ${how}`, async (t) => {
    const server = await startDirectServer(t)
    const { admin, db } = server
    const [still, other, video] = await Promise.all(
      ['one.jpg', 'two.jpg', 'three.jpg'].map(async (name) => (await admin.upload(await photo(), name)).id),
    )
    await sql`update asset set type = 'VIDEO', visibility = 'hidden' where id = ${video}`.execute(db)
    await sql`update asset set live_photo_video_id = ${video} where id = ${still}`.execute(db)
    const { rows: owners } = await sql<{
      userId: string
    }>`select owner_id as "userId" from asset limit 1`.execute(db)
    const { userId } = owners[0]!
    let removing: Promise<unknown> | undefined
    // An upload of the other still, as its transaction does it.
    await db.transaction().execute(async (tx) => {
      await hideLivePhotoVideo(tx, { userId }, video!)
      await tx.updateTable('asset').set({ live_photo_video_id: video! }).where('id', '=', other!).execute()
      removing = remove(server, still!, userId)
      await untilLockIsAwaited(server.pool)
    })
    await removing
    const { rows } = await sql`select deleted_at from asset where id = ${video}`.execute(db)
    assert.deepEqual(rows, [{ deleted_at: null }])
    const { rows: gone } = await sql`select from asset where id = ${still} and deleted_at is null`.execute(db)
    assert.equal(gone.length, 0)
  })
