import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { connectClient } from '../support/client.ts'
import { snapshot } from '../support/database/embedded-folders.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { spawnServer } from '../support/spawn-server.ts'

/** Files of the original's size, on its disk and in its bucket. */
async function countHeld(folder: string): Promise<number> {
  const places = [join(folder, 'media'), join(folder, 'demonstration-bucket')]
  const { stdout } = await promisify(execFile)('find', [...places, '-type', 'f', '-size', '5004c'])
  return stdout.split('\n').filter(Boolean).length
}

/**
 * `/mnt/disk/srv/glassine/data` runs, a snapshot of it (taken while it runs, as docs/backup.md allows) is
 * started as `/srv/glassine/data`, to try something with a copy.
 */
test('what is deleted in a copy of a running installation is not deleted in its original', async (t) => {
  const home = await mkdtemp(join(memoryFolder(), 'glassine-home-'))
  const mounted = await mkdtemp(join(memoryFolder(), 'glassine-mnt-'))
  t.after(async () => {
    await rm(home, { recursive: true, force: true })
    await rm(mounted, { recursive: true, force: true })
  })
  const copyFolder = join(home, 'data')
  const folder = join(mounted, copyFolder)
  await mkdir(folder, { recursive: true })
  const original = await spawnServer({ dataDir: folder })
  t.after(() => original.stop())
  const client = await connectClient(original.url)
  const bytes = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(5_000)])
  const { id } = await client.upload(bytes, 'only.jpg')
  await sleep(3_000)
  await snapshot(folder, copyFolder)
  const held = await countHeld(folder)

  const copy = await spawnServer({ dataDir: copyFolder })
  t.after(() => copy.stop())
  const there = await connectClient(copy.url)
  const answer = await there.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id], force: true }),
  })
  t.diagnostic(`deleted in the copy: ${answer.status}`)
  await sleep(8_000)
  const found = await client.call(`/assets/${id}`)
  t.diagnostic(`the original's bytes, before and after: ${held} and ${await countHeld(folder)} files`)
  assert.equal(found.status, 200, 'the original still has its photo')
  assert.equal(await client.sha256OfOriginal(id), createHash('sha256').update(bytes).digest('hex'))
})
