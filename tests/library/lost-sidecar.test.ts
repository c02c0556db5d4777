/** A sidecar that is lost, with a disk say, takes nothing else of its photo along. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { test } from 'node:test'
import sharp from 'sharp'
import { startTestServer } from '../support/server.ts'

const SIDECAR = `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>`

test('a photo whose sidecar is lost gets its pictures, and keeps what was read in the sidecar', async (t) => {
  const server = await startTestServer(t)
  const { admin, pool } = server
  const upload = async (color: string) => {
    const create = { width: 64, height: 48, channels: 3, background: color } as const
    const form = new FormData()
    const jpeg = await sharp({ create }).jpeg().toBuffer()
    form.set('assetData', new Blob([new Uint8Array(jpeg)]), 'photo.jpg')
    form.set('sidecarData', new Blob([SIDECAR]), 'photo.jpg.xmp')
    form.set('fileCreatedAt', '2024-05-01T12:00:00.000Z')
    form.set('fileModifiedAt', '2024-05-01T12:00:00.000Z')
    const answer = await admin.call('/assets', { method: 'POST', body: form })
    assert.equal(answer.status, 201)
    return ((await answer.json()) as { id: string }).id
  }
  const loseSidecar = async (id: string) => {
    const { rows } = await pool.query<{ key: string }>(
      `select r.key from asset_file f join replica r using (object_id) where f.asset_id = $1 and f.kind = 'sidecar'`,
      [id],
    )
    await rm(server.disk.inner.localFiles!.path(rows[0]!.key as never))
  }
  const ratingOf = async (id: string) =>
    (await admin.json<{ exifInfo: { rating: number | null } }>(`/assets/${id}`)).exifInfo.rating

  const read = await upload('teal')
  await server.runJobs()
  assert.equal(await ratingOf(read), 4)
  const unread = await upload('olive')
  for (const id of [read, unread]) await loseSidecar(id)
  await admin
    .json(`/assets/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assetIds: [read], name: 'regenerate-thumbnail' }),
    })
    .catch(() => undefined) // 204 has no JSON
  await server.runJobs()
  for (const id of [read, unread]) assert.equal((await admin.call(`/assets/${id}/thumbnail`)).status, 200)
  const { rows } = await pool.query(`select distinct processing from asset`)
  assert.deepEqual(rows, [{ processing: 'done' }])
  assert.equal(await ratingOf(read), 4)
})
