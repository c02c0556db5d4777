/**
 * Seeking in what lies in a bucket: one GET for each range, begun before the ledger has answered, given out
 * only after.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const CREDENTIALS = { accessKeyId: 'early', secretAccessKey: 'early-secret' }

async function start(t: TestContext): Promise<{
  server: TestServer
  bucket: StrictS3
  bytes: Buffer
  id: string
  seek(start: number, end: number, token?: string, view?: string): Promise<Response>
  /** As `seek`, where the bucket has to be asked before the ledger can answer who asks. */
  seekEarly(start: number, end: number, token?: string, view?: string): Promise<Response>
}> {
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['photos'],
  })
  t.after(() => bucket.close())
  const settings = s3TestSettings(
    { endpoint: bucket.endpoint, ...CREDENTIALS, bucket: 'photos' },
    { prefix: '', requestTimeoutMs: 2_000 },
  )
  const location = locationOfBackend('s3', 's3', openS3Backend(settings, silentLog))
  const server = await startTestServer(t, { remotes: [], extra: [location] })
  const bytes = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(3_000_000)])
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  await eventually(async () => {
    await server.runJobs()
    const { rows } = await server.pool.query<{ location_id: string }>(
      `select r.location_id from replica r join asset a on a.original_object_id = r.object_id`,
    )
    assert.deepEqual(rows, [{ location_id: 's3' }])
  }, 60_000)
  bucket.counts.reset()
  const seek = (start: number, end: number, token = server.admin.token, view = 'original') =>
    fetch(`${server.url}/api/assets/${id}/${view}`, {
      headers: { authorization: `Bearer ${token}`, range: `bytes=${start}-${end}` },
    })
  return {
    server,
    bucket,
    bytes,
    id,
    seek,
    async seekEarly(start, end, token, view) {
      const getsBefore = bucket.counts.of('GetObject')
      const letGo = await holdSessions(server)
      try {
        const response = seek(start, end, token, view)
        await eventually(() => assert.equal(bucket.counts.of('GetObject'), getsBefore + 1, 'one GET, early'))
        await letGo()
        return await response
      } finally {
        await letGo()
      }
    },
  }
}

/** Until it is let go, no statement reads a session: a lock on its row alone stops no reader. */
async function holdSessions(server: TestServer): Promise<() => Promise<void>> {
  const holder = await server.pool.connect()
  await holder.query('begin')
  await holder.query('lock table session in access exclusive mode')
  let isHeld = true
  return async () => {
    if (!isHeld) return
    isHeld = false
    await holder.query('rollback')
    holder.release()
  }
}

const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer())

test('each seek is one GET of that range and nothing else; from the second on it is begun early', async (t) => {
  const { bucket, bytes, seek, seekEarly } = await start(t)
  for (let seeks = 1; seeks <= 10; seeks += 1) {
    const at = seeks * 250_000
    const response = await (seeks === 1 ? seek : seekEarly)(at, at + 99_999)
    assert.equal(response.status, 206)
    assert.deepEqual(await bytesOf(response), bytes.subarray(at, at + 100_000))
    assert.equal(bucket.counts.total, seeks)
    assert.equal(bucket.counts.of('GetObject'), seeks)
    assert.equal(bucket.counts.bytesOut, seeks * 100_000)
  }
})

test('so is a seek in what is played of a video', async (t) => {
  const { server, bytes, seek, seekEarly } = await start(t)
  await server.pool.query(`update asset set type = 'VIDEO'`)
  for (const [at, seekHere] of [
    [0, seek],
    [700_000, seekEarly],
  ] as const) {
    const response = await seekHere(at, at + 99_999, server.admin.token, 'video/playback')
    assert.equal(response.status, 206)
    assert.deepEqual(await bytesOf(response), bytes.subarray(at, at + 100_000))
  }
})

