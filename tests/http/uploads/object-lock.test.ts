/**
 * Object Lock through the whole product: from the configuration to what the bucket holds and the status says.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eventually } from '../../support/eventually.ts'
import {
  bucketStatus,
  drained,
  photo,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../../support/server-with-bucket.ts'

let parts: ServerWithBucket
before(async () => {
  parts = await startServerWithBucket({
    objectLock: '{ mode: compliance, retentionDays: { originals: 20, databaseBackups: 40 } }',
    storage: 'locations: { previews: [s3] }\n',
  })
  await probed(parts.client)
})
after(() => parts.close())

/** The days for which each kind is locked, rounded; null: it is not. */
async function daysOfKinds(): Promise<Record<string, number | null>> {
  const found: Record<string, number | null> = {}
  for (const { key, version } of await parts.bucket.stored.versions()) {
    const kind = /^users\/.*\/([a-z-]+)\.[0-9a-f]{32}/.exec(key)?.[1]
    if (kind === undefined) continue
    const { retention } = version
    assert.ok(retention === undefined || retention.mode === 'COMPLIANCE')
    found[kind] =
      retention === undefined ? null : Math.round((Date.parse(retention.until) - Date.now()) / 86_400_000)
  }
  return found
}

test('the kinds that the configuration names are locked, and a deleted photo waits for its day', async () => {
  const { client } = parts
  const { id } = await client.upload(await photo(), 'locked.jpg')
  await drained(client, 60_000)
  await eventually(async () => {
    assert.deepEqual(await daysOfKinds(), { original: 20, preview: null })
  }, 30_000)

  const deleted = await client.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id], force: true }),
  })
  assert.equal(deleted.status, 204, await deleted.text())
  const { lock } = await eventually(async () => {
    const status = await bucketStatus(client)
    assert.equal(status.lock?.waiting.count, 1)
    return status
  }, 60_000)
  assert.equal(lock!.mode, 'compliance')
  const days = Math.round((Date.parse(lock!.waiting.until!) - Date.now()) / 86_400_000)
  assert.equal(days, 20)
  await eventually(async () => {
    assert.deepEqual(await daysOfKinds(), { original: 20 }, 'what is not locked is gone')
  }, 60_000)
  assert.equal((await bucketStatus(client)).health, 'healthy')
})
