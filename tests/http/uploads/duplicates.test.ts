/**
 * *Duplicate* is an acknowledgement: at every door it needs a copy that is verified, and right bytes repair
 * what lost its own.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Client } from '../../support/client.ts'
import {
  ask,
  confirm,
  type DirectServer,
  hashOf,
  send,
  show,
  startDirectServer,
} from '../../support/http/direct-upload.ts'
import { placesOf } from '../../support/placement.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { immich } from '../../support/services/immich-cli.ts'

type Check = { id: string; action: 'accept' | 'reject'; assetId?: string }

async function objectOf({ db }: DirectServer, assetId: string): Promise<string> {
  const row = await db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', assetId)
    .executeTakeFirstOrThrow()
  return row.original_object_id
}
const replicasOf = async (server: DirectServer, assetId: string) =>
  (await loadObject(server.db, await objectOf(server, assetId)))!.replicas
const places = async (server: DirectServer, assetId: string) =>
  placesOf(server.db, await objectOf(server, assetId))

async function check({ admin }: DirectServer, ...files: Buffer[]): Promise<Check[]> {
  const assets = files.map((bytes, index) => ({ id: `file ${index}`, checksum: hashOf('sha1', bytes) }))
  const { results } = await admin.json<{ results: Check[] }>('/assets/bulk-upload-check', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assets }),
  })
  return results
}

function formOf(bytes: Buffer, sidecar: string | null = null): FormData {
  const form = new FormData()
  const now = new Date().toISOString()
  form.set('fileCreatedAt', now)
  form.set('fileModifiedAt', now)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  if (sidecar !== null) form.set('sidecarData', new Blob([sidecar]), 'photo.jpg.xmp')
  return form
}

/** Announced in the header, as some clients do. `sidecar`: sent along. */
async function post(
  { url, token }: Pick<Client, 'url' | 'token'>,
  bytes: Buffer,
  { isAnnounced = false, sidecar = null }: { isAnnounced?: boolean; sidecar?: string | null } = {},
) {
  const form = formOf(bytes, sidecar)
  const response = await fetch(`${url}/api/assets`, {
    method: 'POST',
    body: form,
    headers: {
      authorization: `Bearer ${token}`,
      ...(isAnnounced && { 'x-immich-checksum': hashOf('sha1', bytes) }),
    },
  })
  return (await response.json()) as { id: string; status: string; message?: string }
}

/** A photo whose original is in the bucket alone. */
async function offloaded(server: DirectServer): Promise<{ id: string; bytes: Buffer }> {
  const bytes = await photo()
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  await server.runJobs()
  assert.deepEqual(await places(server, id), ['s3 verified'])
  return { id, bytes }
}

/** Deleted in the bucket behind our back. */
async function loseInBucket({ bucket, ...server }: DirectServer, assetId: string): Promise<void> {
  const [replica] = (await replicasOf({ bucket, ...server }, assetId)).filter(
    ({ locationId }) => locationId === 's3',
  )
  const held = (await bucket.stored.objects()).find(({ key }) => key.endsWith(replica!.key))
  await bucket.stored.vanish(held!.key)
}

/** Lost, and known to be: somebody has read it. */
async function lost(server: DirectServer): Promise<{ id: string; bytes: Buffer }> {
  const made = await offloaded(server)
  await loseInBucket(server, made.id)
  await sql`update replica set state = 'suspect', actor = 'a reader' where object_id = ${await objectOf(server, made.id)}`.execute(
    server.db,
  )
  return made
}

async function assertWell(server: DirectServer, { id, bytes }: { id: string; bytes: Buffer }): Promise<void> {
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
  await server.runJobs()
  assert.deepEqual(await places(server, id), ['s3 verified'])
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
}

const trash = (client: Client, id: string) =>
  client.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id] }),
  })
const emptyTrash = (client: Client) => client.call('/trash/empty', { method: 'POST' })

test('A3: the right bytes repair an asset whose object is lost: same id, same object, noted in its history', async (t) => {
  const server = await startDirectServer(t)
  const made = await lost(server)
  const object = await objectOf(server, made.id)

  const answer = await post(server.admin, made.bytes)
  assert.deepEqual([answer.status, answer.id], ['duplicate', made.id])
  assert.equal(await objectOf(server, made.id), object)
  assert.deepEqual(await places(server, made.id), ['local verified', 's3 suspect'])
  const { history } = await server.admin.json<{ history: { location: string; to: string; actor: string }[] }>(
    `/storage/receipts/${made.id}`,
  )
  const { location, to, actor } = history.at(-1)!
  assert.deepEqual([location, to, actor], ['local', 'verified', 'repair by upload'])
  await assertWell(server, made)
})

