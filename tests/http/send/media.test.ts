import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { type ByteRange, type ObjectKey, StorageError } from '../../../src/storage/backend.ts'
import { eventually } from '../../support/eventually.ts'
import { readZip } from '../../support/files/zip.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const jpeg = (size: number) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(size - 4)])

/** An original that is in the bucket only. */
async function offloaded(server: TestServer, bytes: Buffer, name = 'photo.jpg'): Promise<string> {
  const { id } = await server.admin.upload(bytes, name)
  await server.runJobs()
  const receipt = await server.admin.json<{ replicas: { location: string; state: string }[] }>(
    `/storage/receipts/${id}`,
  )
  assert.deepEqual(
    receipt.replicas.map(({ location, state }) => [location, state]),
    [['s3', 'verified']],
  )
  return id
}

/** Records what is read from the bucket; `shape` may replace the stream. */
function watchReads(
  server: TestServer,
  shape?: (stream: Readable, range: ByteRange | undefined) => Readable,
) {
  const { inner } = server.remotes.get('s3')!
  const get = inner.get
  const streams: Readable[] = []
  inner.get = async (key: ObjectKey, options) => {
    const found = await get.call(inner, key, options)
    const stream = shape ? shape(found.stream, options?.range) : found.stream
    streams.push(stream)
    return { ...found, stream }
  }
  return { streams, restore: () => (inner.get = get) }
}

