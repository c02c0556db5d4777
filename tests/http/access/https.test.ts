/**
 * What changes when browsers come by https: cookies that never go by http, and the header that keeps them
 * there.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { test } from 'node:test'
import { ADMIN } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'

/** Not with `fetch`, which sets Host itself. */
async function ask(url: string, headers: Record<string, string>, body?: object): Promise<IncomingMessage> {
  const sent = request(url, {
    method: body ? 'POST' : 'GET',
    headers: { 'content-type': 'application/json', ...headers },
  })
  sent.end(body && JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  return response
}

const HALF_A_YEAR = 'max-age=15552000'
const strict = (response: IncomingMessage) => response.headers['strict-transport-security']

test('B15: browsers that came by https are told to stay with it, and nobody is shut out', async (t) => {
  const server = await startTestServer(t, { trustedProxies: ['127.0.0.1'] })
  const byProxy = { 'x-forwarded-proto': 'https', host: 'photos.example.org' }
  for (const path of ['/api/server/ping', '/api/users/me', '/api/nothing', '/.well-known/immich', '/']) {
    assert.equal(strict(await ask(server.url + path, byProxy)), HALF_A_YEAR, path)
  }
  const hosts: [string, Record<string, string>][] = [
    ['plain http', { host: 'photos.example.org' }],
    ['localhost', { ...byProxy, host: 'localhost:2283' }],
    ['a name below localhost', { ...byProxy, host: 'photos.localhost' }],
    ['an address', { ...byProxy, host: '192.168.1.5' }],
    ['an IPv6 address', { ...byProxy, host: '[2001:db8::1]' }],
    ['a name that one network alone knows', { ...byProxy, host: 'nas' }],
    ['a port beside which something else may answer', { ...byProxy, host: 'nas.example.org:8443' }],
    ['no name at all', { ...byProxy, host: '' }],
  ]
  for (const [what, headers] of hosts) {
    assert.equal(strict(await ask(`${server.url}/api/server/ping`, headers)), undefined, what)
  }
})

test('B15: the public URL says so as well, for requests that are for it', async (t) => {
  const server = await startTestServer(t, { publicUrl: 'https://photos.example.org' })
  const ping = `${server.url}/api/server/ping`
  assert.equal(strict(await ask(ping, { host: 'photos.example.org' })), HALF_A_YEAR)
  assert.equal(strict(await ask(ping, { host: 'other.example.org' })), undefined)
  assert.equal(strict(await ask(ping, {})), undefined)
  // Nobody who is not trusted says so.
  assert.equal(
    strict(await ask(ping, { host: 'other.example.org', 'x-forwarded-proto': 'https' })),
    undefined,
  )

  const login = async (host: string) => {
    const response = await ask(`${server.url}/api/auth/login`, { host }, ADMIN)
    assert.equal(response.statusCode, 201)
    return response.headers['set-cookie'] ?? []
  }
  for (const cookie of await login('photos.example.org')) assert.match(cookie, /; Secure/)
  // At home, without the proxy: a browser would drop a Secure cookie there.
  for (const cookie of await login('192.168.1.5:2283')) assert.doesNotMatch(cookie, /Secure/)
})

test('B15: a public URL of plain http promises nothing', async (t) => {
  const server = await startTestServer(t, { publicUrl: 'http://photos.example.org' })
  const response = await ask(`${server.url}/api/server/ping`, { host: 'photos.example.org' })
  assert.equal(strict(response), undefined)
})
