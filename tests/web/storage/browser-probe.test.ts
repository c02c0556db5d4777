import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { BrowserProbeOffer } from '../../../web/src/lib/api-types.ts'
import { tryBucket } from '../../../web/src/lib/storage/locations/browser-probe.ts'
import { browserFindings, sortFindings } from '../../../web/src/lib/storage/safety.ts'

const body = randomBytes(1024)
const offer = (endpoint = 'https://s3.example.org'): BrowserProbeOffer => ({
  id: 'id',
  locationId: 's3',
  label: 'photos',
  body: body.toString('base64'),
  put: { url: `${endpoint}/photos/key?sign=put`, headers: { 'content-md5': 'abc' } },
  get: { url: `${endpoint}/photos/key?sign=get` },
})
type Sent = { url: string; init: RequestInit }

/** A page whose requests are answered by `answer`; one that throws fails as a browser's fetch does. */
function pageOf(answer: (sent: Sent) => Response, more: { protocol?: string; refused?: boolean } = {}) {
  const sent: Sent[] = []
  return {
    sent,
    protocol: more.protocol ?? 'https:',
    fetch: (async (url: string, init: RequestInit) => {
      sent.push({ url, init })
      return answer({ url, init })
    }) as typeof fetch,
    watchPolicy: () => ({ hasRefused: () => more.refused === true, stop() {} }),
  }
}
const failed = (): never => {
  throw new TypeError('Failed to fetch')
}
const isPut = ({ init }: Sent) => init.method === 'PUT'
const stored = () => new Response('', { headers: { etag: '"x"' } })
const part = (bytes: Uint8Array = body.subarray(100, 200), status = 206) =>
  new Response(new Uint8Array(bytes), { status })

test('a bucket that is reached: the bytes are put as they were given, and a part of them comes back', async () => {
  const page = pageOf((sent) => (isPut(sent) ? stored() : part()))
  const { why, canUpload } = await tryBucket(offer(), page)
  assert.deepEqual([why, canUpload], [null, true])
  const [put, get] = page.sent
  assert.deepEqual(Buffer.from(put!.init.body as Uint8Array), body)
  assert.deepEqual(put!.init.headers, { 'content-md5': 'abc' })
  assert.deepEqual(get!.init.headers, { range: 'bytes=100-199' })
  assert.ok(
    page.sent.every(({ init }) => init.credentials === 'omit'),
    'our cookie stays at home',
  )
})

/** Where the put itself worked. */
const uploads = new Set(['it may put and not get', 'an ETag that is not shown', 'no ranges', 'another part'])
const cases: [string, string, ReturnType<typeof pageOf>, string?][] = [
  ['cors', 'it answers others', pageOf(({ init }) => (init.mode === 'no-cors' ? part() : failed()))],
  ['cors', 'it may put and not get', pageOf((sent) => (isPut(sent) ? stored() : failed()))],
  ['unreachable', 'nothing answers', pageOf(failed)],
  ['policy', 'the page’s own policy', pageOf(failed, { refused: true })],
  ['mixed', 'HTTP from HTTPS', pageOf(failed), 'http://s3.example.org'],
  ['unreachable', 'HTTP from HTTPS, on this machine', pageOf(failed), 'http://127.0.0.1:9000'],
  ['refused', 'an upload that is answered 403', pageOf(() => new Response('', { status: 403 }))],
  ['incomplete', 'an ETag that is not shown', pageOf((sent) => (isPut(sent) ? new Response('') : part()))],
  ['refused', 'no ranges', pageOf((sent) => (isPut(sent) ? stored() : part(body, 200)))],
  ['incomplete', 'another part', pageOf((sent) => (isPut(sent) ? stored() : part(body.subarray(0, 100))))],
]
for (const [why, what, page, endpoint] of cases) {
  test(`${why}: ${what}`, async () => {
    const result = await tryBucket(offer(endpoint), page)
    assert.equal(result.why, why)
    assert.equal(result.canUpload, uploads.has(what))
    assert.ok(result.detail.length > 0 && result.detail.length <= 300)
  })
}

test('findings: what stops everything first, then what costs something', () => {
  const finding = (check: string, ok: boolean, critical = false) => ({
    id: 'etag' as const,
    check,
    ok,
    critical,
    detail: '',
  })
  const sorted = sortFindings([
    finding('a', true),
    finding('b', false),
    finding('c', false, true),
    finding('d', true),
  ])
  assert.deepEqual(
    sorted.map(({ check }) => check),
    ['c', 'b', 'a', 'd'],
  )
})

test('a browser that is kept out is a drawback, never a failure', () => {
  const [finding] = browserFindings(
    [
      {
        origin: 'https://photos.example.org',
        at: '2026-01-02T11:00:00Z',
        reach: 'blocked',
        why: 'cors',
        canUpload: false,
        detail: 'answers, but not to pages',
        remedy: 'add the rule',
      },
    ],
    new Date('2026-01-02T12:00:00Z'),
  )
  assert.equal(finding?.ok, false)
  assert.equal(finding?.critical, false)
  assert.match(finding?.detail ?? '', /answers, but not to pages, tried 1 h ago/)
})
