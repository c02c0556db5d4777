/** The configuration decides how files leave: the real server, its configuration file, a strict bucket. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { get as getHttp, type IncomingMessage } from 'node:http'
import { test } from 'node:test'
import {
  drained,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'

const SECRET = 'a secret of at least thirty-two characters'
const STORAGE = `
locations: { encodedVideos: s3 }
delivery: { originals: redirect, previews: proxy, encodedVideos: cdn, signedForMinutes: 5 }
cdn: { type: hmac, baseUrl: https://cdn.example.org/files, secret: ${SECRET} }
`

function get(url: string, headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    getHttp(url, { headers }, (answer) => {
      answer.resume()
      resolve(answer)
    }).on('error', reject)
  })
}

const browser = ({ client }: ServerWithBucket) => ({
  cookie: `immich_access_token=${client.token}`,
  'sec-fetch-dest': 'image',
  'sec-fetch-mode': 'no-cors',
})

test('originals by redirect, previews from here, other kinds by the network', {
  timeout: 180_000,
}, async (t) => {
  const rig = await startServerWithBucket({ storage: STORAGE })
  t.after(() => rig.close())
  const { client, server, bucket } = rig
  const bytes = await photo()
  const { id } = await client.upload(bytes, 'photo.jpg')
  await drained(client, 60_000)
  await probed(client)

  const original = await get(`${server.url}/api/assets/${id}/original`, browser(rig))
  assert.equal(original.statusCode, 302)
  const there = await fetch(original.headers.location!)
  assert.deepEqual(Buffer.from(await there.arrayBuffer()), bytes)
  const maxAge = Number(/max-age=(\d+)/.exec(original.headers['cache-control']!)![1])
  assert.ok(maxAge <= 300)

  const preview = await get(`${server.url}/api/assets/${id}/thumbnail?size=preview`, browser(rig))
  assert.equal(preview.statusCode, 200)
  const proxied = await client.call(`/assets/${id}/original`)
  assert.deepEqual(Buffer.from(await proxied.arrayBuffer()), bytes)

  const page = await fetch(server.url, { headers: { accept: 'text/html' } })
  const policy = page.headers.get('content-security-policy')
  // Without a build there is a page that says so, and no policy.
  if (page.status === 200) {
    assert.match(policy!, /img-src 'self' data: blob: https:\/\/cdn\.example\.org http:\/\/127\.0\.0\.1:\d+;/)
    assert.ok(policy!.includes(new URL(bucket.endpoint).origin))
  }
  await page.arrayBuffer()
})

test('originals by the network', { timeout: 180_000 }, async (t) => {
  const rig = await startServerWithBucket({ storage: STORAGE.replace('redirect', 'cdn') })
  t.after(() => rig.close())
  const { id } = await rig.client.upload(await photo(), 'photo.jpg')
  await drained(rig.client, 60_000)
  const answer = await get(`${rig.server.url}/api/assets/${id}/original`, browser(rig))
  assert.equal(answer.statusCode, 302)
  const url = answer.headers.location!
  assert.match(url, /^https:\/\/cdn\.example\.org\/files\/users\/[^/]+\/[^/]+\/original\.[0-9a-f]{32}\.jpg\?/)
  const [signed, signature] = url.slice('https://cdn.example.org'.length).split('&signature=')
  assert.equal(createHmac('sha256', SECRET).update(signed!).digest('base64url'), signature)
})
