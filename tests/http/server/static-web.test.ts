import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import { denyByDefault } from '../../../src/http/server.ts'
import { addStaticWeb, pagePolicy } from '../../../src/http/static-web.ts'
import { silentLog } from '../../../src/log.ts'

async function serve(t: TestContext, files: Record<string, string> | null) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-web-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'secret.txt'), 'outside')
  const build = join(folder, 'build')
  for (const [name, content] of Object.entries(files ?? {})) {
    await mkdir(join(build, name, '..'), { recursive: true })
    await writeFile(join(build, name), content)
  }
  const app = Fastify()
  denyByDefault(app)
  await addStaticWeb(app, { log: silentLog }, build)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(() => app.close())
  return (path: string, accept = 'text/html,*/*', method = 'GET') =>
    fetch(url + path, { method, headers: { accept } })
}

const INDEX = '<!doctype html><script>start("here")</script><script src="/x.js"></script>'

test('the built page is served, with an address for everything that a browser navigates to', async (t) => {
  const get = await serve(t, {
    'index.html': INDEX,
    '_app/immutable/entry.abc.js': 'export {}',
    'favicon.svg': '<svg/>',
  })
  for (const path of ['/', '/index.html', '/photos', '/albums/1?x=2', '/assets/1']) {
    const response = await get(path)
    assert.equal(response.status, 200, path)
    assert.equal(await response.text(), INDEX)
    assert.equal(response.headers.get('cache-control'), 'no-store')
    assert.equal(response.headers.get('content-security-policy'), pagePolicy(INDEX))
  }
  for (const accept of ['*/*', 'text/html', 'application/json']) {
    assert.equal((await get('/', accept)).status, 200, 'whoever watches whether it lives accepts anything')
    const head = await get('/', accept, 'HEAD')
    assert.equal(head.status, 200)
    assert.match(head.headers.get('content-type')!, /text\/html/)
    assert.equal(await head.text(), '')
  }
  const chunk = await get('/_app/immutable/entry.abc.js', '*/*')
  assert.equal(chunk.headers.get('cache-control'), 'public,max-age=31536000,immutable')
  assert.match(chunk.headers.get('content-type')!, /javascript/)
  assert.equal((await get('/favicon.svg', '*/*')).headers.get('cache-control'), 'no-cache')
})

test('what is not there is a JSON 404: a missing chunk, a missing route of the API, another method', async (t) => {
  const get = await serve(t, { 'index.html': INDEX })
  for (const [path, accept, method] of [
    ['/_app/immutable/gone.js', 'text/html', 'GET'],
    ['/missing.js', '*/*', 'GET'],
    ['/api/missing', 'text/html', 'GET'],
    ['/api', 'text/html', 'GET'],
    ['/photos', 'text/html', 'POST'],
    ['/%2e%2e/secret.txt', '*/*', 'GET'],
    ['/..%2fsecret.txt', '*/*', 'GET'],
    ['/%00', '*/*', 'GET'],
  ] as const) {
    const response = await get(path, accept, method)
    assert.ok([400, 403, 404].includes(response.status), `${path}: ${response.status}`)
    assert.match(response.headers.get('content-type')!, /json/, path)
    assert.doesNotMatch(await response.text(), /outside/)
  }
})

test('without a build the page says what to do, and the API stays JSON', async (t) => {
  const get = await serve(t, null)
  const response = await get('/')
  assert.equal(response.status, 503)
  assert.match(await response.text(), /npm run build/)
  assert.match((await get('/api/x')).headers.get('content-type')!, /json/)
})

test("the page's own inline scripts run, by their hash, and no others", () => {
  const policy = pagePolicy(INDEX)
  assert.match(policy, /script-src 'self' 'sha256-[A-Za-z0-9+/]{43}='(;|$)/)
  assert.doesNotMatch(policy, /script-src[^;]*unsafe/)
  assert.match(policy, /frame-ancestors 'none'/)
})
