/**
 * The way back with what the last backup does not know: the machine is lost, and the catalogue beside the
 * originals brings later photos back as what they were; without any backup it brings back all of them.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ADMIN } from '../support/client.ts'
import { eventually } from '../support/eventually.ts'
import { sendJson, sendStill, someVideo } from '../support/http/live-photos.ts'
import { installationOf, runCli } from '../support/run-cli.ts'
import {
  drained,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'

const LIMIT_MS = 60_000
let site: ServerWithBucket
let keyFile: string
const uploads = new Map<string, string>()

const glassine = (args: string[], input = '') =>
  runCli(args, { cwd: site.folder, env: installationOf(site), input })

async function upload(name: string): Promise<string> {
  const bytes = await photo(100)
  const { id } = await site.client.upload(bytes, name)
  uploads.set(id, createHash('sha256').update(bytes).digest('hex'))
  return id
}

/** What clients see of each asset, but for what is made of its file again. */
async function assetsOf(ids: Iterable<string>) {
  const FIELDS = [
    ...['id', 'ownerId', 'originalFileName', 'checksum', 'fileCreatedAt', 'localDateTime', 'isFavorite'],
    ...['isTrashed', 'isArchived', 'visibility', 'livePhotoVideoId', 'type', 'createdAt', 'originalMimeType'],
  ]
  const shown: Record<string, unknown>[] = []
  for (const id of [...ids].sort()) {
    const asset = await site.client.json<Record<string, unknown>>(`/assets/${id}`)
    const { description } = asset.exifInfo as { description: string }
    shown.push({ ...Object.fromEntries(FIELDS.map((name) => [name, asset[name]])), description })
  }
  return shown
}

const processed = () =>
  eventually(async () => {
    for (const id of uploads.keys()) {
      const asset = await site.client.json<{ thumbhash: string | null }>(`/assets/${id}`)
      if (asset.thumbhash === null) throw new Error(`${id} is not processed`)
    }
  }, LIMIT_MS)

const inBucket = async (pattern: RegExp) =>
  (await site.bucket.stored.objects()).map(({ key }) => key).filter((key) => pattern.test(key))

async function bucketState() {
  const keys = await inBucket(/^(users|backups|catalogue)\//)
  return Promise.all(
    keys.map(
      async (key) =>
        `${key} ${createHash('sha256')
          .update(await site.bucket.stored.bytes(key))
          .digest('hex')}`,
    ),
  )
}

before(async () => {
  site = await startServerWithBucket({ postgres: 'embedded' })
  keyFile = join(site.folder, 'written-down.txt')
  await probed(site.client)
})
after(() => site?.close())

const album = async (albumName: string, assetIds: string[]) =>
  (
    await site.client.json<{ id: string }>('/albums', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ albumName, assetIds }),
    })
  ).id

let before_: { assets: unknown; albumId: string; live: { still: string; film: string } }

