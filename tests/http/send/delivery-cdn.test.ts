/**
 * Addresses at content delivery networks, checked as the network does: by what its documentation says, not by
 * our code.
 */
import assert from 'node:assert/strict'
import { createHmac, createVerify, generateKeyPairSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, get as getHttp, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { type Delivery, PROXY_EVERYTHING } from '../../../src/placement/delivery-rules.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import type { Cdn, CdnFile } from '../../../src/storage/cdn/cdn.ts'
import { openCloudFront } from '../../../src/storage/cdn/cloudfront.ts'
import { openHmacCdn } from '../../../src/storage/cdn/hmac.ts'
import { createBreaker } from '../../../src/storage/guards/breaker.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

const keys = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const SECRET = 'a secret of at least thirty-two characters'
const OWNER = '0f0e0d0c-0000-4000-8000-000000000001'
const FILE: CdnFile = {
  key: `users/${OWNER}/asset/original.00ff.jpg` as ObjectKey,
  contentType: 'image/jpeg',
  contentDisposition: "inline; filename*=UTF-8''K%C3%B6ln%20%281%29.jpg",
  cacheControl: 'public, max-age=86400, immutable',
  signedAt: new Date('2026-11-25T04:00:00Z'),
  expiresAt: new Date('2026-11-25T06:00:00Z'),
  isOwnersBrowser: true,
}
const EXPIRES = 1795586400

const cloudFront = (more: { policy?: 'canned' | 'custom'; cookieDomain?: string } = {}) =>
  openCloudFront({
    baseUrl: 'https://cdn.example.org/',
    keyPairId: 'K2JCJMDEHXQW5F',
    privateKey: keys.privateKey,
    keyPrefix: 'photos/',
    policy: 'canned',
    cookieDomain: null,
    ...more,
  })

/** AWS: `+`, `=`, `/` are replaced by `-`, `_`, `~`. */
const fromAws = (text: string) =>
  Buffer.from(text.replaceAll('-', '+').replaceAll('_', '=').replaceAll('~', '/'), 'base64')

function isSignedBy(policy: string, signature: string): boolean {
  return createVerify('RSA-SHA1').update(policy).verify(keys.publicKey, fromAws(signature))
}

test('CloudFront, canned policy: the network builds the policy from the address and finds it signed', () => {
  const { url, cookies } = cloudFront().sign(FILE)
  assert.deepEqual(cookies, [])
  const [, resource, expires, signature, keyPairId] =
    /^(.*)&Expires=(\d+)&Signature=([A-Za-z0-9~_-]+)&Key-Pair-Id=(\w+)$/.exec(url)!
  assert.equal(
    resource,
    `https://cdn.example.org/photos/users/${OWNER}/asset/original.00ff.jpg` +
      '?response-cache-control=public%2C%20max-age%3D86400%2C%20immutable' +
      '&response-content-disposition=inline%3B%20filename%2A%3DUTF-8%27%27K%25C3%25B6ln%2520%25281%2529.jpg' +
      '&response-content-type=image%2Fjpeg',
  )
  assert.equal(Number(expires), EXPIRES)
  assert.equal(keyPairId, 'K2JCJMDEHXQW5F')
  // "Creating a policy statement for a signed URL that uses a canned policy": this text and no other, without
  // white space.
  const policy = (address: string) =>
    `{"Statement":[{"Resource":"${address}","Condition":{"DateLessThan":{"AWS:EpochTime":${expires}}}}]}`
  assert.ok(isSignedBy(policy(resource!), signature!))
  assert.ok(!isSignedBy(policy(resource!.replace('jpeg', 'html')), signature!))
  assert.equal(cloudFront().sign(FILE).url, url, 'the same in the whole window')
})

test('CloudFront, custom policy: the policy travels along, and says since when', () => {
  const { url } = cloudFront({ policy: 'custom' }).sign(FILE)
  const [, resource, policy, signature] =
    /^(.*)&Policy=([A-Za-z0-9~_-]+)&Signature=([A-Za-z0-9~_-]+)&Key-Pair-Id=K2JCJMDEHXQW5F$/.exec(url)!
  const text = fromAws(policy!).toString()
  assert.ok(isSignedBy(text, signature!))
  assert.deepEqual(JSON.parse(text), {
    Statement: [
      {
        Resource: resource,
        Condition: {
          DateLessThan: { 'AWS:EpochTime': EXPIRES },
          // Five minutes before the window, for a network whose clock is behind ours.
          DateGreaterThan: { 'AWS:EpochTime': EXPIRES - 7_200 - 300 },
        },
      },
    ],
  })
  assert.ok(!resource!.includes('*'), 'an asterisk would be a wildcard')
})

function parseCookies(cookies: string[]) {
  const values: Record<string, string> = {}
  let attributes = ''
  for (const cookie of cookies) {
    const [, name, value, rest] = /^([^=]+)=([^;]*)(; .*)$/.exec(cookie)!
    values[name!] = value!
    attributes = rest!
  }
  return { values, attributes }
}

test("CloudFront, cookies with a custom policy: for the owner's folder, for the owner's browser alone", () => {
  const cdn = cloudFront({ policy: 'custom', cookieDomain: 'example.org' })
  const { url, cookies } = cdn.sign(FILE)
  assert.doesNotMatch(url, /Signature|Policy/)
  const { values, attributes } = parseCookies(cookies)
  assert.equal(
    attributes,
    `; Domain=example.org; Path=/photos/users/${OWNER}/; Expires=Wed, 25 Nov 2026 06:00:00 GMT; Secure; HttpOnly; SameSite=Lax`,
  )
  assert.deepEqual(Object.keys(values), [
    'CloudFront-Policy',
    'CloudFront-Signature',
    'CloudFront-Key-Pair-Id',
  ])
  const policy = fromAws(values['CloudFront-Policy']!).toString()
  assert.ok(isSignedBy(policy, values['CloudFront-Signature']!))
  assert.equal(JSON.parse(policy).Statement[0].Resource, `https://cdn.example.org/photos/users/${OWNER}/*`)
  const others = cdn.sign({ ...FILE, isOwnersBrowser: false })
  assert.deepEqual(others.cookies, [])
  assert.match(others.url, /&Policy=.*&Signature=/)
})

test('CloudFront, cookies with a canned policy: for one address', () => {
  const { url, cookies } = cloudFront({ cookieDomain: 'example.org' }).sign(FILE)
  const { values, attributes } = parseCookies(cookies)
  assert.equal(values['CloudFront-Expires'], String(EXPIRES))
  assert.match(attributes, /Path=\/photos\/users\/[^/]+\/asset\/original\.00ff\.jpg;/)
  const policy = `{"Statement":[{"Resource":"${url}","Condition":{"DateLessThan":{"AWS:EpochTime":${EXPIRES}}}}]}`
  assert.ok(isSignedBy(policy, values['CloudFront-Signature']!))
})

/** The check of docs/delivery.md: what a worker at the network does with a request line. */
function isAllowed(requestTarget: string, secret: string, now: Date): boolean {
  const at = requestTarget.lastIndexOf('&signature=')
  if (at < 0) return false
  const signed = requestTarget.slice(0, at)
  const given = Buffer.from(requestTarget.slice(at + '&signature='.length), 'base64url')
  const expected = createHmac('sha256', secret).update(signed).digest()
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return false
  const expires = Number(/&expires=(\d+)$/.exec(signed)?.[1])
  return now.getTime() / 1000 < expires
}

test('HMAC: path and query as requested are signed, and end at their time', () => {
  const cdn = openHmacCdn({ baseUrl: 'https://cdn.example.org/eu', secret: SECRET, keyPrefix: '' })
  const { url, cookies } = cdn.sign(FILE)
  assert.deepEqual(cookies, [])
  assert.ok(url.startsWith(`https://cdn.example.org/eu/users/${OWNER}/asset/original.00ff.jpg?response-`))
  const target = url.slice('https://cdn.example.org'.length)
  const during = new Date('2026-11-25T05:59:59Z')
  assert.ok(isAllowed(target, SECRET, during))
  assert.ok(!isAllowed(target, SECRET, new Date('2026-11-25T06:00:00Z')))
  assert.ok(!isAllowed(target, `${SECRET}!`, during))
  for (const [from, to] of [
    ['image%2Fjpeg', 'text%2Fhtml'],
    ['asset', 'other'],
    ['&expires=1', '&expires=2'],
    ['&signature=', '&x=1&signature='],
  ] as const) {
    assert.ok(target.includes(from))
    assert.ok(!isAllowed(target.replace(from, to), SECRET, during), `${from} -> ${to}`)
  }
})

test('a network hands out what the bucket holds, with the type and the name that were signed', async (t) => {
  let server: TestServer
  // A small network: checks the address and answers with what the bucket holds and what the query says of it.
  const network = createServer(async (incoming, outgoing) => {
    const url = new URL(incoming.url!, 'http://cdn')
    if (!isAllowed(incoming.url!, SECRET, new Date())) return void outgoing.writeHead(403).end()
    const { stream } = await server.remotes
      .get('s3')!
      .inner.get(url.pathname.slice('/far/'.length) as ObjectKey)
    outgoing.setHeader('content-type', url.searchParams.get('response-content-type')!)
    outgoing.setHeader('content-disposition', url.searchParams.get('response-content-disposition')!)
    stream.pipe(outgoing)
  })
  await new Promise<void>((resolve) => network.listen(0, '127.0.0.1', resolve))
  t.after(() => network.close())
  const { port } = network.address() as AddressInfo
  const cdn = openHmacCdn({ baseUrl: `http://127.0.0.1:${port}/far`, secret: SECRET, keyPrefix: '' })
  server = await startWith(t, cdn)
  const bytes = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(10_000)])
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  const { id: evil } = await server.admin.upload(Buffer.from('<svg/>'), 'evil.svg')
  await server.runJobs()

  const sent = await ask(server, id)
  assert.equal(sent.statusCode, 302)
  assert.match(sent.headers['cache-control']!, /^private, max-age=/)
  const there = await fetch(sent.headers.location!)
  assert.equal(there.headers.get('content-type'), 'image/jpeg')
  assert.equal(there.headers.get('content-disposition'), "inline; filename*=UTF-8''photo.jpg")
  assert.deepEqual(Buffer.from(await there.arrayBuffer()), bytes)

  const scriptable = await fetch((await ask(server, evil)).headers.location!)
  assert.equal(scriptable.headers.get('content-type'), 'application/octet-stream')
  assert.match(scriptable.headers.get('content-disposition')!, /^attachment/)
  await scriptable.arrayBuffer()
})