test('A3: a loss that nobody has noticed yet is noticed before sent bytes are thrown away', async (t) => {
  const server = await startDirectServer(t)
  const made = await offloaded(server)
  await loseInBucket(server, made.id)
  assert.deepEqual((await post(server.admin, made.bytes)).id, made.id)
  assert.deepEqual(await places(server, made.id), ['local verified', 's3 suspect'])
  await assertWell(server, made)
})

test('A3: an announced checksum of an asset without a copy is not answered before its bytes came', async (t) => {
  const server = await startDirectServer(t)
  const made = await lost(server)
  const answer = await post(server.admin, made.bytes, { isAnnounced: true })
  assert.deepEqual([answer.status, answer.id], ['duplicate', made.id])
  await assertWell(server, made)
})

test('A3: the bulk check accepts what has no copy, and asks no bucket', async (t) => {
  const server = await startDirectServer(t)
  const gone = await lost(server)
  const well = await offloaded(server)
  server.bucket.counts.reset()
  const results = await check(server, gone.bytes, well.bytes, Buffer.from('new'))
  assert.deepEqual(
    results.map(({ action, assetId }) => [action, assetId]),
    [
      ['accept', undefined],
      ['reject', well.id],
      ['accept', undefined],
    ],
  )
  assert.deepEqual(server.bucket.counts.requests, {})
  await post(server.admin, gone.bytes)
  assert.equal((await check(server, gone.bytes))[0]!.action, 'reject')
})

test('A3: a direct upload of an asset without a copy is taken, and becomes its original', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const made = await lost(server)
  const upload = await ask(admin, made.bytes, 'photo.jpg')
  assert.equal(upload.status, 'created')
  assert.equal(await send(upload.put!, made.bytes), 200)
  assert.equal((await confirm(admin, upload.id)).body.state, 'received')
  await server.runJobs()
  const { state, assetId } = await show(admin, upload.id)
  assert.deepEqual([state, assetId], ['duplicate', made.id])
  await assertWell(server, made)
  assert.equal((await ask(admin, made.bytes, 'photo.jpg')).status, 'duplicate')
  assert.equal((await check(server, made.bytes))[0]!.action, 'reject')
})

test('A3: a direct upload that meets an asset which loses its copy meanwhile repairs it', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'photo.jpg')
  await send(upload.put!, bytes)
  const { id } = await post(admin, bytes)
  await server.runJobs()
  await confirm(admin, upload.id)
  await loseInBucket(server, id)
  await server.runJobs()
  const { state, assetId } = await show(admin, upload.id)
  assert.deepEqual([state, assetId], ['duplicate', id])
  await assertWell(server, { id, bytes })
})

test('A3: an original that is only on this disk, and whose file is gone, is no duplicate at any door', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await post(server.admin, bytes)
  assert.deepEqual(await places(server, id), ['local verified'])
  assert.equal((await check(server, bytes))[0]!.action, 'reject')
  const { key } = (await replicasOf(server, id))[0]!
  await rm(join(server.mediaLocation, key))

  assert.equal((await check(server, bytes))[0]!.action, 'accept')
  assert.deepEqual(await places(server, id), ['local suspect'], 'what was noticed is noted')
  assert.equal((await ask(server.admin, bytes, 'photo.jpg')).status, 'created')
  const answer = await post(server.admin, bytes, { isAnnounced: true })
  assert.deepEqual([answer.status, answer.id], ['duplicate', id])
  await assertWell(server, { id, bytes })
})

test('A3: other bytes in the place of the file are replaced, at the last place that has any', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await post(server.admin, bytes)
  const { key } = (await replicasOf(server, id))[0]!
  await writeFile(join(server.mediaLocation, key), Buffer.alloc(bytes.length, 1))
  await sql`update replica set state = 'suspect', actor = 'a reader'`.execute(server.db)
  assert.equal((await post(server.admin, bytes)).status, 'duplicate')
  await assertWell(server, { id, bytes })
})

