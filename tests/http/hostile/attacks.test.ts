import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { PUBLIC_BODY } from '../../../src/http/bodies/limits.ts'
import { ADMIN } from '../../support/client.ts'
import { startAttackedServer } from '../../support/http/attacked-server.ts'
import { assertNobodyWaited } from '../../support/http/longest-stall.ts'
import { shoot } from '../../support/http/shoot.ts'

const MIB = 1024 * 1024
const LOGIN = { method: 'POST', path: '/api/auth/login', headers: { 'content-type': 'application/json' } }
const realLogin = (url: string, localAddress?: string) =>
  shoot(url, { ...LOGIN, body: JSON.stringify(ADMIN), isAlone: true, ...(localAddress && { localAddress }) })

/** Connections that send `head` and what follows; all of them are gone when the test ends. */
async function openConnections(t: TestContext, url: string, count: number, head: string): Promise<Socket[]> {
  const { port } = new URL(url)
  const sockets = Array.from({ length: count }, () => connect(Number(port), '127.0.0.1'))
  t.after(() => sockets.forEach((socket) => void socket.destroy()))
  await Promise.all(
    sockets.map(async (socket) => {
      // Cut off by the server: what the attack deserves.
      socket.on('error', () => undefined)
      await once(socket, 'connect')
      socket.write(head)
    }),
  )
  return sockets
}

test('B1: a login of 10 MB of brackets is refused by its size, and freezes nothing', async (t) => {
  const server = await startAttackedServer(t)
  await server.facts()
  const brackets = '['.repeat(10 * MIB - 100)
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => shoot(server.url, { ...LOGIN, body: brackets, isAlone: true })),
  )
  assert.deepEqual(
    answers.map(({ status }) => status),
    Array(8).fill(413),
  )
  const small = await shoot(server.url, { ...LOGIN, body: '['.repeat(PUBLIC_BODY.maxBytes - 1) })
  assert.deepEqual(
    [small.status, JSON.parse(small.text)],
    [400, { message: 'The JSON body is nested deeper than 20 levels' }],
  )
  assertNobodyWaited(await server.facts())
})

test('B2: 250 unfinished logins of 10 MB take no memory', async (t) => {
  const server = await startAttackedServer(t)
  const before = await server.collected()
  const head = `POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${10 * MIB}\r\n\r\n`
  const sockets = await openConnections(t, server.url, 250, head)
  const heard = sockets.map((socket) => once(socket, 'data'))
  for (const socket of sockets) socket.write('x'.repeat(MIB))
  for (const [answer] of await Promise.all(heard)) assert.match(String(answer), /^HTTP\/1.1 413 /)
  const { peakBytes } = await server.facts()
  assert.ok(peakBytes - before.peakBytes < 128 * MIB, `${(peakBytes - before.peakBytes) / MIB} MiB`)
})

test('B2: 450 unfinished logins, and an honest one is let in', async (t) => {
  const server = await startAttackedServer(t)
  const before = await server.collected()
  const head =
    'POST /api/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n'
  // In chunks of one byte, which Node would hold as 9,000 buffers each.
  const body = `1\r\n{\r\n${'1\r\n \r\n'.repeat(9_000)}`
  const sockets = await openConnections(t, server.url, 450, head)
  const refused = once(sockets[0]!, 'data')
  for (const socket of sockets) socket.write(body)
  assert.equal((await realLogin(server.url)).status, 201)
  // They are more than all public bodies may hold, and too slow.
  assert.match(String((await refused)[0]), /^HTTP\/1.1 (408|503) /)
  const { peakBytes } = await server.facts()
  assert.ok(peakBytes - before.peakBytes < 200 * MIB, `${(peakBytes - before.peakBytes) / MIB} MiB`)
})

test('B4: unknown form fields are dropped as they arrive', async (t) => {
  const server = await startAttackedServer(t)
  const before = await server.collected()
  const part = (name: string, value: string, more = '') =>
    `--x\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
  const megabyte = 'v'.repeat(MIB)
  const send = (parts: string[]) =>
    shoot(server.url, {
      method: 'POST',
      path: '/api/assets',
      headers: { authorization: `Bearer ${server.token}`, 'content-type': 'multipart/form-data; boundary=x' },
      body: `${parts.join('')}--x--\r\n`,
      isAlone: true,
    })
  const times = ['fileCreatedAt', 'fileModifiedAt'].map((name) => part(name, '2024-05-01T12:00:00Z'))
  const file = part('assetData', 'bytes of a photo', '; filename="a.jpg"')
  const unknown = Array.from({ length: 60 }, (_, n) => part(`unknown${n}`, megabyte))
  const kept = await send([...unknown, ...times, file])
  assert.equal(kept.status, 201, kept.text)
  const { peakBytes } = await server.facts()
  assert.ok(peakBytes - before.peakBytes < 48 * MIB, `${(peakBytes - before.peakBytes) / MIB} MiB`)

  const isRefused = async (parts: string[], status: number, message: RegExp) => {
    const answer = await send(parts)
    assert.equal(answer.status, status, answer.text)
    assert.match(answer.text, message)
  }
  await isRefused([part('filename', megabyte), ...times, file], 400, /filename: longer than 8192 bytes/)
  await isRefused([...Array<string>(200).fill(part('unknown', 'x')), ...times, file], 413, /parts limit/)
  await isRefused(
    [...unknown, ...unknown.slice(0, 10), ...times, file],
    413,
    /more bytes than this request needs/,
  )
  await isRefused(
    ['--x\r\n', 'a: b\r\n'.repeat(100), '\r\nx\r\n', ...times],
    400,
    /assetData: a file is required/,
  )
})

test('B7: 300 wrong logins from one address keep nobody else waiting, and most are refused at once', async (t) => {
  const server = await startAttackedServer(t)
  let hashed = 0
  const wrong = Array.from({ length: 300 }, async (_, n) => {
    const body = JSON.stringify({ email: `nobody${n}@example.org`, password: 'a wrong password' })
    const answer = await shoot(server.url, { ...LOGIN, body, isAlone: true })
    if (answer.status === 401) hashed++
    return answer
  })
  await Promise.race(wrong)
  const login = await realLogin(server.url, '127.0.0.2')
  const before = hashed
  assert.equal(login.status, 201)
  assert.ok(before <= 12, `${before} others were answered first`)
  const answers = await Promise.all(wrong)
  const refused = answers.filter(({ status }) => status === 503)
  assert.equal(refused.length + hashed, 300)
  assert.ok(hashed < 100, `${hashed} were hashed`)
  assert.match(refused[0]!.text, /Too many log-ins are waiting/)
})