test('an older backup and the catalogue bring back what came after the backup', {
  timeout: 400_000,
}, async () => {
  const early = [await upload('früh 1.jpg'), await upload('früh 2.jpg')]
  await drained(site.client, LIMIT_MS)
  const made = await glassine(['backup', 'now'])
  assert.equal(made.code, 0, made.stdout + made.stderr)
  await copyFile(join(site.dataDir, 'backup-key.txt'), keyFile)

  const late = [await upload('spät 1.jpg'), await upload('spät 2.jpg')]
  const film = await site.client.upload(someVideo(), 'IMG_1.mov')
  const still = await sendStill(site.client, await photo(90), film.id)
  const favorite = await sendJson(site.client, 'PUT', `/assets/${late[0]}`, {
    isFavorite: true,
    description: 'Grüße vom Meer',
    dateTimeOriginal: '2019-07-08T09:10:11.000Z',
  })
  assert.equal(favorite.status, 200)
  await sendJson(site.client, 'PUT', `/assets/${early[1]}`, {
    isFavorite: true,
    description: 'Später gesagt',
  })
  const albumId = await album('Süden', [early[0]!, late[1]!])
  await drained(site.client, LIMIT_MS)
  await processed()
  const batches = /^catalogue\/[0-9a-f-]{36}\/.*\.jsonl\.gz$/
  assert.equal((await inBucket(/^catalogue\//)).length, 0, 'nothing is written before its time')
  const puts = site.bucket.faults.add({
    match: { operation: 'PutObject', key: /^catalogue\// },
    fault: { kind: 'delay', ms: 0 },
  })
  const written = await glassine(['catalogue', 'now'])
  assert.equal(written.code, 0, written.stdout + written.stderr)
  await eventually(async () => {
    const [{ length: batch }, { length: texts }] = [
      await inBucket(batches),
      await inBucket(/^catalogue\/texts\//),
    ]
    if (batch !== 1 || texts !== 3) throw new Error(`${batch} batches and ${texts} texts`)
  }, LIMIT_MS)
  assert.equal(puts.hits, 4, 'one request for the batch, and one for each month of a user')
  const texts = await Promise.all(
    (await inBucket(/^catalogue\/texts\//)).map((key) => site.bucket.stored.bytes(key)),
  )
  const text = texts.map(String).join('')
  for (const id of early) assert.ok(text.includes(uploads.get(id)!), text)
  assert.match(text, /^users\/.*original\.[0-9a-f]{32}\.jpg\tspät 1\.jpg\t2019-07-08 09:10:11/m)

  const drill = await glassine(['restore', '--from', 's3', '--drill'])
  assert.equal(drill.code, 0, drill.stdout + drill.stderr)
  assert.match(drill.stdout, /1 user, 0 albums and 2 assets; the originals of 2 are at a location other/)
  assert.match(drill.stdout, /bring back 4 assets, 0 users and 1 album\./)
  const status = await glassine(['storage', 'status'])
  assert.match(
    status.stdout,
    /The last restore drill, of .*: the originals of 2 of 2 assets were found, and 4/,
  )

  // Minutes before the end, and in no catalogue.
  const last = await upload('zuletzt.jpg')
  await drained(site.client, LIMIT_MS)
  const known = [...early, ...late, film.id, still.id]
  before_ = { assets: await assetsOf(known), albumId, live: { still: still.id, film: film.id } }
  await site.server.stop()
  const held = await bucketState()
  await rm(site.dataDir, { recursive: true })

  const done = await glassine(['restore', '--from', 's3', '--key-file', keyFile, '--yes', '--adopt'])
  assert.ok(done.code === 0 || done.code === 3, done.stdout + done.stderr)
  assert.match(done.stdout, /^Brought back: 5 assets, 0 users and 1 album\./m, done.stdout + done.stderr)
  assert.match(done.stdout, /^1 of them is named by no catalogue/m)
  const now = await bucketState()
  for (const one of held) assert.ok(now.includes(one), `${one} was changed or removed`)

  await site.start()
  assert.deepEqual(await assetsOf(known), before_.assets)
  for (const [id, sha256] of uploads) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  assert.equal((await site.client.json<{ id: string }>(`/assets/${last}`)).id, last)
  await processed()
  const again = await site.client.json<{ albumName: string; assetCount: number }>(`/albums/${albumId}`)
  assert.deepEqual([again.albumName, again.assetCount], ['Süden', 2])
  // Once more, there is nothing to bring back.
  const twice = await glassine(['catalogue', 'adopt', '--json'])
  const plan = JSON.parse(twice.stdout) as Record<string, number>
  assert.deepEqual([plan.assets, plan.users, plan.albums, plan.missing, plan.deletedLater], [0, 0, 0, 0, 0])
  assert.deepEqual(await assetsOf(known), before_.assets)
})

test('without any backup the catalogue makes the installation anew', { timeout: 400_000 }, async () => {
  const second = await site.client.json<{ id: string }>('/admin/users', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ email: 'zwei@example.org', name: 'Zwei', password: 'another password' }),
  })
  assert.equal((await glassine(['catalogue', 'now'])).code, 0)
  const batches = /^catalogue\/[0-9a-f-]{36}\/.*\.jsonl\.gz$/
  await eventually(async () => {
    if ((await inBucket(batches)).length !== 2) throw new Error('not copied yet')
  }, LIMIT_MS)
  const people = await site.client.json<{ id: string; email: string; isAdmin: boolean }[]>('/admin/users')
  const known = [...uploads.keys(), before_.live.still, before_.live.film]
  const shown = await assetsOf(known)
  await site.server.stop()
  const held = await bucketState()
  await rm(site.dataDir, { recursive: true })

  const plan = await glassine(['rebuild', '--from', 's3'])
  assert.equal(plan.code, 3, plan.stdout + plan.stderr)
  assert.match(plan.stdout, /holds 7 originals of 1 people and the catalogue of the installation/)
  const done = await glassine(['rebuild', '--from', 's3', '--yes'])
  assert.ok(done.code === 0 || done.code === 3, done.stdout + done.stderr)
  assert.match(done.stdout, /^Brought back: 7 assets, 2 users and 1 album\./m, done.stdout + done.stderr)
  const now = await bucketState()
  for (const one of held) assert.ok(now.includes(one), `${one} was changed or removed`)
  const secretless = Buffer.concat(
    await Promise.all((await inBucket(/^catalogue\//)).map((key) => site.bucket.stored.bytes(key))),
  )
  assert.ok(!secretless.includes('scrypt'))

  const reset = await glassine(['users', 'reset-password', ADMIN.email, '--password-stdin'], ADMIN.password)
  assert.equal(reset.code, 0, reset.stdout + reset.stderr)
  Object.assign(site, { client: undefined })
  await site.start()
  assert.deepEqual(await assetsOf(known), shown)
  for (const [id, sha256] of uploads) assert.equal(await site.client.sha256OfOriginal(id), sha256)
  const after = await site.client.json<typeof people>('/admin/users')
  const essence = (all: typeof people) => all.map(({ id, email, isAdmin }) => [id, email, isAdmin]).sort()
  assert.deepEqual(essence(after), essence(people))
  assert.ok(after.some(({ id }) => id === second.id))
  const refused = await glassine(['rebuild', '--from', 's3', '--yes'])
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /There is an installation in this database already/)
})
