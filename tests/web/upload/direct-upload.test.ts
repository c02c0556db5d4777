import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { BrowserProbeOffer, BrowserProbeResult } from '../../../web/src/lib/api-types.ts'
import { digestBlob, md5OfBlob, sha1OfBlob } from '../../../web/src/lib/direct-upload/digests.ts'
import {
  createProofWatch,
  DirectUploadError,
  type Ports,
  uploadDirectly,
  whyNotDirect,
} from '../../../web/src/lib/direct-upload/direct-upload.ts'
import type { DirectUploadConfig } from '../../../web/src/lib/direct-upload/protocol.ts'
import { putByFetch } from '../../../web/src/lib/direct-upload/put.ts'
import { type ProbingPage, tryBucket } from '../../../web/src/lib/storage/locations/browser-probe.ts'
import { type DirectServer, hashOf, startDirectServer } from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'

const MIB = 1024 * 1024

test('a blob is digested whole and in chunks alike', async () => {
  for (const size of [0, 100, 9 * MIB, 65 * MIB]) {
    const bytes = randomBytes(size)
    const blob = new Blob([bytes])
    const digests = await digestBlob(blob, { md5UpToBytes: 32 * MIB })
    assert.deepEqual(digests, {
      sha1: hashOf('sha1', bytes),
      sha256: hashOf('sha256', bytes),
      md5: size <= 32 * MIB ? hashOf('md5', bytes) : null,
    })
    assert.equal(await md5OfBlob(blob), hashOf('md5', bytes))
    assert.equal(await sha1OfBlob(blob), hashOf('sha1', bytes))
  }
})

/** The module in Node, on a server whose jobs run when nothing else is to do. */
function portsOf({ admin, runJobs }: DirectServer): Ports {
  return {
    async call<T>(method: string, path: string, options: { body?: unknown; signal?: AbortSignal } = {}) {
      const response = await admin.call(path, {
        method,
        headers: options.body === undefined ? {} : { 'content-type': 'application/json' },
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
        ...(options.signal && { signal: options.signal }),
      })
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
      return (await response.json()) as T
    },
    put: putByFetch,
    md5: md5OfBlob,
    sleep: () => runJobs(),
  }
}

async function announcementOf(blob: Blob, fileName: string) {
  const fileCreatedAt = '2024-05-01T12:00:00.000Z'
  const digests = await digestBlob(blob, { md5UpToBytes: 32 * MIB })
  return { fileName, size: blob.size, ...digests, fileCreatedAt, fileModifiedAt: fileCreatedAt }
}

test('the module uploads a photo; a second time it is a duplicate', async (t) => {
  const server = await startDirectServer(t)
  const ports = portsOf(server)
  const wait = createProofWatch(ports)
  const blob = new Blob([new Uint8Array(await photo(320))])
  const steps: string[] = []
  const options = {
    wait,
    onAsked: () => steps.push('asked'),
    onProgress: (bytes: number) => steps.push(`sent ${bytes === blob.size}`),
    onReceived: () => steps.push('received'),
  }
  const announcement = await announcementOf(blob, 'a.jpg')
  // The first answer is lost on the way, the second try finds the bytes there.
  server.bucket.faults.add({
    match: { operation: 'PutObject' },
    times: 1,
    fault: { kind: 'reset', commit: true },
  })
  const uploaded = await uploadDirectly(ports, blob, announcement, options)
  assert.equal(uploaded.status, 'created')
  assert.deepEqual(steps, ['asked', 'received'])
  assert.equal(await server.admin.sha256OfOriginal(uploaded.id), announcement.sha256)
  const again = await uploadDirectly(ports, blob, announcement, options)
  assert.deepEqual(again, { id: uploaded.id, status: 'duplicate' })
})