test("cookies go with a redirect of the owner's browser, and never for what could run", async (t) => {
  const server = await startWith(t, cloudFront({ policy: 'custom', cookieDomain: 'example.org' }))
  const { id } = await server.admin.upload(
    Buffer.concat([Buffer.from([0xff, 0xd8]), randomBytes(100)]),
    'a.jpg',
  )
  const { id: evil } = await server.admin.upload(Buffer.from('<svg/>'), 'evil.svg')
  await server.runJobs()
  const mine = await ask(server, id)
  assert.equal(mine.statusCode, 302)
  assert.equal(mine.headers['set-cookie']!.length, 3)
  assert.match(mine.headers.location!, /^https:\/\/cdn\.example\.org\/photos\/users\/[^?]*\?(?!.*Signature)/)
  const scriptable = await ask(server, evil)
  assert.equal(scriptable.headers['set-cookie'], undefined)
  assert.match(scriptable.headers.location!, /&Signature=/)

  const logout = await server.admin.call('/auth/logout', { method: 'POST' })
  const ended = logout.headers.getSetCookie().filter((cookie) => cookie.startsWith('CloudFront-'))
  const given = mine.headers['set-cookie']!
  const scopeOf = (cookie: string) =>
    cookie
      .match(/^[^=]+|Domain=[^;]*|Path=[^;]*/g)!
      .slice(0, 3)
      .join()
  assert.deepEqual(ended.map(scopeOf).sort(), given.map(scopeOf).sort())
  assert.ok(ended.every((cookie) => cookie.includes('Max-Age=0')))
  assert.equal(logout.headers.getSetCookie().length, 6, 'and ours')
})