test('originals leave the bucket by range, whole, or not at all', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const bytes = jpeg(300_000)
  const id = await offloaded(server, bytes)
  const path = `/assets/${id}/original`
  const get = (headers: Record<string, string> = {}, method = 'GET') => admin.call(path, { headers, method })

  await t.test('the whole file, with what players and caches need', async () => {
    const response = await get()
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'image/jpeg')
    assert.equal(response.headers.get('content-length'), '300000')
    assert.equal(response.headers.get('accept-ranges'), 'bytes')
    assert.equal(
      response.headers.get('cache-control'),
      'private, max-age=86400, no-transform, stale-while-revalidate=2592000, stale-if-error=2592000',
    )
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    assert.match(response.headers.get('content-security-policy')!, /sandbox/)
    assert.equal(response.headers.get('content-disposition'), "inline; filename*=UTF-8''photo.jpg")
    assert.ok(Date.parse(response.headers.get('last-modified')!) <= Date.now())
    assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes)
  })

  await t.test('ranges, of which the bucket gives only what is asked', async () => {
    const cases: [string, number, number][] = [
      ['bytes=0-99', 0, 99],
      ['bytes=100000-', 100_000, 299_999],
      ['bytes=-500', 299_500, 299_999],
      ['bytes=-999999', 0, 299_999],
      ['bytes=299999-400000', 299_999, 299_999],
      ['Bytes=7-7', 7, 7],
    ]
    for (const [range, start, end] of cases) {
      const reads = watchReads(server, (stream, asked) => {
        assert.deepEqual(asked, { start, end })
        return stream
      })
      const response = await get({ range })
      assert.equal(response.status, 206, range)
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${end}/300000`)
      assert.equal(response.headers.get('content-length'), String(end - start + 1))
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(start, end + 1))
      assert.equal(reads.streams.length, 1)
      // Cut off, it would cost the next read a connection of its own, with TLS a dozen milliseconds.
      await eventually(() => assert.ok(reads.streams[0]!.readableEnded, 'the source was read to its end'))
      reads.restore()
    }
  })

  await t.test('what lies outside is 416, what is no range is ignored', async () => {
    for (const range of ['bytes=300000-', 'bytes=300000-300001', 'bytes=-0']) {
      const response = await get({ range })
      assert.equal(response.status, 416, range)
      assert.equal(response.headers.get('content-range'), 'bytes */300000')
      assert.equal((await response.arrayBuffer()).byteLength, 0)
    }
    for (const range of ['bytes=5-2', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,5-6', 'bytes=-']) {
      const response = await get({ range })
      assert.equal(response.status, 200, range)
      assert.equal((await response.arrayBuffer()).byteLength, 300_000)
    }
  })

  await t.test('HEAD, 304 and 416 read nothing', async () => {
    const reads = watchReads(server)
    const head = await get({}, 'HEAD')
    assert.equal(head.status, 200)
    assert.equal(head.headers.get('content-length'), '300000')
    assert.equal(head.headers.get('accept-ranges'), 'bytes')
    const etag = head.headers.get('etag')!
    const part = await get({ range: 'bytes=0-9' }, 'HEAD')
    assert.equal(part.status, 206)
    assert.equal(part.headers.get('content-length'), '10')

    const conditions: Record<string, string>[] = [
      { 'if-none-match': etag },
      { 'if-none-match': `"other", W/${etag}` },
      { 'if-none-match': '*' },
      { 'if-modified-since': head.headers.get('last-modified')! },
    ]
    for (const headers of conditions) {
      const response = await get(headers)
      assert.equal(response.status, 304)
      assert.equal(response.headers.get('etag'), etag)
      assert.equal((await response.arrayBuffer()).byteLength, 0)
    }
    assert.equal((await get({ range: 'bytes=400000-' })).status, 416)
    assert.equal(reads.streams.length, 0)
    reads.restore()

    assert.equal((await get({ 'if-range': etag, range: 'bytes=0-9' })).status, 206)
    assert.equal((await get({ 'if-range': '"other"', range: 'bytes=0-9' })).status, 200)
    assert.equal(
      (await get({ 'if-none-match': '"other"', 'if-modified-since': new Date().toUTCString() })).status,
      200,
    )
  })

  // What is smaller is sent when all of it is known to be right.
  const film = jpeg(3_000_000)
  const filmPath = `/assets/${await offloaded(server, film, 'film.jpg')}/original`

  await t.test(
    'a client that leaves frees its read at once, 60 times over, and the next one is served',
    async () => {
      // A source that never runs dry, as a large video does not.
      const reads = watchReads(server, (stream) => {
        stream.destroy()
        return new Readable({ read() {} }).once('resume', function (this: Readable) {
          this.push(bytes.subarray(0, 1_000))
        })
      })
      for (let round = 0; round < 6; round += 1) {
        await Promise.all(
          Array.from({ length: 10 }, async () => {
            const abort = new AbortController()
            const response = await admin.call(filmPath, { signal: abort.signal })
            assert.equal(response.status, 200)
            await response.body!.getReader().read()
            abort.abort()
          }),
        )
      }
      await eventually(() => {
        assert.equal(reads.streams.length, 60)
        assert.equal(reads.streams.filter((stream) => !stream.destroyed).length, 0)
      })
      reads.restore()
      assert.deepEqual(Buffer.from(await (await get()).arrayBuffer()), bytes)
    },
  )

  await t.test('a client that leaves before the bucket has answered frees it as well', async () => {
    const reads = watchReads(server, (stream) => {
      stream.destroy()
      return new Readable({ read() {} })
    })
    const abort = new AbortController()
    const request = admin.call(path, { signal: abort.signal })
    await eventually(() => assert.equal(reads.streams.length, 1))
    abort.abort()
    await assert.rejects(request)
    await eventually(() => assert.ok(reads.streams[0]!.destroyed))
    reads.restore()
  })

  await t.test('a connection cut once is taken up at the byte where it broke', async () => {
    let cuts = 0
    const reads = watchReads(server, (stream) => (cuts++ === 0 ? cutAfter(stream, 120_000) : stream))
    assert.deepEqual(Buffer.from(await (await get()).arrayBuffer()), bytes)
    assert.equal(reads.streams.length, 2)
    reads.restore()
  })

  await t.test(
    'one that breaks for good aborts the answer: never a short success, never a hang',
    { timeout: 20_000 },
    async () => {
      const reads = watchReads(server, (stream, range) => cutAfter(stream, range?.start ? 0 : 120_000))
      const response = await admin.call(filmPath)
      assert.equal(response.status, 200)
      await assert.rejects(response.arrayBuffer())
      reads.restore()
    },
  )

  await t.test('a bucket that does not answer is 503 in JSON, without the headers of a file', async () => {
    const { inner } = server.remotes.get('s3')!
    const original = inner.get
    inner.get = () => Promise.reject(new StorageError('unavailable', 'planned'))
    const response = await get()
    inner.get = original
    assert.equal(response.status, 503)
    assert.match(response.headers.get('content-type')!, /json/)
    assert.equal(response.headers.get('etag'), null)
    assert.equal(response.headers.get('content-disposition'), null)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.deepEqual(Object.keys((await response.json()) as object), ['message'])
  })

  await t.test('other people get nothing of it, and no hint that it exists', async () => {
    const stranger = await server.newUser('stranger')
    for (const what of ['original', 'thumbnail', 'video/playback']) {
      const theirs = await stranger.call(`/assets/${id}/${what}`)
      const nobodys = await stranger.call(`/assets/00000000-0000-4000-8000-000000000000/${what}`)
      assert.equal(theirs.status, 400)
      assert.deepEqual(await theirs.json(), await nobodys.json())
    }
    assert.equal((await stranger.call(`/storage/receipts/${id}`)).status, 400)
  })
})

test('a hostile file can run nothing in our origin', async (t) => {
  const server = await startTestServer(t)
  const script = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
  const { id } = await server.admin.upload(script, 'evil.svg')
  const response = await server.admin.call(`/assets/${id}/original`)
  assert.equal(response.headers.get('content-type'), 'application/octet-stream')
  assert.equal(response.headers.get('content-disposition'), "attachment; filename*=UTF-8''evil.svg")
  assert.match(response.headers.get('content-security-policy')!, /default-src 'none'.*sandbox/)

  const html = Buffer.from('<!doctype html><script>alert(1)</script>')
  const page = await server.admin.upload(html, 'page.jpg')
  const lie = await server.admin.call(`/assets/${page.id}/original`)
  assert.equal(lie.headers.get('content-type'), 'image/jpeg')
  assert.equal(lie.headers.get('x-content-type-options'), 'nosniff')
})

test('archives stream one source at a time', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const files = new Map<string, Buffer>()
  const ids: string[] = []
  for (let index = 0; index < 70; index += 1) {
    const bytes = jpeg(2_000 + index)
    const { id } = await admin.upload(bytes, index < 2 ? 'same name.jpg' : `photo ${index}.jpg`)
    ids.push(id)
    files.set(createHash('sha256').update(bytes).digest('hex'), bytes)
  }
  await server.runJobs()
  const post = (path: string, body: unknown) =>
    admin.call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })

  const info = await post('/download/info', { assetIds: ids, archiveSize: 50_000 })
  assert.equal(info.status, 201)
  const plan = (await info.json()) as { totalSize: number; archives: { size: number; assetIds: string[] }[] }
  assert.equal(
    plan.totalSize,
    [...files.values()].reduce((sum, bytes) => sum + bytes.length, 0),
  )
  assert.ok(plan.archives.every(({ size }) => size <= 50_000))
  assert.deepEqual(plan.archives.flatMap(({ assetIds }) => assetIds).sort(), ids.toSorted())
  // Where nothing is said of the size, it is as the user prefers it.
  const preferred = await admin.call('/users/me/preferences', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ download: { archiveSize: 50_000 } }),
  })
  assert.equal(preferred.status, 200)
  assert.deepEqual(await (await post('/download/info', { assetIds: ids })).json(), plan)

  let open = 0
  let mostOpen = 0
  const reads = watchReads(server, (stream) => {
    open += 1
    mostOpen = Math.max(mostOpen, open)
    return stream.once('close', () => (open -= 1))
  })
  const response = await post('/download/archive', { assetIds: ids })
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'application/octet-stream')
  const zip = Buffer.from(await response.arrayBuffer())
  reads.restore()
  assert.equal(zip.length, Number(response.headers.get('content-length')))
  assert.equal(reads.streams.length, 70)
  assert.ok(mostOpen <= 2, `${mostOpen} sources were open at once`)
  const entries = readZip(zip)
  assert.equal(entries.length, 70)
  assert.equal(new Set(entries.map(({ name }) => name)).size, 70)
  assert.ok(entries.some(({ name }) => name === 'same name+1.jpg'))
  for (const { content } of entries) assert.ok(files.has(createHash('sha256').update(content).digest('hex')))

  const stranger = await server.newUser('stranger')
  const refused = await stranger.call('/download/archive', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assetIds: ids }),
  })
  assert.equal(refused.status, 400)
})

function cutAfter(stream: Readable, bytes: number): Readable {
  let passed = 0
  const output = new Readable({ read: () => stream.resume() })
  stream.on('data', (chunk: Buffer) => {
    if (passed + chunk.length >= bytes) {
      if (bytes > passed) output.push(chunk.subarray(0, bytes - passed))
      passed = bytes
      stream.destroy()
      output.push(null)
    } else {
      passed += chunk.length
      output.push(chunk)
    }
  })
  return output
}
