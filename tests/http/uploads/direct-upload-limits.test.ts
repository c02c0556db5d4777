/**
 * Where uploads past the server are offered, what they may take, and how long a request about one may last.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { StrictProfile } from 'strict-s3/profiles'
import { DIRECT_LIMITS } from '../../../src/library/direct-uploads/limits.ts'
import type { UploadRules } from '../../../src/library/uploads/upload-strategy.ts'
import type { Client } from '../../support/client.ts'
import {
  announce,
  ask,
  confirm,
  hashOf,
  post,
  send,
  sendParts,
  show,
  startDirectServer,
} from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

const MIB = 1024 * 1024
const MODE_ON = { upload: { strategy: 'local-first', direct: 'on' }, rollout: null } as UploadRules

type Config = { isAvailable: boolean; reason: string; maxSinglePutBytes: number }
const configOf = (client: Client) => client.json<Config>('/storage/uploads/config')

for (const [words, profile, cause] of [
  ['a URL for ever', { ignoreExpiry: true }, /a put after its time/],
  ['any digest', { ignoreDigests: true }, /Content-MD5 is not enforced/],
] as const satisfies [string, Partial<StrictProfile>, RegExp][]) {
  test(`a bucket that takes ${words} is offered to nobody, unless it is told otherwise`, async (t) => {
    const server = await startDirectServer(t, { profile })
    const config = await configOf(server.admin)
    assert.equal(config.isAvailable, false)
    assert.match(config.reason, cause)
    const user = await server.newUser('ada')
    assert.equal((await configOf(user)).reason, 'the bucket is not fit for uploads past the server')
    assert.equal((await post(user, '', announce(await photo(), 'a.jpg'))).status, 503)

    const told = await startDirectServer(t, { profile, uploads: MODE_ON })
    assert.equal((await configOf(told.admin)).isAvailable, true)
  })
}

test('what is wrong with the bucket is for administrators', async (t) => {
  const server = await startDirectServer(t)
  await server.pool.query(
    `update location set is_healthy = false, health_error = 'bucket family-photos: AccessDenied' where id = 's3'`,
  )
  const user = await server.newUser('ada')
  assert.match((await configOf(server.admin)).reason, /family-photos/)
  assert.equal((await configOf(user)).reason, "the bucket can't be used at the moment")
  for (const [client, isTold] of [
    [server.admin, true],
    [user, false],
  ] as const) {
    const response = await post(client, '', announce(await photo(), 'a.jpg'))
    assert.equal(response.status, 503)
    assert.equal(/family-photos/.test(await response.text()), isTold)
  }
})

test('where a second put is not refused, files go in parts, however small, whose URLs end with them', async (t) => {
  for (const uploads of [undefined, MODE_ON]) {
    const server = await startDirectServer(t, {
      profile: { ignoreConditionalPut: true, ...(uploads && { ignoreDigests: true }) },
      ...(uploads && { uploads }),
    })
    const { admin } = server
    assert.equal((await configOf(admin)).maxSinglePutBytes, 0)
    const bytes = await photo()
    const upload = await ask(admin, bytes, 'a.jpg', { md5: null })
    assert.equal(upload.put, null)
    assert.equal(upload.parts!.count, 1)
    const wanted = [{ number: 1, size: bytes.length, md5: hashOf('md5', bytes) }]
    const response = await post(admin, `/${upload.id}/parts`, { parts: wanted })
    const [part] = ((await response.json()) as { parts: { url: string; headers: Record<string, string> }[] })
      .parts
    assert.equal(await send(part!, bytes), 200)
    assert.equal((await confirm(admin, upload.id)).body.state, 'received')
    await server.runJobs()
    const done = await show(admin, upload.id)
    assert.equal(done.state, 'done')
    assert.equal(await send(part!, randomBytes(bytes.length)), 404, 'nothing can be put there')
    assert.equal(await send(part!, bytes), 404)
    assert.equal(await admin.sha256OfOriginal(done.assetId!), hashOf('sha256', bytes))
  }
})

test('what a second put could still replace is proven when its URL is over', async (t) => {
  const server = await startDirectServer(t)
  const { admin, pool } = server
  const { backend } = server.placement.locations.get('s3')!
  const [bytes, other] = [await photo(), await photo()]
  const upload = await ask(admin, bytes, 'a.jpg')
  const unsent = await ask(admin, other, 'b.jpg')
  await send(upload.put!, bytes)
  await confirm(admin, upload.id)
  backend.useFeatures({ ...backend.features, conditionalPut: false })
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'received')
  await pool.query(
    `update replica set writable_until = now() - interval '1 second';
     update graphile_worker._private_jobs set run_at = now()`,
  )
  await server.runJobs()
  assert.equal((await show(admin, upload.id)).state, 'done')

  await pool.query(
    `update location set probe = jsonb_set(probe, '{features,conditionalPut}', 'false') where id = 's3'`,
  )
  // The last look at the probe is seconds old at most; another placement has not looked.
  const again = await ask(admin, other, 'b.jpg')
  assert.notEqual(again.id, unsent.id, 'no further URL for a put is signed')
  assert.equal((await show(admin, unsent.id)).state, 'abandoned')
})

test('the limit of open uploads holds for those that are asked for at once', async (t) => {
  const server = await startDirectServer(t)
  const user = await server.newUser('ada')
  const { openUploads } = DIRECT_LIMITS
  await server.pool.query(
    `insert into direct_upload (id, owner_id, object_id, asset_id, size, sha256, sha1, md5, file_name, file_created_at,
       file_modified_at, is_favorite, visibility, expires_at)
     select gen_random_uuid(), $1, gen_random_uuid(), gen_random_uuid(), 1, sha256(n::text::bytea),
       substring(sha256(n::text::bytea) for 20), substring(sha256(n::text::bytea) for 16), 'a.jpg', now(), now(), false,
       'timeline', now() + interval '1 day'
     from generate_series(1, $2) n`,
    [user.userId, openUploads - 2],
  )
  const files = await Promise.all(Array.from({ length: 6 }, () => photo()))
  const answers = await Promise.all(
    files.map((bytes, index) => post(user, '', announce(bytes, `${index}.jpg`))),
  )
  const statuses = answers.map(({ status }) => status).sort()
  assert.deepEqual(statuses, [201, 201, 409, 409, 409, 409])
  const refused = answers.find(({ status }) => status === 409)!
  assert.match(await refused.text(), /1000 uploads of yours are open/)
  const { rows } = await server.pool.query('select count(*)::int from stored_object')
  assert.equal(rows[0].count, 2, 'nothing was begun for those that were refused')
})

test('a bucket that hangs is waited for no longer than for a file', async (t) => {
  const server = await startDirectServer(t, { settings3: { requestTimeoutMs: 60_000 } })
  const { admin, bucket } = server
  const { settings } = server.placement
  const { answerWithinMs } = settings
  const bytes = randomBytes(33 * MIB)
  const upload = await ask(admin, bytes, 'film.mp4')
  const single = await ask(admin, await photo(), 'a.jpg')
  const part = { number: 1, size: 5 * MIB, md5: hashOf('md5', bytes.subarray(0, 5 * MIB)) }
  const hang = () => bucket.faults.add({ match: { key: /users\// }, fault: { kind: 'hang' } })
  const unanswered = async (ask: () => Promise<Response>) => {
    const begunAt = performance.now()
    // For this call alone: what must succeed has the ordinary time.
    settings.answerWithinMs = 300
    const response = await ask()
    settings.answerWithinMs = answerWithinMs
    assert.equal(response.status, 503, await response.text())
    assert.ok(performance.now() - begunAt < 30_000, 'the client of the bucket itself waits for a minute')
  }
  hang()
  await unanswered(() => post(admin, `/${upload.id}/parts`, { parts: [part] }))
  await unanswered(() => post(admin, `/${single.id}/confirm`))
  bucket.faults.clear()
  await sendParts(admin, upload, bytes, [1])
  hang()
  await unanswered(() => admin.call(`/storage/uploads/${upload.id}`))
  await unanswered(() => post(admin, `/${upload.id}/confirm`))
  await unanswered(() => post(admin, '', announce(bytes, 'film.mp4')))
  bucket.faults.clear()
  assert.equal((await show(admin, upload.id)).present.length, 1)
})
