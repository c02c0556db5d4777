/**
 * Files that reach the client past us: who is sent where, for how long, and what the answer there says of
 * itself.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type IncomingHttpHeaders, request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { pagePolicy } from '../../../src/http/static-web.ts'
import { silentLog } from '../../../src/log.ts'
import { type Delivery, PROXY_EVERYTHING } from '../../../src/placement/delivery-rules.ts'
import { probeLocation } from '../../../src/placement/locations/locations.ts'
import { deliveryOrigins } from '../../../src/placement/reads/deliver.ts'
import { type Breaker, createBreaker, DEFAULT_BREAKER_RULES } from '../../../src/storage/guards/breaker.ts'
import { withBreaker } from '../../../src/storage/guards/with-breaker.ts'
import { openS3BrowserProbe } from '../../../src/storage/s3/probe/browser-probe.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { eventually } from '../../support/eventually.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const CREDENTIALS = { accessKeyId: 'ways', secretAccessKey: 'ways-secret' }
const WINDOW_MS = 600_000
const REDIRECT: Delivery = {
  ...PROXY_EVERYTHING,
  modes: { original: 'redirect', 'encoded-video': 'redirect' },
  windowMs: WINDOW_MS,
}

type Answer = { status: number; headers: IncomingHttpHeaders; body: Buffer }

/** `fetch` adds headers of its own, and follows. */
function get(url: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers }, async (incoming) => {
      const body = Buffer.concat(await Array.fromAsync(incoming))
      resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body })
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

type Rig = {
  server: TestServer
  bucket: StrictS3
  breaker: Breaker
  /** As if the time had come to try the bucket again. */
  coolDown(): void
  clock: { offsetMs: number }
  /** What a browser sends for an `<img>`, a `<video>` or a link. */
  browser(dest?: string, mode?: string): Record<string, string>
  bearer: Record<string, string>
  offload(bytes: Buffer, name: string): Promise<string>
  addressOf(id: string, query?: string): string
}

async function start(
  t: TestContext,
  delivery: Delivery,
  more: { isPublic?: boolean; cacheMaxBytes?: number; isUnprobed?: boolean } = {},
): Promise<Rig> {
  const clock = { offsetMs: 0 }
  const now = () => new Date(Date.now() + clock.offsetMs)
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['photos'],
    clock: now,
  })
  t.after(() => bucket.close())
  const settings = s3TestSettings({ endpoint: bucket.endpoint, ...CREDENTIALS, bucket: 'photos' })
  let lateMs = 0
  const rules = { ...DEFAULT_BREAKER_RULES, answerWithinMs: 2_000 }
  const breaker = createBreaker('the bucket', rules, () => performance.now() + lateMs)
  const backend = openS3Backend(settings, silentLog)
  // As its probe would find.
  if (!more.isUnprobed) backend.useFeatures({ ...backend.features, presignedGet: true })
  const location = {
    ...locationOfBackend('s3', 's3', withBreaker(backend, breaker)),
    breaker,
    probe: () => probeS3(settings, silentLog),
  }
  const server = await startTestServer(t, {
    remotes: [],
    extra: [
      {
        ...location,
        ...(more.isPublic && { hasPublicAddress: true }),
        openBrowserProbe: async () => openS3BrowserProbe(settings, silentLog),
      },
    ],
    delivery,
    now,
    settings: { cacheMaxBytes: more.cacheMaxBytes ?? 0, answerWithinMs: rules.answerWithinMs },
  })
  return {
    server,
    bucket,
    breaker,
    coolDown: () => {
      lateMs += rules.coolDownMs
    },
    clock,
    browser: (dest = 'image', mode = 'no-cors') => ({
      cookie: `immich_access_token=${server.admin.token}`,
      'sec-fetch-dest': dest,
      'sec-fetch-mode': mode,
    }),
    bearer: { authorization: `Bearer ${server.admin.token}` },
    async offload(bytes, name) {
      const { id } = await server.admin.upload(bytes, name)
      // What can't be processed lets go of its local copy by a job that comes later.
      await eventually(async () => {
        await server.runJobs()
        const { replicas } = await server.admin.json<{ replicas: { location: string }[] }>(
          `/storage/receipts/${id}`,
        )
        assert.deepEqual(
          replicas.map((replica) => replica.location),
          ['s3'],
        )
      }, 60_000)
      bucket.counts.reset()
      return id
    },
    addressOf: (id, query = '') => `${server.url}/api/assets/${id}/original${query}`,
  }
}

const jpeg = (size: number) => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(size - 4)])

