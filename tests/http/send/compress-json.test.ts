import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { chooseEncoding } from '../../../src/http/send/compress-json.ts'
import { ADMIN } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'
import { addAsset } from '../routes/asset-rows.ts'

/** With the headers as they are: fetch would decompress and hide them. */
function ask(
  url: string,
  headers: Record<string, string>,
  method = 'GET',
  body = '',
): Promise<{ headers: Record<string, string | string[] | undefined>; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method, headers }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => resolve({ headers: answer.headers, bytes: Buffer.concat(parts) }))
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

test('a long JSON is compressed as the client takes it, and says so to caches', async (t) => {
  const server = await startTestServer(t)
  const { id: ownerId } = await server.admin.json<{ id: string }>('/users/me')
  for (let count = 0; count < 40; count++) await addAsset(server.db, ownerId)
  const url = `${server.url}/api/timeline/bucket?timeBucket=2024-05-01`
  const plain = await ask(url, { authorization: `Bearer ${server.admin.token}` })
  assert.equal(plain.headers['content-encoding'], undefined)
  assert.equal(plain.headers.vary, 'accept-encoding')
  for (const [accepted, encoding, decompress] of [
    ['gzip, deflate, br, zstd', 'br', brotliDecompressSync],
    ['gzip', 'gzip', gunzipSync],
  ] as const) {
    const answer = await ask(url, {
      authorization: `Bearer ${server.admin.token}`,
      'accept-encoding': accepted,
    })
    assert.equal(answer.headers['content-encoding'], encoding)
    assert.equal(answer.headers['content-length'], String(answer.bytes.length))
    assert.equal(answer.headers.vary, 'accept-encoding')
    assert.match(String(answer.headers['content-type']), /^application\/json/)
    assert.ok(answer.bytes.length < plain.bytes.length * 0.6)
    assert.deepEqual(decompress(answer.bytes), plain.bytes)
  }
})

test('an answer that holds a secret is not, whatever stands beside it', async (t) => {
  const server = await startTestServer(t)
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'br, gzip' }
  const body = JSON.stringify({ email: ADMIN.email, password: ADMIN.password })
  const login = await ask(`${server.url}/api/auth/login`, headers, 'POST', body)
  assert.match(login.bytes.toString(), /accessToken/)
  assert.equal(login.headers['content-encoding'], undefined)
  const key = await ask(
    `${server.url}/api/api-keys`,
    { ...headers, authorization: `Bearer ${server.admin.token}` },
    'POST',
    // As long as a name may be.
    JSON.stringify({ name: 'x'.repeat(200), permissions: ['all'] }),
  )
  assert.match(key.bytes.toString(), /secret/)
  assert.equal(key.headers['content-encoding'], undefined)
})

test('which encoding: what is taken, by its weight', () => {
  const cases: [string | undefined, ReturnType<typeof chooseEncoding>][] = [
    [undefined, null],
    ['', null],
    ['identity', null],
    ['gzip', 'gzip'],
    ['GZIP;q=0.5', 'gzip'],
    ['br;q=0, gzip', 'gzip'],
    ['br;q=0, gzip;q=0', null],
    ['*', 'br'],
    ['*;q=0', null],
    ['deflate, gzip;q=1.0, *;q=0.5', 'br'],
  ]
  for (const [accepted, expected] of cases) assert.equal(chooseEncoding(accepted), expected, accepted)
})