test('A3: twelve uploads of a lost file at once repair it once, and none is told more than is true', async (t) => {
  const server = await startDirectServer(t)
  const made = await lost(server)
  const answers = await Promise.all(Array.from({ length: 12 }, () => post(server.admin, made.bytes)))
  assert.deepEqual(
    new Set(answers.map(({ id, status }) => `${status} ${id}`)),
    new Set([`duplicate ${made.id}`]),
  )
  await assertWell(server, made)
})

test('A3: what is in the trash comes back when it is uploaded again, by every door, and emptying spares it', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const made = await offloaded(server)
  const doors: Record<string, () => Promise<unknown>> = {
    upload: () => post(admin, made.bytes),
    header: () => post(admin, made.bytes, { isAnnounced: true }),
    announce: () => ask(admin, made.bytes, 'photo.jpg'),
  }
  for (const [door, pass] of Object.entries(doors)) {
    await trash(admin, made.id)
    assert.equal(
      (await check(server, made.bytes))[0]!.action,
      'accept',
      'who deletes on a reject must send it first',
    )
    const answer = (await pass()) as { id: string; status: string }
    assert.deepEqual([answer.status, answer.id], ['duplicate', made.id], door)
    await emptyTrash(admin)
    await server.runJobs()
    assert.equal((await admin.json<{ isTrashed: boolean }>(`/assets/${made.id}`)).isTrashed, false, door)
    await assertWell(server, made)
  }
})

test('A3: a confirmed direct upload takes what went into the trash meanwhile out of it', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const bytes = await photo()
  const upload = await ask(admin, bytes, 'photo.jpg')
  await send(upload.put!, bytes)
  const { id } = await post(admin, bytes)
  await trash(admin, id)
  await confirm(admin, upload.id)
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).assetId, id)
  await emptyTrash(admin)
  await assertWell(server, { id, bytes })
})

test('A3: a photo in the trash whose copy is lost is repaired and restored by one upload', async (t) => {
  const server = await startDirectServer(t)
  const made = await lost(server)
  await trash(server.admin, made.id)
  assert.equal((await post(server.admin, made.bytes, { isAnnounced: true })).id, made.id)
  await emptyTrash(server.admin)
  await assertWell(server, made)
})

test('A3: an asset that is purged at this moment is no duplicate: the upload makes another', async (t) => {
  const server = await startDirectServer(t)
  const made = await offloaded(server)
  await trash(server.admin, made.id)
  await emptyTrash(server.admin)
  const answer = await post(server.admin, made.bytes, { isAnnounced: true })
  assert.equal(answer.status, 'created')
  assert.notEqual(answer.id, made.id)
  await assertWell(server, { id: answer.id, bytes: made.bytes })
})

test('A3: a copy being written, given up, or at a place that is not configured is none; an archived one is', async (t) => {
  const server = await startDirectServer(t)
  const { db } = server
  const made = await offloaded(server)
  const object = await objectOf(server, made.id)
  const actionOf = async () => (await check(server, made.bytes))[0]!.action

  await sql`update replica set storage_class = 'DEEP_ARCHIVE' where object_id = ${object}`.execute(db)
  assert.equal(await actionOf(), 'reject')
  await sql`update replica set storage_class = null where object_id = ${object}`.execute(db)

  await sql`update location set identity = 'another place' where id = 's3'`.execute(db)
  assert.equal(await actionOf(), 'accept')
  await sql`update location set identity = 'test s3' where id = 's3'`.execute(db)
  assert.equal(await actionOf(), 'reject')

  await sql`update replica set state = 'suspect' where object_id = ${object}`.execute(db)
  await sql`insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    values (${object}, 'local', ${`users/${randomUUID()}/a/original.x.jpg`}, 'writing', 'a dead writer', now() - interval '1 minute')`.execute(
    db,
  )
  assert.equal(await actionOf(), 'accept')
  assert.equal((await post(server.admin, made.bytes)).id, made.id, 'the dead writer is in nobody’s way')
  assert.equal(await actionOf(), 'reject')
  // As if the eviction of the repaired file had been cut: its bytes are on their way out.
  await sql`update replica set state = 'verified' where object_id = ${object} and location_id = 's3'`.execute(
    db,
  )
  await sql`update replica set state = 'evicting', removal = 'other-copy' where object_id = ${object} and location_id = 'local'`.execute(
    db,
  )
  await sql`update replica set state = 'suspect' where object_id = ${object} and location_id = 's3'`.execute(
    db,
  )
  await loseInBucket(server, made.id)
  assert.equal(await actionOf(), 'accept')
  assert.equal((await post(server.admin, made.bytes)).id, made.id)
  await assertWell(server, made)
})

