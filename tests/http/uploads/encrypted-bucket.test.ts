/** A key of ours (SSE-C) through the whole product: from the configuration to the bucket and back. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { eventually } from '../../support/eventually.ts'
import {
  bucketStatus,
  drained,
  photo,
  probed,
  probeNow,
  receiptOf,
  type ServerWithBucket,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'

let parts: ServerWithBucket
let folder: string
const key = randomBytes(32)
const writeKey = (bytes: Buffer) => writeFile(join(folder, 'key'), `${bytes.toString('base64')}\n`)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-key-'))
  await writeKey(key)
  parts = await startServerWithBucket({ encryption: `{ type: sse-c, keyFile: "${folder}/key" }` })
  await probed(parts.client)
})
after(async () => {
  await parts.close()
  await rm(folder, { recursive: true, force: true })
})

async function original(id: string): Promise<{ status: number; bytes: Buffer }> {
  const answer = await parts.client.call(`/assets/${id}/original`)
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()) }
}

test('a photo is kept in the bucket under the key alone, and a wrong key takes nothing away', async () => {
  const { client } = parts
  const bytes = await photo()
  const { id } = await client.upload(bytes, 'secret.jpg')
  await drained(client, 60_000)
  for (const { key: held, version } of await parts.bucket.stored.versions())
    assert.equal(version.encryption?.algorithm, 'customer', held)
  assert.deepEqual(await original(id), { status: 200, bytes })
  const { replicas } = await receiptOf(client, id)
  await parts.server.stop()
  const held = await parts.bucket.stored.objects()
  await writeKey(randomBytes(32))
  await parts.start()
  await eventually(async () => {
    const { health, error } = await bucketStatus(client)
    assert.equal(health, 'unhealthy')
    assert.match(error ?? '', /fingerprint [0-9a-f]{16}/)
  }, 60_000)
  const { status } = await original(id)
  assert.ok(status >= 500, `answered ${status}`)
  assert.deepEqual((await receiptOf(client, id)).replicas, replicas)
  assert.deepEqual(await parts.bucket.stored.objects(), held)

  await parts.server.stop()
  await writeKey(key)
  await parts.start()
  assert.deepEqual(await original(id), { status: 200, bytes })
  await probeNow(client)
  assert.equal((await bucketStatus(client)).health, 'healthy')
  for (const form of ['base64', 'hex'] as const)
    assert.ok(!parts.server.output().includes(key.toString(form)), 'the log holds the key')
})
