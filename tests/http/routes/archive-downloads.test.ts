/** Zips by an address of their own, which a browser streams to the disk by itself. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
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

test('its end is noted last, also where the database takes its time for what came before', async (t) => {
  const server = await startTestServer(t)
  const ids = await upload(server.admin, [1000, 1000])
  const { id } = (await (await create(server.admin, ids)).json()) as { id: string }
  // The second update is the first word of how far it is; it waits before it has the row.
  await server.pool.query(`
    create sequence begun;
    create table noted (id bigserial, state text);
    create function delay() returns trigger language plpgsql as $$
      begin if nextval('begun') = 2 then perform pg_sleep(1); end if; return null; end $$;
    create function keep() returns trigger language plpgsql as $$
      begin insert into noted (state) select state from changed; return null; end $$;
    create trigger delay before update on archive_download for each statement execute function delay();
    create trigger keep after update on archive_download referencing new table as changed
      for each statement execute function keep()`)
  await (await server.admin.call(`/download/archives/${id}`)).arrayBuffer()
  const states = await eventually(async () => {
    const { rows } = await server.pool.query<{ state: string }>('select state from noted order by id')
    const found = rows.map(({ state }) => state)
    assert.ok(found.includes('done') && found.filter((state) => state === 'running').length >= 2, `${found}`)
    return found
  })
  assert.equal(states.at(-1), 'done')
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
