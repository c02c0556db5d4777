/** The nginx configuration that docs/security.md shows, in a real nginx, before a real server. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { io } from 'socket.io-client'
import { ADMIN } from '../support/client.ts'
import { until } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { startTestServer } from '../support/server.ts'
import { installPackages } from '../support/services/apt.ts'

const run = promisify(execFile)
const HOST = 'photos.example.org'

async function whyNoNginx(): Promise<string | false> {
  const isThere = () =>
    run('nginx', ['-v']).then(
      () => true,
      () => false,
    )
  if (await isThere()) return false
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Debian may install nginx'
  await installPackages('nginx-light').catch(() => undefined)
  return (await isThere()) ? false : 'nginx could not be installed'
}

/** Of the page, with other ports and a certificate of our own. */
async function startNginx(t: TestContext, serverUrl: string): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-nginx-'))
  const page = await readFile(new URL('../../docs/security.md', import.meta.url), 'utf8')
  const [, shown] = /```nginx\n([\s\S]*?)```/.exec(page)!
  const [certificate, key] = [join(folder, 'certificate.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', `/CN=${HOST}`, '-days', '2']
  await run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    certificate,
    ...subject,
  ])
  const [port, plainPort] = [await freePort(), await freePort()]
  const sites = shown!
    .replace('listen 443 ssl', `listen 127.0.0.1:${port} ssl`)
    .replace('listen 80', `listen 127.0.0.1:${plainPort}`)
    .replace('http://127.0.0.1:2283', serverUrl)
    .replace(/ssl_certificate \S+;/, `ssl_certificate ${certificate};`)
    .replace(/ssl_certificate_key \S+;/, `ssl_certificate_key ${key};`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder};`,
  )
  const file = join(folder, 'nginx.conf')
  await writeFile(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr;
     events {} http { access_log off; ${temporary.join(' ')}\n${sites}\n}`,
  )
  const nginx = spawn('nginx', ['-c', file, '-p', folder], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.after(async () => {
    nginx.kill()
    if (nginx.exitCode === null) await once(nginx, 'exit')
    await rm(folder, { recursive: true })
  })
  await until('nginx listens', () => canConnect(port))
  return port
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

test('B9, B15: a server behind the nginx of docs/security.md', { skip: await whyNoNginx() }, async (t) => {
  const server = await startTestServer(t, { publicUrl: `https://${HOST}`, trustedProxies: ['127.0.0.1'] })
  const port = await startNginx(t, server.url)
  const send = async (method: string, path: string, headers: Record<string, string>, body: unknown) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      path,
      method,
      rejectUnauthorized: false,
      headers: { host: HOST, 'content-type': 'application/json', ...headers },
    })
    sent.end(Buffer.isBuffer(body) ? body : JSON.stringify(body))
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    response.resume()
    return response
  }
  const login = await send('POST', '/api/auth/login', { origin: `https://${HOST}` }, ADMIN)
  assert.equal(login.statusCode, 201)
  assert.equal(login.headers['strict-transport-security'], 'max-age=15552000')
  for (const cookie of login.headers['set-cookie'] ?? []) assert.match(cookie, /; Secure/)
  const cookie = (login.headers['set-cookie'] ?? []).map((text) => text.split(';')[0]).join('; ')

  const empty = (headers: Record<string, string>) =>
    send('POST', '/api/trash/empty', { cookie, ...headers }, {})
  assert.equal((await empty({ origin: `https://${HOST}` })).statusCode, 200)
  assert.equal((await empty({ origin: 'https://evil.example' })).statusCode, 403)
  // More than what nginx takes by default.
  const form = new FormData()
  for (const name of ['fileCreatedAt', 'fileModifiedAt']) form.set(name, new Date().toISOString())
  form.set('assetData', new Blob([Buffer.alloc(3_000_000, 'x')]), 'large.jpg')
  const encoded = new Response(form)
  const type = { 'content-type': encoded.headers.get('content-type')! }
  const bytes = Buffer.from(await encoded.arrayBuffer())
  assert.equal((await send('POST', '/api/assets', { cookie, ...type }, bytes)).statusCode, 201)

  const events: string[] = []
  const socket = io(`https://127.0.0.1:${port}`, {
    path: '/api/socket.io',
    transports: ['websocket'],
    extraHeaders: { cookie, host: HOST, origin: `https://${HOST}` },
    rejectUnauthorized: false,
    reconnection: false,
  })
  t.after(() => socket.disconnect())
  socket.onAny((name: string) => events.push(name))
  socket.on('connect_error', (error) => events.push(error.message))
  await until('the websocket speaks', () => events.length > 0)
  assert.deepEqual(events, ['on_server_version'])
})
