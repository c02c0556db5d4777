/**
 * A bucket that fails while photos go out and come back, clients that leave, uploads that are cut: nothing
 * lost, nothing stuck.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '../../support/client.ts'
import { eventually } from '../../support/eventually.ts'
import { readZip } from '../../support/files/zip.ts'
import {
  countRequests,
  drained,
  heldKeys,
  photo,
  probed,
  receiptOf,
  type ServerWithBucket,
  staged,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'
import { WRITE_LEASE_SECONDS } from '../../support/spawn-server.ts'

const MIB = 1024 * 1024
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

let site: ServerWithBucket
let client: Client
/** No real film, so that nothing is read but what a test asks for. */
const video = randomBytes(48 * MIB)
let videoId: string

before(async () => {
  site = await startServerWithBucket({ upload: `writeLeaseSeconds: ${WRITE_LEASE_SECONDS}` })
  client = site.client
  await probed(client)
  videoId = (await client.upload(video, 'film.mp4')).id
  await drained(client, 30_000)
})
after(() => site.close())

describe('downloads of an original that only the bucket holds', { timeout: 90_000 }, () => {
  // First: what clients that left had asked for may still be begun a moment later, and every byte is counted
  // here.
  test('a body that the bucket cuts is taken up where it broke, not from the start', async (t) => {
    const { bucket } = site
    t.after(() => bucket.faults.clear())
    const gets = countRequests(bucket, 'GetObject')
    bucket.faults.add({
      match: { operation: 'GetObject', key: /^users\// },
      times: 2,
      fault: { kind: 'cut-response', atByte: 5 * MIB },
    })
    const sentBefore = bucket.counts.bytesOut
    assert.equal(await client.sha256OfOriginal(videoId), sha256(video))
    assert.equal(gets.hits, 3)
    assert.ok(bucket.counts.bytesOut - sentBefore < video.length * 1.05, 'no byte is asked for twice')
  })

  test('60 clients that leave in the middle free their connections, and the 61st gets every byte', async () => {
    const { bucket } = site
    const connectionsBefore = bucket.openConnections()
    const leaving = Array.from({ length: 60 }, () => stalledDownload(videoId))
    await eventually(() => assert.ok(bucket.activeRequests() >= 20, `${bucket.activeRequests()}`), 20_000)
    for (const download of leaving) download.destroy()
    await eventually(() => assert.equal(bucket.activeRequests(), 0), 5_000)
    const begunAt = Date.now()
    assert.equal(await client.sha256OfOriginal(videoId), sha256(video))
    assert.ok(Date.now() - begunAt < 15_000, 'the 61st waits for nobody')
    assert.ok(
      bucket.openConnections() <= connectionsBefore + 1,
      `${bucket.openConnections()} connections, ${connectionsBefore} before`,
    )
  })

  test('60 clients that leave before they are answered hold nothing either', async () => {
    const { bucket } = site
    const { port } = new URL(client.url)
    for (let count = 0; count < 60; count += 1) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => undefined) // our own reset
      await once(socket, 'connect')
      const headers = `Host: test\r\nAuthorization: Bearer ${client.token}\r\n\r\n`
      await new Promise((resolve) =>
        socket.write(`GET /api/assets/${videoId}/original HTTP/1.1\r\n${headers}`, resolve),
      )
      socket.resetAndDestroy()
    }
    const range = await client.call(`/assets/${videoId}/original`, {
      headers: { range: 'bytes=0-99' },
      signal: AbortSignal.timeout(10_000),
    })
    assert.ok(Buffer.from(await range.arrayBuffer()).equals(video.subarray(0, 100)))
    await eventually(() => assert.equal(bucket.activeRequests(), 0), 5_000)
  })

  for (const declare of ['short', 'full', 'none'] as const) {
    test(`a body that ends early (Content-Length: ${declare}) is taken up again, and no short success`, async (t) => {
      const { bucket } = site
      t.after(() => bucket.faults.clear())
      const early = bucket.faults.add({
        match: { operation: 'GetObject', key: /^users\// },
        times: 1,
        fault: { kind: 'truncate', atByte: 3 * MIB, declare },
      })
      const answer = await download(videoId)
      assert.equal(early.hits, 1)
      // It is taken up where it ended, as one that is cut.
      assert.deepEqual(answer, { status: 200, bytes: video.length, isWhole: true, sha256: sha256(video) })
    })
  }

  test('one that is cut for good aborts the answer soon: no hang, no short success', async (t) => {
    const { bucket } = site
    t.after(() => bucket.faults.clear())
    const match = { operation: 'GetObject', key: /^users\// } as const
    bucket.faults.add({ match, times: 1, fault: { kind: 'cut-response', atByte: 5 * MIB } })
    bucket.faults.add({ match, after: 1, fault: { kind: 'status', status: 500, code: 'InternalError' } })
    const begunAt = Date.now()
    const answer = await download(videoId)
    assert.equal(answer.status, 200)
    assert.equal(answer.isWhole, false)
    assert.ok(answer.bytes < video.length)
    assert.ok(Date.now() - begunAt < 15_000, `${Date.now() - begunAt} ms`)
    bucket.faults.clear()
    assert.equal(await client.sha256OfOriginal(videoId), sha256(video))
  })

  test('ranges cost the bytes that were asked for; HEAD, 304 and 416 cost none', async (t) => {
    const { bucket } = site
    t.after(() => bucket.faults.clear())
    const path = `/assets/${videoId}/original`
    const gets = countRequests(bucket, 'GetObject')
    const heads = countRequests(bucket, 'HeadObject')
    const markers = bucket.faults.add({
      match: { operation: 'GetObject', key: /^\.glassine-location$/ },
      fault: { kind: 'delay', ms: 0 },
    })
    const markerBytes = (await bucket.stored.bytes('.glassine-location')).length
    /** Body bytes that the bucket sent for our objects, those of the health check taken off. */
    const costOf = async (init: RequestInit, status: number, expected: Buffer | null) => {
      const markersBefore = markers.hits
      const sentBefore = bucket.counts.bytesOut
      const response = await client.call(path, init)
      assert.equal(response.status, status)
      const body = Buffer.from(await response.arrayBuffer())
      if (expected) assert.ok(body.equals(expected), `${JSON.stringify(init)}: ${body.length} bytes`)
      return {
        response,
        bytes: bucket.counts.bytesOut - sentBefore - (markers.hits - markersBefore) * markerBytes,
      }
    }
    const range = (value: string) => ({ headers: { range: value } })
    const first = await costOf(range('bytes=0-99'), 206, video.subarray(0, 100))
    assert.equal(first.bytes, 100)
    assert.equal(first.response.headers.get('content-range'), `bytes 0-99/${video.length}`)
    assert.equal((await costOf(range('bytes=-1000'), 206, video.subarray(-1000))).bytes, 1000)
    const middle = `bytes=${20 * MIB}-${21 * MIB - 1}`
    assert.equal(
      (await costOf(range(middle), 206, video.subarray(20 * MIB, 21 * MIB))).bytes,
      MIB,
      'across the parts of a multipart upload, too',
    )
    assert.equal(gets.hits, 3)

    assert.equal((await costOf(range(`bytes=${video.length}-`), 416, Buffer.alloc(0))).bytes, 0)
    const head = await costOf({ method: 'HEAD' }, 200, Buffer.alloc(0))
    assert.equal(head.bytes, 0)
    assert.equal(Number(head.response.headers.get('content-length')), video.length)
    assert.equal(head.response.headers.get('accept-ranges'), 'bytes')
    const etag = head.response.headers.get('etag')!
    assert.equal((await costOf({ headers: { 'if-none-match': etag } }, 304, Buffer.alloc(0))).bytes, 0)
    assert.equal(gets.hits, 3)
    assert.equal(heads.hits, 0)
  })
})

describe('uploads', { timeout: 120_000 }, () => {
  test('one that is cut at any byte leaves nothing, and its repetition succeeds', async () => {
    const bytes = Buffer.concat([await photo(), randomBytes(3 * MIB)])
    const form = formOf(bytes, 'cut.jpg')
    const before = await filesBelow(join(site.mediaLocation, 'users'))
    const cuts = Array.from({ length: 16 }, () => Math.floor(Math.random() * form.body.length))
    for (const [index, cut] of cuts.entries()) await cutUpload(form, cut, index % 2 === 0)
    await eventually(async () => assert.deepEqual(await staged(site.mediaLocation), []), 5_000)
    assert.deepEqual(await filesBelow(join(site.mediaLocation, 'users')), before, `cuts at ${cuts}`)
    assert.equal(await actionFor(bytes), 'accept')
    const { id, status } = await client.upload(bytes, 'cut.jpg')
    assert.equal(status, 'created')
    assert.equal(await client.sha256OfOriginal(id), sha256(bytes))
  })

  test('a put that seems to fail after it was carried out is looked at, and kept', async (t) => {
    const { bucket } = site
    t.after(() => bucket.faults.clear())
    await drained(client, 30_000)
    const keysBefore = await heldKeys(bucket)
    const lost = bucket.faults.add({
      match: { operation: 'PutObject', key: /\/original\./ },
      times: 1,
      fault: { kind: 'hang', commit: true },
    })
    const { id } = await client.upload(await photo(), 'orphan.jpg')
    await eventually(() => assert.equal(lost.hits, 1), 10_000)
    // As if the machine died between the put and the row that says so.
    await site.server.kill9()
    bucket.faults.clear()
    await site.start()
    client = site.client
    const tookMs = await drained(client, 60_000)
    t.diagnostic(`offloaded ${tookMs} ms after the start`)
    // It counts as offloaded while the local file is being removed.
    await eventually(async () => {
      const { replicas } = await receiptOf(client, id)
      const places = replicas.map(({ location, state }) => `${location} ${state}`)
      assert.deepEqual(places, ['s3 verified'])
    }, 10_000)
    const { replicas, processing, history } = await receiptOf(client, id)
    assert.ok(replicas[0]!.proofLevel! >= 3)
    const added = (await heldKeys(bucket)).filter((key) => !keysBefore.includes(key))
    assert.deepEqual(added, [replicas[0]!.key], 'one object in the bucket, the one that the row names')
    const writes = history.filter(({ location, to }) => location === 's3' && to === 'writing')
    assert.equal(writes.length, 1, 'nothing is sent again')
    // Its job was in the same transaction: killed with it or not, the photo is processed.
    assert.equal(processing.state, 'done')
    assert.equal((await client.call(`/assets/${id}/thumbnail`)).status, 200)
  })

  test('files that are not what their names say are kept as they are, and harm nobody', async () => {
    const html = Buffer.from('<script>alert(1)</script>')
    const png = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
    const files: [string, Buffer, RegExp][] = [
      ['page.jpg', html, /^(image\/jpeg|application\/octet-stream)$/],
      ['half.jpg', png, /^(image\/(jpeg|png)|application\/octet-stream)$/],
      ['photo.mp4', await photo(), /^(image\/jpeg|video\/mp4|application\/octet-stream)$/],
      ['photo.heic', await photo(), /^(image\/(jpeg|heic)|application\/octet-stream)$/],
    ]
    for (const [name, bytes, type] of files) {
      const { id } = await client.upload(bytes, name)
      const { state, error } = await eventually(async () => {
        const { processing } = await receiptOf(client, id)
        assert.notEqual(processing.state, 'pending', name)
        return processing
      }, 20_000)
      if (bytes === html || bytes === png) {
        assert.equal(state, 'failed', name)
        assert.ok(error && error.length > 10 && !error.includes(site.folder), `${name}: ${error}`)
      }
      const response = await client.call(`/assets/${id}/original`)
      assert.match(response.headers.get('content-type') ?? '', type, name)
      assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
      assert.match(response.headers.get('content-security-policy') ?? '', /sandbox/)
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(bytes), name)
    }
  })

  test('hostile names come back as data, also as names in an archive', async () => {
    const names = [
      '../../../../tmp/evil.jpg',
      '..\\..\\evil.jpg',
      '/etc/cron.d/evil.jpg',
      'nul\0byte.jpg',
      'ö 📷 "quoted".jpg',
      `${'x'.repeat(300)}.jpg`,
      'CON.jpg',
    ]
    const ids: string[] = []
    for (const name of names) {
      const { body, headers } = formOf(await photo(), 'part.jpg', { filename: name })
      const response = await client.call('/assets', { method: 'POST', headers, body: new Uint8Array(body) })
      assert.equal(response.status, 201, `${JSON.stringify(name)}: ${await response.clone().text()}`)
      ids.push(((await response.json()) as { id: string }).id)
    }
    const archive = await client.call('/download/archive', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assetIds: ids }),
    })
    const entries = readZip(Buffer.from(await archive.arrayBuffer())).map(({ name }) => name)
    assert.equal(new Set(entries).size, names.length)
    for (const entry of entries) {
      assert.doesNotMatch(entry, /(^|[/\\])\.\.([/\\]|$)|^[/\\]|\0|^[A-Za-z]:/, entry)
      assert.match(entry, /\.jpg$/)
      assert.ok(Buffer.byteLength(entry) <= 255, `${Buffer.byteLength(entry)} bytes: no file system takes it`)
    }
  })
})