test('somebody who is shown a photo by its owner gets its address, and no key to the folder', async (t) => {
  const server = await startWith(t, cloudFront({ policy: 'custom', cookieDomain: 'example.org' }))
  const { id } = await server.admin.upload(
    Buffer.concat([Buffer.from([0xff, 0xd8]), randomBytes(100)]),
    'a.jpg',
  )
  await server.runJobs()
  const friend = await server.newUser('friend')
  const album = await server.admin.json<{ id: string }>('/albums', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      albumName: 'shared',
      assetIds: [id],
      albumUsers: [{ userId: friend.userId, role: 'viewer' }],
    }),
  })
  assert.ok(album.id)
  const theirs = await ask(server, id, friend.token)
  assert.equal(theirs.statusCode, 302)
  assert.equal(theirs.headers['set-cookie'], undefined)
  assert.match(theirs.headers.location!, /&Signature=/)
})

test('while the bucket behind the network is away, what is here is served here; the network may hold the rest', async (t) => {
  const server = await startWith(t, cloudFront())
  const upload = (bytes: Buffer) =>
    server.admin.upload(Buffer.concat([Buffer.from([0xff, 0xd8]), bytes]), 'a.jpg')
  const { id: gone } = await upload(randomBytes(100))
  await server.runJobs()
  server.placement.settings.deleteLocalAfterUpload = false
  const { id: kept } = await upload(randomBytes(101))
  await server.runJobs()
  for (const id of [gone, kept]) assert.equal((await ask(server, id)).statusCode, 302)
  const breaker = createBreaker('the bucket')
  Object.assign(server.placement.locations.get('s3')!, { breaker })
  breaker.open('it is gone')
  assert.equal((await ask(server, kept)).statusCode, 200)
  assert.equal((await ask(server, gone)).statusCode, 302)
})

function startWith(t: TestContext, cdn: Cdn): Promise<TestServer> {
  const delivery: Delivery = {
    ...PROXY_EVERYTHING,
    modes: { original: 'cdn' },
    cdn: { locationId: 's3', cdn },
  }
  return startTestServer(t, { delivery })
}

/** As a browser asks for a picture; the answer's body is left alone. */
function ask(server: TestServer, id: string, token = server.admin.token): Promise<IncomingMessage> {
  const headers = {
    cookie: `immich_access_token=${token}`,
    'sec-fetch-dest': 'image',
    'sec-fetch-mode': 'no-cors',
  }
  return new Promise((resolve, reject) => {
    getHttp(`${server.url}/api/assets/${id}/original`, { headers }, (incoming) => {
      incoming.resume()
      resolve(incoming)
    }).on('error', reject)
  })
}
