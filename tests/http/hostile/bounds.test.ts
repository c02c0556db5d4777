import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import sharp from 'sharp'
import type { Client } from '../../support/client.ts'
import { startTestServer } from '../../support/server.ts'

const jpeg = () => Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), randomBytes(1_000)])
const send = (client: Client, method: string, path: string, body: unknown) =>
  client.call(path, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
type Asset = { fileCreatedAt: string; localDateTime: string; duration: unknown }
const FOUR_DIGITS = /^\d{4}-/

function uploadOf(bytes: Buffer, fileCreatedAt: string): RequestInit {
  const form = new FormData()
  form.set('fileCreatedAt', fileCreatedAt)
  form.set('fileModifiedAt', fileCreatedAt)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'x.jpg')
  return { method: 'POST', body: form }
}

test('B12: no change leads out of the years that are stored', async (t) => {
  const { admin } = await startTestServer(t)
  const { id } = await admin.upload(jpeg(), 'x.jpg')
  const change = (fields: object) => send(admin, 'PUT', '/assets', { ids: [id], ...fields })
  assert.equal((await change({ dateTimeOriginal: '9990-05-01T12:00:00Z' })).status, 204)
  const later = await change({ dateTimeRelative: 50_000_000 })
  assert.equal(later.status, 400)
  assert.match(((await later.json()) as { message: string }).message, /dateTimeRelative/)
  const before = ['0000-01-01', '0001-01-01T00:00:00+14:00', '9999-12-31T23:00:00-12:00', '+010000-01-01']
  for (const dateTimeOriginal of before) {
    assert.equal((await change({ dateTimeOriginal })).status, 400, dateTimeOriginal)
    const one = await send(admin, 'PUT', `/assets/${id}`, { dateTimeOriginal })
    assert.equal(one.status, 400, dateTimeOriginal)
  }
  assert.equal((await admin.json<Asset>(`/assets/${id}`)).fileCreatedAt, '9990-05-01T12:00:00.000Z')

  assert.equal((await change({ dateTimeOriginal: '0001-01-03T00:00:00Z' })).status, 204)
  assert.equal((await change({ dateTimeRelative: -50_000_000 })).status, 400)
  assert.equal((await change({ timeZone: 'Pacific/Honolulu' })).status, 204)
  assert.match((await admin.json<Asset>(`/assets/${id}`)).localDateTime, FOUR_DIGITS)
})

test('B12: a file of an impossible date is kept, and whoever sees it can read and search', async (t) => {
  const server = await startTestServer(t)
  const { admin } = server
  const friend = await server.newUser('friend')
  const ids: string[] = []
  for (const date of ['0000-01-01T00:00:00Z', '-271820-01-01T00:00:00Z', '+275760-01-01T00:00:00Z']) {
    const response = await admin.call('/assets', uploadOf(jpeg(), date))
    assert.equal(response.status, 201, date)
    ids.push(((await response.json()) as { id: string }).id)
  }
  assert.equal((await admin.call('/assets', uploadOf(jpeg(), 'yesterday'))).status, 400)
  const album = await send(admin, 'POST', '/albums', {
    albumName: 'Shared',
    assetIds: ids,
    albumUsers: [{ userId: friend.userId, role: 'viewer' }],
  })
  assert.equal(album.status, 201)
  const { id: albumId } = (await album.json()) as { id: string }
  const found = await send(friend, 'POST', '/search/metadata', { albumIds: [albumId] })
  assert.equal(found.status, 200)
  const { assets } = (await found.json()) as { assets: { items: Asset[] } }
  assert.equal(assets.items.length, 3)
  for (const item of assets.items) assert.match(item.fileCreatedAt, FOUR_DIGITS)
  assert.equal((await friend.call(`/albums/${albumId}`)).status, 200)
  assert.equal((await friend.call(`/timeline/buckets?albumId=${albumId}`)).status, 200)
  for (const takenAfter of ['0000-01-01T00:00:00Z', '+010000-01-01T00:00:00Z']) {
    assert.equal((await send(friend, 'POST', '/search/metadata', { takenAfter })).status, 400, takenAfter)
  }
})

test('B12: dates in the file that no clock has shown are passed over', async (t) => {
  const server = await startTestServer(t)
  const dates = ['0000:00:00 00:00:00', '0000:01:01 00:00:00', '9999:12:31 23:59:59', '99999:01:01 00:00:00']
  for (const [index, DateTimeOriginal] of dates.entries()) {
    const photo = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#345' } })
      .withExif({ IFD2: { DateTimeOriginal, OffsetTimeOriginal: '-12:00' } })
      .jpeg({ quality: 50 + index })
      .toBuffer()
    const { id } = await server.admin.upload(photo, 'odd.jpg')
    await server.runJobs()
    const receipt = await server.admin.json<{ processing: { state: string } }>(`/storage/receipts/${id}`)
    assert.equal(receipt.processing.state, 'done', DateTimeOriginal)
    const asset = await server.admin.json<Asset>(`/assets/${id}`)
    assert.match(asset.localDateTime, /^20\d\d-/, 'that of the upload')
  }
})
