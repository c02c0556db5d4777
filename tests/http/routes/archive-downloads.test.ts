/** Zips by an address of their own, which a browser streams to the disk by itself. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import { test } from 'node:test'
import type { Client } from '../../support/client.ts'
import { eventually, until } from '../../support/eventually.ts'
import { readZip } from '../../support/files/zip.ts'
import { startTestServer } from '../../support/server.ts'

type Progress = { state: string; sentBytes: number; totalBytes: number; error: string | null }

const create = (client: Client, assetIds: string[], archiveName = 'holiday') =>
  client.call('/download/archives', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ assetIds, archiveName }),
  })
const progressOf = (client: Client, id: string) => client.json<Progress>(`/download/archives/${id}/progress`)
async function upload(client: Client, sizes: number[]): Promise<string[]> {
  const ids = []
  for (const [index, size] of sizes.entries())
    ids.push((await client.upload(randomBytes(size), `file ${index}.jpg`)).id)
  return ids
}

test('an archive is created, streamed, and followed to its end', async (t) => {
  const server = await startTestServer(t)
  const ids = await upload(server.admin, [40_000, 70_000])
  const answer = await create(server.admin, ids)
  assert.equal(answer.status, 201)
  const { id, totalBytes, files } = (await answer.json()) as { id: string; totalBytes: number; files: number }
  assert.deepEqual([totalBytes, files], [110_000, 2])
  assert.deepEqual(await progressOf(server.admin, id), {
    state: 'waiting',
    sentBytes: 0,
    totalBytes: 110_000,
    error: null,
  })
  const zip = await server.admin.call(`/download/archives/${id}`)
  assert.match(zip.headers.get('content-disposition')!, /^attachment;.*holiday\.zip/)
  const bytes = Buffer.from(await zip.arrayBuffer())
  assert.equal(Number(zip.headers.get('content-length')), bytes.length)
  assert.deepEqual(
    readZip(bytes).map(({ name, content }) => [name, content.length]),
    [
      ['file 0.jpg', 40_000],
      ['file 1.jpg', 70_000],
    ],
  )
  const done = await eventually(async () => {
    const progress = await progressOf(server.admin, id)
    assert.equal(progress.state, 'done')
    return progress
  })
  assert.deepEqual([done.sentBytes, done.totalBytes], [bytes.length, bytes.length])
  // A browser that lost it asks for the same again.
  assert.equal((await server.admin.call(`/download/archives/${id}`)).status, 200)
})

test('that it is over stays the last word, also when the note of its beginning is slow', async (t) => {
  const server = await startTestServer(t)
  const { id } = (await (await create(server.admin, await upload(server.admin, [1000]))).json()) as {
    id: string
  }
  // The note of the beginning, which alone names the total, waits for a lock that the test holds. It waits
  // before it locks the row, so that others pass it.
  await server.pool.query(`
    create function wait_for_test() returns trigger language plpgsql as $$ begin
      if current_query() like '%"total_bytes" =%' then perform pg_advisory_xact_lock(1); end if;
      return null;
    end $$;
    create trigger wait_for_test before update on archive_download
      for each statement execute function wait_for_test()`)
  const holder = await server.pool.connect()
  await holder.query('select pg_advisory_lock(1)')
  let isSent = false
  server.app.server.on('request', ({ url }: IncomingMessage, response: ServerResponse) => {
    if (url === `/api/download/archives/${id}`) response.once('close', () => (isSent = true))
  })
  await (await server.admin.call(`/download/archives/${id}`)).arrayBuffer()
  await until('the server has sent it', () => isSent)
  assert.notEqual((await progressOf(server.admin, id)).state, 'waiting')
  holder.release(true)
  await until('it was noted how large it is', async () => {
    const { rows } = await server.pool.query('select from archive_download where total_bytes > 1000')
    return rows.length === 1
  })
  await until('it is done', async () => (await progressOf(server.admin, id)).state === 'done')
})

test("it is nobody else's, and only of what its maker may see", async (t) => {
  const server = await startTestServer(t)
  const other = await server.newUser('other')
  const [id] = await upload(server.admin, [1000])
  assert.equal((await create(other, [id!])).status, 400)
  const mine = (await (await create(server.admin, [id!])).json()) as { id: string }
  for (const path of [`/download/archives/${mine.id}`, `/download/archives/${mine.id}/progress`])
    assert.equal((await other.call(path)).status, 404)
  assert.equal((await other.call(`/download/archives/${mine.id}`, { method: 'DELETE' })).status, 404)
})

test('cancelled in the middle, it ends, and begins no more', async (t) => {
  const server = await startTestServer(t)
  const ids = await upload(server.admin, [8_000_000, 8_000_000, 8_000_000])
  const { id } = (await (await create(server.admin, ids)).json()) as { id: string }
  let isClosed = false
  server.app.server.on('request', ({ url, socket }: IncomingMessage) => {
    if (url === `/api/download/archives/${id}`) socket.once('close', () => (isClosed = true))
  })
  // A reader that takes its time: what it does not take stays with the server.
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get(
      `${server.url}/api/download/archives/${id}`,
      { agent: false, headers: { authorization: `Bearer ${server.admin.token}` } },
      resolve,
    ).on('error', reject)
  })
  const over = new Promise<boolean>((resolve) => answer.once('close', () => resolve(answer.complete)))
  answer.once('error', () => undefined)
  answer.pause()
  await until('it is under way', async () => (await progressOf(server.admin, id)).sentBytes > 0)
  assert.equal((await server.admin.call(`/download/archives/${id}`, { method: 'DELETE' })).status, 204)
  await until('the server has closed the connection', () => isClosed)
  answer.resume()
  assert.equal(await over, false, 'cut before its end')
  assert.equal((await progressOf(server.admin, id)).state, 'cancelled')
  assert.equal((await server.admin.call(`/download/archives/${id}`)).status, 404)
})

test('what nobody can read now is told, and a process that ended leaves nothing running', async (t) => {
  const server = await startTestServer(t)
  const [assetId] = await upload(server.admin, [1000])
  const { id } = (await (await create(server.admin, [assetId!])).json()) as { id: string }
  await server.pool.query("update replica set state = 'suspect'")
  const refused = await server.admin.call(`/download/archives/${id}`)
  assert.equal(refused.status, 503)
  const failed = await progressOf(server.admin, id)
  assert.equal(failed.state, 'failed')
  assert.match(failed.error!, /can be read now; try again later/)
  await server.pool.query(
    "update archive_download set state = 'running', updated_at = now() - interval '1 minute' where id = $1",
    [id],
  )
  const lost = await progressOf(server.admin, id)
  assert.equal(lost.state, 'failed')
  assert.match(lost.error!, /restarted/)
})

test('the newest ten of a user are remembered', async (t) => {
  const server = await startTestServer(t)
  const [assetId] = await upload(server.admin, [1000])
  const made: string[] = []
  for (let count = 0; count < 12; count++)
    made.push(((await (await create(server.admin, [assetId!])).json()) as { id: string }).id)
  const { rows } = await server.pool.query('select id from archive_download')
  assert.deepEqual(rows.map(({ id }) => id).sort(), made.slice(2).sort())
})