test('a seek that is cut is resumed where it broke, and a reader that is slow gets every byte', async (t) => {
  const { bucket, bytes, seek, seekEarly } = await start(t)
  await bytesOf(await seek(0, 9))
  for (const name of ['early', 'early, too'] as const) {
    bucket.counts.reset()
    bucket.faults.add({
      match: { method: 'GET' },
      times: 2,
      fault: { kind: 'cut-response', atByte: 400_000 },
    })
    const response = await seekEarly(500_000, 2_499_999)
    assert.equal(response.status, 206, name)
    const received: Buffer[] = []
    for await (const chunk of response.body!) {
      received.push(Buffer.from(chunk))
      // Longer than the bucket may be silent: it is the reader who is.
      if (received.length === 1) await new Promise((resolve) => setTimeout(resolve, 3_000))
    }
    assert.deepEqual(Buffer.concat(received), bytes.subarray(500_000, 2_500_000), name)
    assert.equal(bucket.counts.of('GetObject'), 3, name)
    assert.ok(bucket.counts.bytesOut < 2_000_000 * 1.1, name)
    bucket.faults.clear()
  }
})

test('nothing that was begun early leaves before the ledger has said that it may', async (t) => {
  const { server, bucket, bytes, id, seek, seekEarly } = await start(t)
  const guest = await server.newUser('guest')
  const album = await server.admin.json<{ id: string }>('/albums', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      albumName: 'shared',
      assetIds: [id],
      albumUsers: [{ userId: guest.userId, role: 'viewer' }],
    }),
  })
  assert.equal((await seek(0, 9, guest.token)).status, 206)

  await t.test('somebody else reads nothing early, and gets nothing', async () => {
    const stranger = await server.newUser('stranger')
    const before = bucket.counts.total
    const response = await seek(0, 9, stranger.token)
    assert.equal(response.status, 400)
    assert.equal(bucket.counts.total, before)
  })
  await t.test('who may no longer see it: the read is begun and thrown away', async () => {
    await server.admin.call(`/albums/${album.id}/user/${guest.userId}`, { method: 'DELETE' })
    const getsBefore = bucket.counts.of('GetObject')
    const response = await seekEarly(0, 2_999_999, guest.token)
    assert.equal(response.status, 400)
    assert.ok((await bytesOf(response)).length < 200)
    await eventually(() => assert.equal(bucket.activeRequests(), 0), 5_000)
    assert.equal(bucket.counts.of('GetObject'), getsBefore + 1, 'and not begun again')
  })
  await t.test('who has logged out', async () => {
    assert.equal((await seek(0, 9)).status, 206)
    const { token } = server.admin
    const again = await fetch(`${server.url}/api/auth/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ email: 'admin@example.org', password: 'a long password' }),
    })
    const { accessToken } = (await again.json()) as { accessToken: string }
    await server.admin.call('/auth/logout', { method: 'POST' })
    const response = await seekEarly(0, 2_999_999, token)
    assert.equal(response.status, 401)
    assert.ok((await bytesOf(response)).length < 200)
    await eventually(() => assert.equal(bucket.activeRequests(), 0), 5_000)

    assert.deepEqual(await bytesOf(await seek(5, 9, accessToken)), bytes.subarray(5, 10))
    await server.pool.query(`update replica set state = 'suspect' where location_id = 's3'`)
    assert.equal((await seek(5, 9, accessToken)).status, 503, 'a replica that fell under suspicion meanwhile')
    await server.pool.query(`update replica set state = 'verified' where location_id = 's3'`)
    assert.deepEqual(await bytesOf(await seek(5, 9, accessToken)), bytes.subarray(5, 10))
  })
})

test('an early read that fails is read again in the usual way', async (t) => {
  const { bucket, bytes, seek, seekEarly } = await start(t)
  await bytesOf(await seek(0, 9))
  const failing = bucket.faults.add({
    match: { method: 'GET' },
    times: 1,
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
  })
  const response = await seekEarly(10, 19)
  assert.equal(failing.hits, 1)
  assert.equal(response.status, 206)
  assert.deepEqual(await bytesOf(response), bytes.subarray(10, 20))
})
