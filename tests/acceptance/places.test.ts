/** Media locations that fill up, go away, or lack hard links: real file systems, mounted for the test. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { link, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import type { Client } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import {
  drained,
  failuresOf,
  photo,
  probed,
  probeNow,
  receiptOf,
  staged,
  startServerWithBucket,
  statusOf,
} from '../support/server-with-bucket.ts'

const MIB = 1024 * 1024
const run = promisify(execFile)
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

type Mounted = { path: string; mount(): Promise<void>; unmount(): Promise<void> }

/**
 * A folder that a file system is mounted on; it and all below it is gone at the end of the test. Null, and
 * said loudly, where mounting is refused or its tools can't be had; in CI that is a failure.
 */
async function mountFor(t: TestContext, arrange: (folder: string, path: string) => Promise<string[]>) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-places-'))
  const path = join(folder, 'mounted')
  await mkdir(path)
  let isMounted = false
  const mounted: Mounted = {
    path,
    async mount() {
      const [command, ...args] = await arrange(folder, path)
      await run(command!, args)
      isMounted = true
    },
    async unmount() {
      isMounted = false
      await run('umount', ['--lazy', path])
    },
  }
  // Before the test's other clean-ups: those run in the order of their registration, and the server must end
  // first.
  const cleanUp = async () => {
    if (isMounted) await mounted.unmount()
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await mounted.mount()
  } catch (error) {
    await cleanUp()
    const reason = `nothing can be mounted here: ${(error as Error).message.trim()}`
    if (process.env.CI === 'true') throw new Error(reason, { cause: error })
    process.stderr.write(`\n*** NOT TESTED: ${t.name}: ${reason}\n\n`)
    t.skip(reason)
    return null
  }
  return { mounted, cleanUp }
}

/**
 * A folder of this disk, mounted elsewhere: what a disk looks like that can be unplugged and comes back as it
 * was.
 */
async function bindMount(folder: string, path: string): Promise<string[]> {
  await mkdir(join(folder, 'disk'), { recursive: true })
  return ['mount', '--bind', join(folder, 'disk'), path]
}

/** exFAT in a file, through FUSE: no hard links, no permissions, no owners. */
async function exfat(folder: string, path: string): Promise<string[]> {
  const hasTools = await run('sh', ['-c', 'command -v mkfs.exfat && command -v mount.exfat-fuse']).then(
    () => true,
    () => false,
  )
  if (!hasTools && process.getuid?.() === 0) {
    await run('apt-get', ['install', '-y', '--no-install-recommends', 'exfat-fuse', 'exfatprogs'], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: 120_000,
    })
  }
  const image = join(folder, 'image')
  await run('truncate', ['--size=256M', image])
  await run('mkfs.exfat', [image])
  const device = (await run('losetup', ['--find', '--show', image])).stdout.trim()
  // Detached already: the device goes with the mount.
  return [
    'sh',
    '-c',
    'mount.exfat-fuse "$1" "$2"; code=$?; losetup --detach "$1"; exit $code',
    'sh',
    device,
    path,
  ]
}

async function tryUpload(client: Client, bytes: Buffer, name: string) {
  const form = new FormData()
  form.set('fileCreatedAt', new Date().toISOString())
  form.set('fileModifiedAt', new Date().toISOString())
  form.set('assetData', new Blob([new Uint8Array(bytes)]), name)
  const response = await client.call('/assets', { method: 'POST', body: form })
  return { status: response.status, body: (await response.json()) as { id: string; message: string } }
}

test('a full disk: 507 with the remedy, nothing lost, and it goes on when there is room', {
  timeout: 120_000,
}, async (t) => {
  const place = await mountFor(t, async (_folder, path) => [
    'mount',
    '-t',
    'tmpfs',
    '-o',
    'size=60m',
    'glassine-test',
    path,
  ])
  if (place === null) return
  const site = await startServerWithBucket({ mediaLocation: place.mounted.path })
  t.after(async () => {
    await site.close()
    await place.cleanUp()
  })
  const { client, bucket } = site
  await probed(client)
  bucket.faults.add({ fault: { kind: 'status', status: 503, code: 'SlowDown' } })
  await probeNow(client)
  const kept = new Map<string, Buffer>()
  for (const name of ['one.mp4', 'two.mp4']) {
    const bytes = randomBytes(25 * MIB)
    const { status, body } = await tryUpload(client, bytes, name)
    assert.equal(status, 201)
    kept.set(body.id, bytes)
  }
  const third = randomBytes(25 * MIB)
  for (let time = 0; time < 3; time += 1) {
    const { status, body } = await tryUpload(client, third, 'three.mp4')
    assert.equal(status, 507)
    assert.match(body.message, /full.*free some space/)
    assert.deepEqual(await staged(site.mediaLocation), [], 'what it took is given back')
  }
  const [status] = (await statusOf(client)).locations as unknown as { freeBytes: number }[]
  assert.ok(status!.freeBytes < 15 * MIB)
  for (const [id, bytes] of kept) assert.equal(await client.sha256OfOriginal(id), sha256(bytes))
  assert.equal((await tryUpload(client, await photo(), 'small.jpg')).status, 201, 'what fits is taken')

  bucket.faults.clear()
  await probeNow(client)
  await drained(client, 70_000)
  const { status: again, body } = await tryUpload(client, third, 'three.mp4')
  assert.equal(again, 201, 'offloading made room')
  kept.set(body.id, third)
  await drained(client, 30_000)
  for (const [id, bytes] of kept) assert.equal(await client.sha256OfOriginal(id), sha256(bytes))
})

