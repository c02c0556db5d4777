/**
 * An asset is deleted, its files with it, while it is worked on: nobody's fault, no failed job, and nothing
 * is left behind.
 */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { purgeAssets } from '../../src/library/assets/trash.ts'
import { processAsset } from '../../src/library/processing/processing.ts'
import { transcodeAsset } from '../../src/library/processing/transcoding.ts'
import { silentLog } from '../../src/log.ts'
import { type MediaTools, openMediaTools } from '../../src/media/processes/tools.ts'
import { purgeObject } from '../../src/placement/lifecycle/purge.ts'
import { makeVideo } from '../support/files/make-video.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

/** Its first task waits for `before`. */
function toolsThatWait(t: TestContext, before: () => Promise<void>): MediaTools {
  const tools = openMediaTools({ log: silentLog, threads: 1 })
  t.after(() => tools.close())
  let waited: Promise<void> | undefined
  const run: MediaTools['quick']['run'] = async (...task) => {
    waited ??= before()
    await waited
    return tools.quick.run(...task)
  }
  return { ...tools, quick: { ...tools.quick, run } }
}

async function deleteForGood({ db, placement }: TestServer, assetId: string): Promise<void> {
  assert.equal(await purgeAssets(db, [assetId]), 1)
  const purging = await db.selectFrom('stored_object').select('id').where('state', '=', 'purging').execute()
  for (const { id } of purging) await purgeObject(placement, { objectId: id })
}

async function assertNothingLeft({ db, mediaLocation }: TestServer): Promise<void> {
  assert.deepEqual(await db.selectFrom('stored_object').select('id').execute(), [])
  const names = await readdir(mediaLocation, { recursive: true })
  assert.deepEqual(
    names.filter((name) => name.startsWith('users')),
    [],
  )
}

test('while its pictures are made', async (t) => {
  const server = await startTestServer(t)
  const { db, placement, admin } = server
  const picture = await sharp({ create: { width: 64, height: 64, channels: 3, background: 'red' } })
    .jpeg()
    .toBuffer()
  const { id } = await admin.upload(picture, 'red.jpg')
  const mediaTools = toolsThatWait(t, () => deleteForGood(server, id))
  const parts = { db, placement, mediaTools, pictures: { thumbnailPx: 250, previewPx: 1440 } }
  await processAsset(parts, { assetId: id }, {})
  await assertNothingLeft(server)
})

test('while it is encoded', async (t) => {
  const server = await startTestServer(t)
  const { db, placement, admin, mediaLocation } = server
  const path = join(mediaLocation, 'staging', 'film.avi')
  await makeVideo(path, { seconds: 1, width: 160, height: 120, codec: 'mpeg4' })
  const { id } = await admin.upload(await readFile(path), 'film.avi')
  const mediaTools = toolsThatWait(t, () => deleteForGood(server, id))
  await transcodeAsset(
    { db, placement, mediaTools },
    { assetId: id },
    { signal: new AbortController().signal },
  )
  await assertNothingLeft(server)
})