test('the module sends parts, pauses, is aborted, and goes on with what is there', async (t) => {
  const server = await startDirectServer(t)
  const ports = portsOf(server)
  const wait = createProofWatch(ports)
  const blob = new Blob([randomBytes(48 * MIB)])
  const announcement = await announcementOf(blob, 'film.mp4')
  const sent: number[] = []
  const counting: Ports = {
    ...ports,
    async put(request, body, options) {
      sent.push(Number(new URL(request.url).searchParams.get('partNumber')))
      return putByFetch(request, body, options)
    },
  }
  const abort = new AbortController()
  let pauses = 0
  const cut = uploadDirectly(counting, blob, announcement, {
    wait,
    signal: abort.signal,
    async whilePaused() {
      pauses += 1
      if (pauses === 2) abort.abort(new Error('the page was closed'))
      abort.signal.throwIfAborted()
    },
  })
  await assert.rejects(cut, /the page was closed/)
  assert.deepEqual(sent.sort(), [1, 2, 3, 4], 'a batch was sent before the pause')

  sent.length = 0
  server.bucket.faults.add({
    match: { operation: 'UploadPart' },
    times: 2,
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
  })
  const progress: number[] = []
  const uploaded = await uploadDirectly(counting, blob, announcement, {
    wait,
    onProgress: (bytes) => progress.push(bytes),
  })
  assert.deepEqual(
    [...new Set(sent)].sort((a, b) => a - b),
    [5, 6, 7, 8, 9, 10],
  )
  assert.equal(sent.length, 8, 'two were sent twice')
  assert.equal(progress[0], 20 * MIB)
  assert.equal(progress.at(-1), blob.size)
  assert.equal(await server.admin.sha256OfOriginal(uploaded.id), announcement.sha256)
})

test('what the bucket does not take is told apart from a bucket that does not answer', async (t) => {
  const server = await startDirectServer(t)
  const ports = portsOf(server)
  const wait = createProofWatch(ports)
  const blob = new Blob([new Uint8Array(await photo())])
  const announcement = await announcementOf(blob, 'a.jpg')
  const kindOf = async (fault: Parameters<typeof server.bucket.faults.add>[0]['fault']) => {
    server.bucket.faults.clear()
    server.bucket.faults.add({ match: { operation: 'PutObject' }, fault })
    return uploadDirectly(ports, blob, announcement, { wait }).then(
      () => 'none',
      (error: unknown) => (error instanceof DirectUploadError ? error.kind : String(error)),
    )
  }
  assert.equal(await kindOf({ kind: 'reset' }), 'unreachable')
  assert.equal(await kindOf({ kind: 'status', status: 403, code: 'AccessDenied' }), 'refused')
  assert.equal(await kindOf({ kind: 'wrong-bytes' }), 'failed')
})

test('a page is told what another of its origin found out; where nothing is known it tries, and nothing of that stays', async (t) => {
  const origin = 'http://photos.lan'
  const server = await startDirectServer(t)
  const ports = portsOf(server)
  const ask = (of: string) =>
    ports.call<DirectUploadConfig>('GET', `/storage/uploads/config?origin=${encodeURIComponent(of)}`)
  const before = await ask(origin)
  assert.deepEqual([before.isAvailable, before.isOpenToPage], [true, false])
  assert.equal(whyNotDirect(before, origin), null)

  const check = async (page: ProbingPage) => {
    const offer = (await (
      await server.admin.call('/storage/uploads/check', { method: 'POST', headers: { origin } })
    ).json()) as BrowserProbeOffer
    const body = await tryBucket(offer, page)
    return ports.call<BrowserProbeResult>('PUT', `/storage/uploads/check/${offer.id}`, { body })
  }
  const page = { protocol: 'http:', watchPolicy: () => ({ hasRefused: () => false, stop() {} }) }
  const deaf = await check({ ...page, fetch: async () => Promise.reject(new TypeError('Failed to fetch')) })
  assert.deepEqual([deaf.canUpload, deaf.why], [false, 'unreachable'])
  assert.equal((await ask(origin)).isOpenToPage, false)
  assert.equal((await check({ ...page, fetch })).canUpload, true)
  assert.equal((await ask(origin)).isOpenToPage, true)
  assert.equal((await ask('http://elsewhere.lan')).isOpenToPage, false)
  const left = (await server.bucket.stored.objects()).filter(({ key }) => key.includes('/browser-'))
  assert.deepEqual(left, [])

  const demonstration = { ...before, isDemonstration: true }
  assert.match(whyNotDirect(demonstration, origin)!, /its own machine only/)
  assert.equal(whyNotDirect(demonstration, 'http://localhost:2283'), null)
  assert.equal(whyNotDirect({ ...before, isAvailable: false, reason: 'off' }, null), 'off')
})
