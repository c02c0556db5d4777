/**
 * kill -9 at each step of taking over a bucket after an older database was put back. The bucket holds the
 * request of that step, so that the kill is known to have cut it. The snapshot is from during offloads: its
 * rows say that nothing has arrived, and the local files are gone. In the end every original that was
 * acknowledged before the snapshot reads back, those of after it are in the bucket, where the ledger does not
 * know them, and nothing was removed or overwritten there.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { FaultPlan } from 'strict-s3/faults'
import { type Client, connectClient } from '../support/client.ts'
import { restoreSnapshot, takeSnapshot } from '../support/database/ledger-snapshot.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { testDatabase } from '../support/postgres.ts'
import { drained, heldKeys, probed, statusOf } from '../support/server-with-bucket.ts'
import { type SpawnedServer, spawnServer, WRITE_LEASE_SECONDS } from '../support/spawn-server.ts'

const LIMIT_MS = 120_000
const COUNTER = '.glassine-counter'
const OF_OURS = /^users\//

/** `isRunning`: the takeover has begun before, and goes on by itself at the start. */
const STEPS: { name: string; isRunning: boolean; plan: FaultPlan }[] = [
  {
    name: 'before the counter is compared',
    isRunning: false,
    plan: { match: { operation: 'GetObject', key: COUNTER }, fault: { kind: 'hang' } },
  },
  {
    name: 'before the counter is put',
    isRunning: false,
    plan: { match: { operation: 'PutObject', key: COUNTER }, fault: { kind: 'hang' } },
  },
  {
    name: 'when the counter is put and nobody knows',
    isRunning: false,
    plan: { match: { operation: 'PutObject', key: COUNTER }, fault: { kind: 'hang', commit: true } },
  },
  {
    name: 'while it lists',
    isRunning: false,
    plan: { match: { operation: 'ListObjectsV2' }, fault: { kind: 'hang' } },
  },
  {
    name: 'at the first comparison of the job',
    isRunning: true,
    plan: { match: { operation: 'GetObject', key: COUNTER }, fault: { kind: 'hang' } },
  },
  {
    name: 'at the first file that is looked at',
    isRunning: true,
    plan: { match: { key: OF_OURS }, fault: { kind: 'hang' } },
  },
  {
    name: 'at the third file that is looked at',
    isRunning: true,
    plan: { match: { key: OF_OURS }, after: 2, fault: { kind: 'hang' } },
  },
  {
    name: 'at the last comparison of the job',
    isRunning: true,
    plan: { match: { operation: 'GetObject', key: COUNTER }, after: 1, fault: { kind: 'hang' } },
  },
]

type Ledger = { conflict: string | null; adoption: { state: string; report: Report } | null }
type Report = Record<'adopted' | 'confirmed' | 'unknown' | 'wrong', { count: number }>