test('browsers whose page found the bucket out of reach get the bytes here; CORS rules matter to none of them', async (t) => {
  const { server, browser, offload, addressOf, bearer } = await start(t, REDIRECT, { isPublic: true })
  const id = await offload(jpeg(5_000), 'photo.jpg')
  const statusFor = async (host: string, headers = browser()) =>
    (await get(addressOf(id), { ...headers, host })).status
  for (const [why, status] of [
    ['unreachable', 200],
    ['cors', 302],
  ] as const) {
    const host = `${why}.example.org`
    const origin = `http://${host}`
    const begun = await server.admin.call('/storage/browser-probes', { method: 'POST', headers: { origin } })
    const { probes } = (await begun.json()) as { probes: { id: string }[] }
    const told = await server.admin.call(`/storage/browser-probes/${probes[0]!.id}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ why, canUpload: false, detail: 'said the page' }),
    })
    assert.equal(told.status, 200)
    assert.equal(await statusFor(host), status, why)
  }
  assert.equal(await statusFor('elsewhere.example.org'), 302, 'nobody has tried there')
  assert.equal(await statusFor('unreachable.example.org', bearer), 200)
})

test('a browser is redirected to the bucket, and gets there what it would have got here', async (t) => {
  const { browser, offload, addressOf, bucket } = await start(t, REDIRECT)
  const bytes = jpeg(50_000)
  const id = await offload(bytes, 'Grüße aus Köln (1).jpg')
  const sent = await get(addressOf(id), browser())
  assert.equal(sent.status, 302)
  assert.match(sent.headers['cache-control']!, /^private, max-age=\d+$/)
  assert.equal(sent.headers.vary, 'sec-fetch-dest, sec-fetch-mode')
  assert.equal(sent.headers.etag, undefined)
  assert.equal(sent.headers['content-type'], undefined)
  assert.equal(bucket.counts.total, 0, 'a redirect asks the bucket nothing')

  const whole = await get(sent.headers.location!)
  assert.equal(whole.status, 200)
  assert.deepEqual(whole.body, bytes)
  assert.equal(whole.headers['content-type'], 'image/jpeg')
  assert.equal(
    whole.headers['content-disposition'],
    "inline; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20aus%20K%C3%B6ln%20%281%29.jpg",
  )
  assert.equal(whole.headers['cache-control'], 'private, max-age=86400, immutable')
  const part = await get(sent.headers.location!, { range: 'bytes=1000-1999' })
  assert.equal(part.status, 206)
  assert.deepEqual(part.body, bytes.subarray(1000, 2000))

  await t.test('what is signed into the URL can not be changed', async () => {
    for (const [from, to] of [
      ['image%2Fjpeg', 'text%2Fhtml'],
      ['inline', 'attachment'],
      ['original.', 'original.0'],
    ] as const) {
      const changed = sent.headers.location!.replace(from, to)
      assert.notEqual(changed, sent.headers.location)
      assert.equal((await get(changed)).status, 403)
    }
  })
  await t.test('a link that is followed is a download', async () => {
    for (const dest of ['document', 'empty']) {
      const link = await get(addressOf(id), browser(dest, 'navigate'))
      const there = await get(link.headers.location!)
      assert.match(there.headers['content-disposition']!, /^attachment; filename/)
    }
  })
})

test('whoever is not known to be a browser is proxied, unless it is told otherwise', async (t) => {
  const rig = await start(t, REDIRECT)
  const { browser, bearer, offload, addressOf, server } = rig
  const bytes = jpeg(1_000)
  const id = await offload(bytes, 'photo.jpg')
  const { secret } = await server.admin.json<{ secret: string }>('/api-keys', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ permissions: ['all'] }),
  })
  const cookie = { cookie: `immich_access_token=${server.admin.token}` }
  const cases: [string, number, Record<string, string>, string?][] = [
    ['a generated client', 200, bearer],
    ['an API key', 200, { 'x-api-key': secret }],
    ['the phone app, which comes with cookies', 200, { ...cookie, 'user-agent': 'immich-android/3.0.3' }],
    ['a script of a page', 200, browser('empty', 'cors')],
    ['a script that wants to read nothing', 200, browser('empty', 'no-cors')],
    ['a picture that a script wants to read', 200, browser('image', 'cors')],
    ['a browser that brings a token, too', 200, { ...browser(), ...bearer }],
    ['a browser that brings an API key, too', 200, { ...browser(), 'x-api-key': secret }],
    ['a page that asks for our own bytes', 200, browser(), '?delivery=proxy'],
    ['a client that asks for a redirect', 302, bearer, '?delivery=redirect'],
    ['a picture', 302, browser('image')],
    ['a video', 302, browser('video')],
    ['a link', 302, browser('document', 'navigate')],
    ['a link to a download', 302, browser('empty', 'navigate')],
  ]
  for (const [name, status, headers, query] of cases) {
    const answer = await get(addressOf(id, query), headers)
    assert.equal(answer.status, status, name)
    if (status === 200) assert.deepEqual(answer.body, bytes, name)
  }
  server.placement.delivery = { ...REDIRECT, immichClients: 'same' }
  assert.equal((await get(addressOf(id), bearer)).status, 302)
  assert.equal((await get(addressOf(id, '?delivery=proxy'), bearer)).status, 200)
})

test('HEAD, conditions and impossible ranges are answered here, without the bucket', async (t) => {
  const { browser, offload, addressOf, bucket } = await start(t, REDIRECT)
  const id = await offload(jpeg(1_000), 'photo.jpg')
  const head = await get(addressOf(id), browser(), 'HEAD')
  assert.equal(head.status, 200)
  assert.equal(head.headers['content-length'], '1000')
  const etag = head.headers.etag!
  assert.equal((await get(addressOf(id), { ...browser(), 'if-none-match': etag })).status, 304)
  assert.equal((await get(addressOf(id), { ...browser(), range: 'bytes=1000-' })).status, 416)
  assert.equal(bucket.counts.total, 0)
  // The ETag there is another one: the condition would always fail, and the client begin anew.
  const resumed = await get(addressOf(id), { ...browser(), 'if-range': etag, range: 'bytes=10-19' })
  assert.equal(resumed.status, 206)
  assert.equal(resumed.body.length, 10)
  assert.equal((await get(addressOf(id), { ...browser(), range: 'bytes=10-19' })).status, 302)
})

test('what is not proven in the bucket comes from here', async (t) => {
  const { browser, addressOf, server, bucket } = await start(t, REDIRECT)
  const bytes = jpeg(1_000)
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  bucket.counts.reset()
  const local = await get(addressOf(id), browser())
  assert.equal(local.status, 200)
  assert.deepEqual(local.body, bytes)
  assert.equal(local.headers.vary, 'sec-fetch-dest, sec-fetch-mode')
  assert.equal(bucket.counts.of('GetObject'), 0)
  await server.runJobs()
  assert.equal((await get(addressOf(id), browser())).status, 302)
  await server.pool.query("update replica set state = 'suspect' where location_id = 's3'")
  assert.equal((await get(addressOf(id), browser())).status, 503, 'no redirect to what is under suspicion')
})

test('an address of this machine or of a private network is for clients of the same, unless it is called public', async (t) => {
  const rig = await start(t, REDIRECT)
  const { browser, offload, addressOf } = rig
  const id = await offload(jpeg(1_000), 'photo.jpg')
  const elsewhere: [string, Record<string, string>][] = [
    ['through a proxy that is not trusted', { 'x-forwarded-for': '203.0.113.7' }],
    ['through one that says only so much', { via: '1.1 somewhere' }],
    ['through a tunnel to this machine', { host: 'photos.example.org' }],
    ['by https, where http would not be shown', { 'x-forwarded-proto': 'https' }],
  ]
  for (const [name, headers] of elsewhere) {
    assert.equal((await get(addressOf(id), { ...browser(), ...headers })).status, 200, name)
  }
  const open = await start(t, REDIRECT, { isPublic: true })
  const theirs = await open.offload(jpeg(1_000), 'photo.jpg')
  for (const [name, headers] of elsewhere.slice(0, 3)) {
    assert.equal((await get(open.addressOf(theirs), { ...open.browser(), ...headers })).status, 302, name)
  }
  assert.equal(
    (await get(open.addressOf(theirs), { ...open.browser(), 'x-forwarded-proto': 'https' })).status,
    200,
  )
})

test('nothing that could run is shown in place, there or here', async (t) => {
  const { browser, offload, addressOf } = await start(t, REDIRECT)
  const script = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
  const id = await offload(script, 'evil.svg')
  const sent = await get(addressOf(id), browser())
  assert.equal(sent.status, 302)
  const there = await get(sent.headers.location!)
  assert.equal(there.headers['content-type'], 'application/octet-stream')
  assert.equal(there.headers['content-disposition'], "attachment; filename*=UTF-8''evil.svg")
  const page = await offload(Buffer.from('<!doctype html><script>alert(1)</script>'), 'page.jpg')
  const lie = await get((await get(addressOf(page), browser())).headers.location!)
  assert.equal(lie.headers['content-type'], 'image/jpeg')
})

test('no redirect outlives its URL, whenever it was given out; within a window the URL is the same', async (t) => {
  const { browser, offload, addressOf, clock } = await start(t, REDIRECT)
  const id = await offload(jpeg(1_000), 'photo.jpg')
  const begin = Math.ceil(Date.now() / WINDOW_MS) * WINDOW_MS
  const urls = new Map<number, string>()
  for (const window of [0, 1]) {
    for (const intoWindowMs of [50, 1_000, WINDOW_MS / 2, WINDOW_MS - 5_000]) {
      clock.offsetMs = begin + window * WINDOW_MS + intoWindowMs - Date.now()
      const sent = await get(addressOf(id), browser())
      assert.equal(sent.status, 302)
      const url = sent.headers.location!
      assert.equal(url, urls.get(window) ?? url, 'one URL for the whole window')
      urls.set(window, url)
      const maxAgeMs = Number(/max-age=(\d+)/.exec(sent.headers['cache-control']!)![1]) * 1000
      assert.ok(maxAgeMs <= WINDOW_MS - intoWindowMs, `kept for ${maxAgeMs} ms`)
      // The last moment at which a browser may use what it kept: the URL holds, and for one window more.
      clock.offsetMs += maxAgeMs
      assert.equal((await get(url)).status, 200)
      clock.offsetMs += WINDOW_MS - 5_000
      assert.equal((await get(url)).status, 200)
    }
  }
  assert.notEqual(urls.get(0), urls.get(1))
  clock.offsetMs += 2 * WINDOW_MS
  assert.equal((await get(urls.get(1)!)).status, 403)
})

test('the page may show what comes from where browsers are sent', async (t) => {
  const { server, bucket } = await start(t, REDIRECT)
  assert.deepEqual(await deliveryOrigins(server.placement), [bucket.endpoint])
  server.placement.delivery = PROXY_EVERYTHING
  assert.deepEqual(await deliveryOrigins(server.placement), [])
  const policy = pagePolicy('', { media: ['https://cdn.example.org'], buckets: [] })
  assert.match(policy, /img-src 'self' data: blob: https:\/\/cdn\.example\.org;/)
  assert.match(policy, /media-src 'self' blob: https:\/\/cdn\.example\.org;/)
  assert.doesNotMatch(policy, /script-src[^;]*cdn/)
})

test('nobody is sent to a bucket that is known to be away: what is at hand is served, the rest is a 503', async (t) => {
  const rig = await start(t, REDIRECT, { cacheMaxBytes: 10_000_000 })
  const { browser, bearer, offload, addressOf, bucket, breaker, server, coolDown } = rig
  const [goneBytes, cachedBytes, keptBytes] = [jpeg(50_000), jpeg(51_000), jpeg(52_000)]
  const gone = await offload(goneBytes, 'gone.jpg')
  const cached = await offload(cachedBytes, 'cached.jpg')
  assert.equal((await get(addressOf(cached), bearer)).status, 200)
  server.placement.settings.deleteLocalAfterUpload = false
  const { id: kept } = await server.admin.upload(keptBytes, 'kept.jpg')
  await eventually(async () => {
    await server.runJobs()
    const { replicas } = await server.admin.json<{ replicas: { state: string }[] }>(
      `/storage/receipts/${kept}`,
    )
    assert.deepEqual(
      replicas.map(({ state }) => state),
      ['verified', 'verified'],
    )
  }, 60_000)
  for (const id of [gone, cached, kept]) assert.equal((await get(addressOf(id), browser())).status, 302)

  const demandServed = async (id: string, bytes: Buffer) => {
    const served = await get(addressOf(id), browser())
    assert.equal(served.status, 200)
    assert.ok(served.body.equals(bytes))
  }
  const demandRefused = async () => {
    const refused = await get(addressOf(gone), browser())
    assert.equal(refused.status, 503)
    assert.equal(refused.headers.location, undefined)
    assert.equal(refused.headers['cache-control'], 'no-store')
    assert.match(refused.headers['retry-after'] ?? '', /^[1-9]\d*$/)
  }
  bucket.faults.add({ fault: { kind: 'reset' } })
  breaker.open('it is gone')
  await demandRefused()
  await demandServed(cached, cachedBytes)
  await demandServed(kept, keptBytes)
  // Also when a trial is due, whose outcome nobody knows.
  coolDown()
  assert.equal(breaker.isTrialDue(), true)
  await demandServed(kept, keptBytes)
  await demandRefused()
  // And while a drill blocks it, whose bucket is well.
  bucket.faults.clear()
  breaker.close()
  breaker.block(60_000, 'drill')
  await demandRefused()
  await demandServed(cached, cachedBytes)
  breaker.unblock()
  for (const id of [gone, cached, kept]) assert.equal((await get(addressOf(id), browser())).status, 302)
})

test('nobody is sent to a bucket that was not seen to answer signed URLs as they were signed', async (t) => {
  const rig = await start(t, REDIRECT, { isUnprobed: true })
  const id = await rig.offload(randomBytes(5_000), 'photo.jpg')
  const status = async () => (await get(rig.addressOf(id), rig.browser())).status
  assert.equal(await status(), 200, 'not probed yet')
  rig.bucket.profile.ignoreRanges = true
  await probeLocation(rig.server.placement, 's3')
  rig.bucket.profile.ignoreRanges = false
  assert.equal(await status(), 200, 'a range was answered with the whole')
  await probeLocation(rig.server.placement, 's3')
  await eventually(async () => assert.equal(await status(), 302), 15_000)
})
