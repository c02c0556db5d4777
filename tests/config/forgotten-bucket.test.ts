/** A process that shares the database, and whose configuration forgot the bucket: a worker in a container. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startStrictS3 } from 'strict-s3'
import { type App, buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { silentLog } from '../../src/log.ts'
import { replicateObject } from '../../src/placement/lifecycle/replicate.ts'
import { ingestBytes, placesOf } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'

test('whoever has a bucket and forgot to name it gets no demonstration bucket: new files stay on the disk', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-forgotten-'))
  const database = await testDatabase()
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
  const bucket = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
  t.after(async () => {
    await database.drop()
    await bucket.close()
    await rm(folder, { recursive: true })
  })
  const dataDir = join(folder, 'data')
  const file = join(folder, 'glassine.yaml')
  const withApp = async (s3: string, use: (app: App) => Promise<void>) => {
    await writeFile(file, `database: { url: "${database.url}" }\nstorage: {${s3}}\n`)
    const app = await buildApp(loadConfig({ GLASSINE_DATA: dataDir, GLASSINE_CONFIG: file }), silentLog)
    await use(app).finally(() => app.close())
  }
  const { accessKeyId, secretAccessKey } = credentials
  const named = `s3: { endpoint: "${bucket.endpoint}", bucket: photos, region: us-east-1, accessKeyId: ${accessKeyId}, secretAccessKey: ${secretAccessKey} }`

  await withApp(named, async ({ placement }) => {
    assert.deepEqual(placement.policy.original, ['s3'])
    const objectId = await ingestBytes(placement, randomBytes(10_000))
    await replicateObject(placement, { objectId, to: 's3' })
  })
  await withApp('', async ({ placement, demonstrationBucket, db }) => {
    assert.equal(demonstrationBucket, null)
    assert.deepEqual(placement.policy.original, ['local'])
    const objectId = await ingestBytes(placement, randomBytes(10_000))
    assert.deepEqual(await placesOf(db, objectId), ['local verified'])
  })
  assert.ok(!existsSync(join(dataDir, 'demonstration-bucket')))
  await withApp(named, async ({ placement }) => assert.deepEqual(placement.policy.original, ['s3']))
})