/** Asks for the whole file, takes the first bytes and then stands still. */
function stalledDownload(assetId: string): { destroy(): void } {
  const request = get(
    `${client.url}/api/assets/${assetId}/original`,
    { agent: false, headers: { authorization: `Bearer ${client.token}` } },
    (response: IncomingMessage) => {
      response.on('error', () => undefined)
      response.once('readable', () => response.read(1))
    },
  )
  request.on('error', () => undefined) // our own leaving
  return request
}

/** What a client gets that reads to the end, however it ends. */
async function download(assetId: string) {
  const response = await client.call(`/assets/${assetId}/original`)
  const hash = createHash('sha256')
  let bytes = 0
  let isWhole = true
  try {
    for await (const chunk of response.body!) {
      hash.update(chunk)
      bytes += chunk.length
    }
  } catch {
    isWhole = false
  }
  return { status: response.status, bytes, isWhole, sha256: hash.digest('hex') }
}

async function actionFor(bytes: Buffer): Promise<string> {
  const checksum = createHash('sha1').update(bytes).digest('hex')
  const { results } = await client.json<{ results: { action: string }[] }>('/assets/bulk-upload-check', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assets: [{ id: '1', checksum }] }),
  })
  return results[0]!.action
}

function formOf(bytes: Buffer, fileName: string, more: Record<string, string> = {}) {
  const boundary = `----${randomBytes(8).toString('hex')}`
  const now = new Date().toISOString()
  const fields = Object.entries({ fileCreatedAt: now, fileModifiedAt: now, ...more }).map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  const body = Buffer.concat([
    Buffer.from(fields.join('')),
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="assetData"; filename="${fileName}"\r\n` +
        'Content-Type: application/octet-stream\r\n\r\n',
    ),
    bytes,
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  return { body, headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } }
}

/** Sends so many bytes of the body, then ends the connection: politely, or by a reset. */
async function cutUpload(form: ReturnType<typeof formOf>, bytes: number, isPolite: boolean): Promise<void> {
  const socket = connect(Number(new URL(client.url).port), '127.0.0.1')
  socket.on('error', () => undefined) // our own reset
  await once(socket, 'connect')
  socket.write(
    `POST /api/assets HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${client.token}\r\n` +
      `Content-Type: ${form.headers['content-type']}\r\nContent-Length: ${form.body.length}\r\n\r\n`,
  )
  if (bytes > 0) await new Promise((resolve) => socket.write(form.body.subarray(0, bytes), resolve))
  await sleep(20)
  if (isPolite) socket.end()
  else socket.resetAndDestroy()
  if (!socket.closed) await once(socket.resume(), 'close')
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => [])
  return entries.flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : [])).sort()
}
