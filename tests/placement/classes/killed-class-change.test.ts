import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { OperationName } from 'strict-s3/operation-names'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { until } from '../../support/eventually.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { countOf, heldClasses, passClassTime, startClassBucket } from '../../support/storage/class-bucket.ts'

const AHEAD_MS = 31 * 24 * 3_600_000
const CLASSES = { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } }
const SMALL = 200 * 1024
/** Put and copied in three parts. */
const LARGE = 11 * 1024 * 1024

async function start(t: TestContext, size: number) {
  const database = await testDatabase()
  const bucket = await startClassBucket()
  let aheadMs = 0
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [bucket.location],
    classes: CLASSES,
    now: () => new Date(Date.now() + aheadMs),
  })
  t.after(async () => {
    await rig.close()
    await bucket.close()
    await database.drop()
  })
  const { placement } = rig
  const objectId = await ingestBytes(placement, randomBytes(size))
  await replicateObject(placement, { objectId, to: 'bucket' })
  await evictReplica(placement, { objectId, from: 'local' })
  aheadMs = AHEAD_MS

  /** How many objects and unfinished uploads the bucket holds. */
  async function held() {
    const uploads = await bucket.server.stored.unfinishedUploads()
    return { objects: (await heldClasses(bucket.server)).size, uploads: uploads.length }
  }
  return {
    database,
    bucket,
    placement,
    replica: async () => (await loadObject(database.db, objectId))!.replicas[0]!,
    change: () => changeClass(placement, { objectId, at: 'bucket' }),
    /** The sweep of a later day. */
    async sweepLater() {
      await passClassTime(database.db)
      await sweepPlacement(placement)
    },
    async isWhole() {
      const hash = createHash('sha256')
      const servable = await findServable(placement, objectId)
      for await (const chunk of await servable.open()) hash.update(chunk as Buffer)
      assert.equal(hash.digest('hex'), servable.sha256)
    },
    held,
    async classChanges() {
      return (await database.pool.query('select from class_change')).rowCount
    },
    /**
     * Does it in another process, which hangs at that operation and is killed there, when the bucket holds
     * what is expected.
     */
    async killAt(
      does: 'change' | 'sweep',
      { at, commit, held: expected }: { at: OperationName; commit: boolean; held: object },
    ) {
      bucket.server.faults.add({
        match: { operation: at, key: /^users\// },
        times: 1,
        fault: { kind: 'hang', commit },
      })
      const reached = countOf(bucket.server, at)
      const parts = {
        databaseUrl: database.url,
        mediaLocation: rig.mediaLocation,
        settings: bucket.settings,
        features: bucket.location.backend.features,
        objectId,
        classes: CLASSES,
        aheadMs: AHEAD_MS,
        does,
      }
      const child = spawn(
        process.execPath,
        [join(import.meta.dirname, 'class-process.ts'), JSON.stringify(parts)],
        { stdio: ['ignore', 'inherit', 'inherit'] },
      )
      const exited = once(child, 'exit')
      await until(`the process reaches ${at}`, () => reached.hits > 0, 60_000)
      const isDone = async () => JSON.stringify(await held()) === JSON.stringify(expected)
      await until('what it asked for is done', isDone, 30_000)
      child.kill('SIGKILL')
      assert.deepEqual(await exited, [null, 'SIGKILL'], 'it was in the middle')
    },
  }
}

/** Where the process hangs when it is killed, and what the bucket then holds. */
type Moment = {
  name: string
  size: number
  at: OperationName
  commit: boolean
  held: { objects: number; uploads: number }
}
const copying: Moment[] = [
  ['before the copy is made', SMALL, 'CopyObject', false, 1, 0],
  ['when the copy is made', SMALL, 'CopyObject', true, 2, 0],
  ['before the copy is proven', SMALL, 'HeadObject', true, 2, 0],
  ['when its upload is begun', LARGE, 'CreateMultipartUpload', true, 1, 1],
  ['before its first part is copied', LARGE, 'UploadPartCopy', false, 1, 1],
  ['before its parts are one object', LARGE, 'CompleteMultipartUpload', false, 1, 1],
  ['when its parts are one object', LARGE, 'CompleteMultipartUpload', true, 2, 0],
].map(
  ([name, size, at, commit, objects, uploads]) =>
    ({ name, size, at, commit, held: { objects, uploads } }) as Moment,
)

for (const { name, size, ...moment } of copying) {
  test(`kill -9 ${name}: the old replica counts, and nothing of the copy stays`, async (t) => {
    const { placement, replica, isWhole, held, ...rig } = await start(t, size)
    const before = await replica()
    await rig.killAt('change', moment)

    assert.deepEqual(await replica(), before)
    await isWhole()
    await rig.sweepLater()
    assert.deepEqual(await replica(), before)
    await isWhole()
    assert.deepEqual(await held(), { objects: 1, uploads: 0 })

    // What the dead process had asked for may be carried out late.
    const { multipart, copies } = rig.bucket.location.backend
    const { rows } = await rig.database.pool.query('select to_key from class_change')
    const late = rows[0].to_key
    await copies!.copy(before.key, late, { storageClass: 'STANDARD_IA', size })
    await multipart!.begin(late)
    await sweepPlacement(placement)
    assert.deepEqual(await held(), { objects: 2, uploads: 1 }, 'it is not time yet')
    await rig.sweepLater()
    assert.deepEqual(await held(), { objects: 1, uploads: 0 })
    assert.equal(await rig.classChanges(), 0)

    await rig.change()
    await isWhole()
    await rig.sweepLater()
    await isWhole()
    assert.deepEqual([...(await heldClasses(rig.bucket.server))], [[(await replica()).key, 'STANDARD_IA']])
    assert.equal(await rig.classChanges(), 0)
  })
}

const clearing: Moment[] = [
  {
    name: 'before the old bytes go',
    size: SMALL,
    at: 'DeleteObject',
    commit: false,
    held: { objects: 2, uploads: 0 },
  },
  {
    name: 'when the old bytes are gone',
    size: SMALL,
    at: 'DeleteObject',
    commit: true,
    held: { objects: 1, uploads: 0 },
  },
]

for (const { name, size, ...moment } of clearing) {
  test(`kill -9 ${name}: the new replica counts, and the rest is cleared`, async (t) => {
    const { replica, isWhole, held, ...rig } = await start(t, size)
    const before = await replica()
    await rig.change()
    const after = await replica()
    assert.notEqual(after.key, before.key)
    await passClassTime(rig.database.db)
    await rig.killAt('sweep', moment)
    assert.deepEqual(await replica(), after)
    await isWhole()
    await rig.sweepLater()
    await isWhole()
    assert.deepEqual([...(await heldClasses(rig.bucket.server))], [[after.key, 'STANDARD_IA']])
    assert.equal(await rig.classChanges(), 0)
  })
}