test('a mount that goes away: a clear error, nothing written beside it, and all is there when it is back', {
  timeout: 120_000,
}, async (t) => {
  const place = await mountFor(t, bindMount)
  if (place === null) return
  const { mounted } = place
  const site = await startServerWithBucket({
    mediaLocation: mounted.path,
    upload: 'deleteLocalAfterUpload: false',
  })
  const processing = (command: 'pause' | 'resume') =>
    site.client.json('/jobs/thumbnailGeneration', {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ command }),
    })
  t.after(async () => {
    await site.close()
    await place.cleanUp()
  })
  const { client } = site
  await probed(client)
  const bytes = await photo()
  const { id } = await client.upload(bytes, 'before.jpg')
  await eventually(async () => {
    const { originals } = await statusOf(client)
    assert.equal(originals.both.count, 1)
    assert.equal((await receiptOf(client, id)).processing.state, 'done')
  }, 30_000)
  await processing('pause')
  const unprocessed = await client.upload(await photo(), 'unprocessed.jpg')
  await eventually(async () => assert.equal((await statusOf(client)).originals.both.count, 2), 20_000)
  await mounted.unmount()
  await processing('resume')
  const refused = await tryUpload(client, await photo(), 'into-nothing.jpg')
  assert.equal(refused.status, 503, JSON.stringify(refused.body))
  const thumbnail = await client.call(`/assets/${id}/thumbnail`)
  assert.equal(thumbnail.status, 503)
  await thumbnail.body?.cancel()
  assert.equal(await client.sha256OfOriginal(id), sha256(bytes), 'the bucket has it, too')
  const { originals } = await statusOf(client)
  assert.equal(originals.both.count, 2, 'a replica that cannot be reached is not a bad one')
  await eventually(async () => {
    assert.ok((await failuresOf(client)).some(({ job }) => job === 'process-asset'))
  }, 20_000)
  assert.equal((await receiptOf(client, unprocessed.id)).processing.state, 'pending', 'not taken for broken')
  assert.deepEqual(await readdir(mounted.path), [], 'nothing is written beside the mount')

  await mounted.mount()
  assert.equal((await client.call(`/assets/${id}/thumbnail`)).status, 200)
  assert.equal((await tryUpload(client, await photo(), 'after.jpg')).status, 201)
  await eventually(async () => {
    assert.equal((await receiptOf(client, unprocessed.id)).processing.state, 'done')
  }, 30_000)

  await site.server.stop()
  await mounted.unmount()
  await assert.rejects(site.start(), (error: Error) => {
    assert.match(error.message, /Glassine does not start\..*marker.*is it mounted/)
    assert.ok(error.message.includes(mounted.path))
    return true
  })
  assert.deepEqual(await readdir(mounted.path), [])
  await mounted.mount()
  await site.start()
  assert.equal(await site.client.sha256OfOriginal(id), sha256(bytes))
  assert.equal((await statusOf(site.client)).originals.atRisk.count, 0)
})

test('a media location without hard links: upload, previews, offload, download and a second start work', {
  timeout: 120_000,
}, async (t) => {
  const place = await mountFor(t, exfat)
  if (place === null) return
  const { mounted } = place
  await writeFile(join(mounted.path, 'a'), '')
  await assert.rejects(link(join(mounted.path, 'a'), join(mounted.path, 'b')), 'there are hard links here')
  await rm(join(mounted.path, 'a'))
  const site = await startServerWithBucket({ mediaLocation: mounted.path })
  t.after(async () => {
    await site.close()
    await place.cleanUp()
  })
  await probed(site.client)
  const kept = new Map<string, Buffer>()
  const photos = await Promise.all(Array.from({ length: 6 }, () => photo()))
  await Promise.all(
    [...photos, randomBytes(20 * MIB)].map(async (bytes, index) => {
      const { id, status } = await site.client.upload(bytes, index < 6 ? `${index}.jpg` : 'film.mp4')
      assert.equal(status, 'created')
      kept.set(id, bytes)
    }),
  )
  assert.equal((await site.client.upload(photos[0]!, 'again.jpg')).status, 'duplicate')
  await drained(site.client, 60_000)
  await site.server.stop()
  await site.start()
  for (const [id, bytes] of kept) {
    assert.equal(await site.client.sha256OfOriginal(id), sha256(bytes))
    if (bytes.length > MIB) continue
    const thumbnail = await site.client.call(`/assets/${id}/thumbnail`)
    assert.equal(thumbnail.status, 200)
    await thumbnail.body?.cancel()
  }
  assert.deepEqual(await staged(site.mediaLocation), [])
})