test('A1: a takeover that kill -9 cuts at every step loses no acknowledged original, and removes nothing', {
  timeout: 600_000,
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-crash-adopt-'))
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  const database = await testDatabase()
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: { accessKeyId: 'crash', secretAccessKey: 'crash-secret' },
    buckets: ['photos'],
  })
  const config = `database: { url: "${database.url}" }
storage:
  s3:
    endpoint: ${bucket.endpoint}
    bucket: photos
    region: us-east-1
    accessKeyId: crash
    secretAccessKey: crash-secret
  upload: { writeLeaseSeconds: ${WRITE_LEASE_SECONDS} }
`
  const port = await freePort()
  let server: SpawnedServer | null = null
  const start = async () => {
    server = await spawnServer({ dataDir, config, port })
    return connectClient(server.url)
  }
  try {
    let client = await start()
    await probed(client)
    const manifest = new Map<string, string>()
    for (let count = 0; count < 3; count += 1) manifest.set(...(await upload(client)))
    await drained(client, LIMIT_MS)

    const release = Promise.withResolvers<void>()
    const puts = bucket.faults.add({
      match: { operation: 'PutObject', key: OF_OURS },
      fault: { kind: 'hold', until: release.promise },
    })
    for (let count = 0; count < 4; count += 1) manifest.set(...(await upload(client)))
    await eventually(() => assert.ok(puts.hits >= 3, `${puts.hits} puts are held`), LIMIT_MS)
    const snapshot = await takeSnapshot(database.pool)
    puts.remove()
    release.resolve()
    await drained(client, LIMIT_MS)

    // The next start advances the counters; what is uploaded then is known to nobody after the restore.
    await server!.stop()
    client = await start()
    const later: string[] = []
    for (let count = 0; count < 2; count += 1) later.push((await upload(client))[1])
    await drained(client, LIMIT_MS)
    await server!.stop()
    await restoreSnapshot(database.pool, snapshot)
    await database.pool.query(
      `update replica set lease_expires_at = now() - interval '1 minute' where state = 'writing'`,
    )
    const before = await digests(bucket)
    client = await start()
    await eventually(
      async () => assert.equal((await ledgerOf(client, 's3')).conflict, 'another-ledger'),
      LIMIT_MS,
    )
    await server!.stop()

    for (const { name, isRunning, plan } of STEPS) {
      const cut = bucket.faults.add({ ...plan, times: 1 })
      client = await start()
      const ledger = await ledgerOf(client, 's3')
      assert.equal(ledger.conflict, 'another-ledger', name)
      assert.equal(ledger.adoption?.state === 'running', isRunning, name)
      const asked = client.call('/storage/locations/s3/adoption', { method: 'POST' }).then(
        (answer) => answer.status,
        () => 'cut',
      )
      await eventually(() => assert.equal(cut.hits, 1, name), LIMIT_MS)
      await server!.kill9()
      t.diagnostic(`killed ${name}; the request was answered: ${await asked}`)
      bucket.faults.clear()
      assert.deepEqual(await digests(bucket), before, `nothing changed in the bucket: killed ${name}`)
    }

    client = await start()
    for (const location of ['s3', 'local']) {
      if ((await ledgerOf(client, location)).conflict !== null) {
        const answer = await client.call(`/storage/locations/${location}/adoption`, { method: 'POST' })
        assert.ok([202, 409].includes(answer.status), `${location}: ${answer.status}`)
      }
      await eventually(async () => {
        const { conflict, adoption } = await ledgerOf(client, location)
        assert.deepEqual([location, conflict, adoption?.state], [location, null, 'done'])
      }, LIMIT_MS)
    }
    const { report } = (await ledgerOf(client, 's3')).adoption!
    assert.equal(report.wrong.count, 0)
    assert.equal(report.unknown.count, later.length)
    await drained(client, LIMIT_MS)
    for (const [assetId, sha256] of manifest)
      assert.equal(await client.sha256OfOriginal(assetId), sha256, `asset ${assetId}`)
    const after = await digests(bucket)
    for (const [key, sha256] of before) assert.equal(after.get(key), sha256, `${key} is as it was`)
    for (const sha256 of later) assert.ok([...after.values()].includes(sha256), 'what came later is there')
    await server!.stop()
    server = null
  } finally {
    await (server as SpawnedServer | null)?.kill9()
    await bucket.close()
    await database.drop()
    await rm(folder, { recursive: true, force: true })
  }
})

async function upload(client: Client): Promise<[assetId: string, sha256: string]> {
  const bytes = randomBytes(20_000)
  const { id, status } = await client.upload(bytes, 'photo.jpg')
  assert.equal(status, 'created')
  return [id, createHash('sha256').update(bytes).digest('hex')]
}

async function ledgerOf(client: Client, locationId: string): Promise<Ledger> {
  const { locations } = (await statusOf(client)) as unknown as { locations: { id: string; ledger: Ledger }[] }
  return locations.find(({ id }) => id === locationId)!.ledger
}

/** Of every object of ours in the bucket, by key. */
async function digests(bucket: StrictS3): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const key of await heldKeys(bucket, 'photos'))
    found.set(
      key,
      createHash('sha256')
        .update(await bucket.stored.bytes(key))
        .digest('hex'),
    )
  return found
}