test('A3: a proof that was neither renewed nor seen in a listing for two days is not enough for who has sent nothing', async (t) => {
  const server = await startDirectServer(t)
  const made = await offloaded(server)
  await sql`update replica set verified_at = now() - interval '49 hours' where location_id = 's3'`.execute(
    server.db,
  )
  assert.equal((await check(server, made.bytes))[0]!.action, 'accept')
  await sql`insert into location_listing (location_id, begun_at, finished_at)
    values ('s3', now() - interval '1 hour', now())`.execute(server.db)
  assert.equal((await check(server, made.bytes))[0]!.action, 'reject')
})

test('A3: while the bucket is away, what was proven lately is a duplicate, and what was not is kept here', async (t) => {
  const server = await startDirectServer(t, { settings: { answerWithinMs: 2_000 } })
  const made = await offloaded(server)
  server.bucket.faults.add({ match: {}, fault: { kind: 'status', status: 503, code: 'SlowDown' } })
  assert.equal((await post(server.admin, made.bytes)).id, made.id)
  assert.deepEqual(await places(server, made.id), ['s3 verified'])
  await sql`update replica set verified_at = now() - interval '49 hours' where location_id = 's3'`.execute(
    server.db,
  )
  assert.equal((await post(server.admin, made.bytes)).id, made.id)
  assert.deepEqual(await places(server, made.id), ['local verified', 's3 verified'])
})

test('A3: another file with the same SHA-1 is refused, not taken for a duplicate', async (t) => {
  const server = await startDirectServer(t)
  const made = await offloaded(server)
  const other = await photo()
  await sql`update asset set checksum = ${Buffer.from(hashOf('sha1', other), 'hex')}`.execute(server.db)
  const answer = await post(server.admin, other)
  assert.match(answer.message ?? '', /same SHA-1/)
  assert.equal(await server.admin.sha256OfOriginal(made.id), hashOf('sha256', made.bytes))
})

test('A3: another file with the same SHA-1 is no duplicate for a direct upload, neither announced nor sent', async (t) => {
  const server = await startDirectServer(t)
  const made = await offloaded(server)
  const [other, late] = [await photo(), await photo()]
  const sameSha1As = (bytes: Buffer) =>
    sql`update asset set checksum = ${Buffer.from(hashOf('sha1', bytes), 'hex')}`.execute(server.db)
  await sameSha1As(other)
  await assert.rejects(ask(server.admin, other, 'other.jpg'), /same SHA-1/)
  // Announced before the asset came.
  const upload = await ask(server.admin, late, 'late.jpg')
  await send(upload.put!, late)
  await confirm(server.admin, upload.id)
  await sameSha1As(late)
  await server.runJobs()
  assert.equal((await show(server.admin, upload.id)).state, 'failed')
  assert.equal(await server.admin.sha256OfOriginal(made.id), hashOf('sha256', made.bytes))
})

