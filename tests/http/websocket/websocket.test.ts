import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { io, type Socket } from 'socket.io-client'
import { publish } from '../../../src/database/events.ts'
import { eventually, until } from '../../support/eventually.ts'
import { assertShape } from '../../support/http/sdk-shapes.ts'
import { startTestServer, type TestServer } from '../../support/server.ts'

type Heard = { socket: Socket; events: [string, unknown][]; wait(event: string): Promise<unknown> }

/** Connects as the clients do; everything that is heard is kept. */
function listen(t: TestContext, server: TestServer, headers: Record<string, string>): Heard {
  const socket = io(server.url, {
    path: '/api/socket.io',
    transports: ['websocket'],
    extraHeaders: headers,
    forceNew: true,
    reconnection: false,
  })
  t.after(() => socket.disconnect())
  const events: [string, unknown][] = []
  socket.onAny((event: string, payload: unknown) => events.push([event, payload]))
  socket.on('disconnect', (reason) => events.push(['disconnect', reason]))
  socket.on('connect_error', (error) => events.push(['connect_error', error.message]))
  return {
    socket,
    events,
    async wait(event) {
      return eventually(() => {
        const found = events.find(([name]) => name === event)
        assert.ok(found, `no ${event} among ${JSON.stringify(events.map(([name]) => name))}`)
        return found[1]
      })
    },
  }
}

const json = (method: string, body: unknown) => ({
  method,
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(body),
})
const picture = () =>
  sharp({ create: { width: 300, height: 200, channels: 3, background: 'teal' } })
    .jpeg()
    .toBuffer()

test('open pages hear what happens to their user, and to nobody else', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const stranger = await server.newUser('stranger')
  const openedAt = performance.now()
  const page = listen(t, server, { cookie: `immich_access_token=${admin.token}` })
  const other = listen(t, server, { authorization: `Bearer ${stranger.token}` })
  assert.deepEqual(await page.wait('on_server_version'), { major: 3, minor: 2, patch: 2, prerelease: null })
  await other.wait('on_server_version')

  await t.test('no credentials, no events', async () => {
    for (const headers of [{}, { cookie: 'immich_access_token=wrong' }] as Record<string, string>[]) {
      const nobody = listen(t, server, headers)
      assert.equal(await nobody.wait('error'), 'unauthorized')
      await nobody.wait('disconnect')
    }
  })

  await t.test('only websockets are spoken, and other requests get no HTML', async () => {
    const polling = await fetch(`${server.url}/api/socket.io/?EIO=4&transport=polling`)
    assert.equal(polling.status, 400)
    assert.match(polling.headers.get('content-type') ?? '', /json/)
  })

  const { id } = await admin.upload(await picture(), 'teal.jpg')
  await t.test('an upload is announced when its pictures are there', async () => {
    await server.runJobs()
    const asset = (await page.wait('on_upload_success')) as { id: string }
    assert.equal(asset.id, id)
    assertShape(asset, 'AssetResponseDto', ['processingError'])
    assert.equal((await admin.call(`/assets/${id}/thumbnail`)).status, 200)
  })

  await t.test('administrators see the storage move, at most once a second', async () => {
    const status = (await page.wait('storage_status')) as { originals: { total: { count: number } } }
    assert.equal(status.originals.total.count, 1)
    const told = () => page.events.filter(([name]) => name === 'storage_status').length
    for (let change = 1; change < 40; change++) await publish(server.db, { type: 'storage-changed' })
    const before = told()
    await publish(server.db, { type: 'storage-changed' })
    await until('the last change is told', () => told() > before)
    const elapsedMs = performance.now() - openedAt
    // One at once, then one each second; timers count whole milliseconds and may be one early.
    assert.ok((told() - 1) * 998 <= elapsedMs, `${told()} in ${elapsedMs} ms`)
  })

  await t.test('changes, trash, restore, deletion', async () => {
    await admin.json(`/assets/${id}`, json('PUT', { isFavorite: true }))
    assert.equal(((await page.wait('on_asset_update')) as { isFavorite: boolean }).isFavorite, true)
    await admin.call('/assets', json('DELETE', { ids: [id] }))
    assert.deepEqual(await page.wait('on_asset_trash'), [id])
    await admin.json('/trash/restore/assets', json('POST', { ids: [id] }))
    assert.deepEqual(await page.wait('on_asset_restore'), [id])
    await admin.json(`/assets/${id}`, json('PUT', { visibility: 'hidden' }))
    assert.equal(await page.wait('on_asset_hidden'), id)
    await admin.call('/assets', json('DELETE', { ids: [id], force: true }))
    assert.equal(await page.wait('on_asset_delete'), id)
  })

  await t.test('the end of a session is heard, then the line is cut', async () => {
    await stranger.call('/auth/logout', { method: 'POST' })
    await other.wait('on_session_delete')
    await other.wait('disconnect')
  })

  await t.test('strangers heard nothing of all this', () => {
    const names = other.events.map(([name]) => name)
    assert.deepEqual(names, ['on_server_version', 'on_session_delete', 'disconnect'])
  })
})

test('closing the server ends websockets and does not wait for them', { timeout: 20_000 }, async (t) => {
  const server = await startTestServer(t)
  const page = listen(t, server, { cookie: `immich_access_token=${server.admin.token}` })
  await page.wait('on_server_version')
  const startedAt = performance.now()
  await server.app.close()
  assert.ok(performance.now() - startedAt < 4_000)
  await page.wait('disconnect')
})