const xmp = (rating: number) =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="${rating}"/></rdf:RDF></x:xmpmeta>`

test('A3: a sidecar without a copy is replaced by the one that is sent, and its asset is no duplicate before', async (t) => {
  const server = await startDirectServer(t)
  const bytes = await photo()
  const { id } = await post(server.admin, bytes, { sidecar: xmp(3) })
  await server.runJobs()
  assert.equal((await check(server, bytes))[0]!.action, 'reject')
  const { rows } = await sql<{ key: string }>`select key from replica join stored_object o on o.id = object_id
    where kind = 'sidecar'`.execute(server.db)
  await rm(join(server.mediaLocation, rows[0]!.key))
  assert.equal((await check(server, bytes))[0]!.action, 'accept')
  assert.equal((await post(server.admin, bytes, { sidecar: xmp(5) })).id, id)
  await server.runJobs()
  assert.equal((await check(server, bytes))[0]!.action, 'reject')
  const asset = await server.admin.json<{ exifInfo: { rating: number } }>(`/assets/${id}`)
  assert.equal(asset.exifInfo.rating, 5)
})

for (const [sent, rating] of [
  ['another one', 5],
  ['the same one', 3],
] as const) {
  test(`L4: a sidecar in whose place ${sent} was sent goes, also if its file comes back right`, async (t) => {
    const server = await startDirectServer(t)
    const bytes = await photo()
    const sidecars = async () => {
      const { rows } = await sql<{
        key: string
      }>`select key from replica join stored_object o on o.id = object_id
        where kind = 'sidecar'`.execute(server.db)
      return rows.map(({ key }) => key)
    }
    await post(server.admin, bytes, { sidecar: xmp(3) })
    await server.runJobs()
    const [key] = await sidecars()
    const file = join(server.mediaLocation, key!)
    await rename(file, `${file}.away`)
    await post(server.admin, bytes, { sidecar: xmp(rating) })
    await rename(`${file}.away`, file)
    await server.runJobs()
    const left = await sidecars()
    assert.equal(left.length, 1)
    assert.notEqual(left[0], key)
    await assert.rejects(stat(file), { code: 'ENOENT' })
    assert.equal(await readFile(join(server.mediaLocation, left[0]!), 'utf8'), xmp(rating))
  })
}

test('A3: what another user has, and lost, is nothing to do with mine', async (t: TestContext) => {
  const server = await startDirectServer(t)
  const made = await lost(server)
  const other = await server.newUser('other')
  const answer = await post(other, made.bytes)
  assert.equal(answer.status, 'created')
  assert.deepEqual(await places(server, made.id), ['s3 suspect'])
  const healthOf = (client: Client) => client.json<{ atRisk?: number }>('/storage/health')
  assert.deepEqual([(await healthOf(server.admin)).atRisk, (await healthOf(other)).atRisk], [1, undefined])
  assert.equal((await check(server, made.bytes))[0]!.action, 'accept')
})

test('A3: a lost photo in the locked folder, or half of a live photo, is repaired and stays what it was', async (t) => {
  const server = await startDirectServer(t)
  const locked = await lost(server)
  await sql`update asset set visibility = 'locked' where id = ${locked.id}`.execute(server.db)
  const half = await lost(server)
  await sql`update asset set visibility = 'hidden' where id = ${half.id}`.execute(server.db)
  for (const { id, bytes } of [locked, half]) {
    assert.equal((await check(server, bytes))[0]!.action, 'accept')
    assert.equal((await post(server.admin, bytes)).id, id)
    assert.equal((await check(server, bytes))[0]!.action, 'reject')
  }
  const { rows } = await sql<{
    visibility: string
  }>`select visibility from asset order by visibility`.execute(server.db)
  assert.deepEqual(
    rows.map(({ visibility }) => visibility),
    ['hidden', 'locked'],
  )
})

test('A3: the official CLI with --delete-duplicates repairs a lost photo, and deletes only what is safe', async (t) => {
  const server = await startDirectServer(t)
  const { admin } = server
  const made = await lost(server)
  const folder = await mkdtemp(join(tmpdir(), 'glassine-cli-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'photo.jpg')
  await writeFile(file, made.bytes)
  const { secret } = await admin.json<{ secret: string }>('/api-keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'cli', permissions: ['all'] }),
  })
  await immich(folder, ['login', `${server.url}/api`, secret])
  await immich(folder, ['upload', '--delete-duplicates', '--no-progress', file])
  assert.ok((await places(server, made.id)).includes('local verified'))
  await assertWell(server, made)

  await writeFile(file, made.bytes)
  await immich(folder, ['upload', '--delete-duplicates', '--no-progress', file])
  await assert.rejects(stat(file), { code: 'ENOENT' })
  await assertWell(server, made)
})

test('an upload that meets a copy on its way out hears when to come again, and is kept then', async (t) => {
  const server = await startDirectServer(t, { settings: { answerWithinMs: 1_000 } })
  const bytes = await photo()
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  const object = await objectOf(server, id)
  await replicateObject(server.placement, { objectId: object, to: 's3' })
  await sql`update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = now() + interval '80 seconds'
    where location_id = 'local' and object_id = ${object}`.execute(server.db)
  await sql`update replica set state = 'suspect' where location_id = 's3' and object_id = ${object}`.execute(
    server.db,
  )
  await loseInBucket(server, id)
  const refused = await server.admin.call('/assets', { method: 'POST', body: formOf(bytes) })
  assert.equal(refused.status, 503, await refused.text())
  const seconds = Number(refused.headers.get('retry-after'))
  assert.ok(seconds > 60 && seconds <= 80, `${seconds} s`)

  await sql`update replica set lease_expires_at = now() where location_id = 'local'`.execute(server.db)
  assert.equal((await post(server.admin, bytes)).id, id)
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
})
