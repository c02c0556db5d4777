import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { changeClass } from '../../src/placement/change-class.ts'
import { evictReplica } from '../../src/placement/evict.ts'
import { loadObject } from '../../src/placement/replicas.ts'
import { replicateObject } from '../../src/placement/replicate.ts'
import { findServable } from '../../src/placement/serve.ts'
import { sweepPlacement } from '../../src/placement/sweep.ts'
import type { OperationName } from '../../src/strict-s3/route.ts'
import { until } from '../queue/handlers.ts'
import { countOf, heldClasses, startClassBucket } from '../support/class-bucket.ts'
import { ingestBytes, testPlacement } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'

const AHEAD_MS = 31 * 24 * 3_600_000
const CLASSES = { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } }

/** Where the process hangs when it is killed, and what the ledger and the bucket then hold. */
const moments: { at: OperationName; commit: boolean; name: string; turned: boolean; held: number }[] = [
  { name: 'before the copy is made', at: 'CopyObject', commit: false, turned: false, held: 1 },
  { name: 'when the copy is made', at: 'CopyObject', commit: true, turned: false, held: 2 },
  { name: 'before the copy is proven', at: 'HeadObject', commit: true, turned: false, held: 2 },
  { name: 'before the old bytes go', at: 'DeleteObject', commit: false, turned: true, held: 2 },
  { name: 'when the old bytes are gone', at: 'DeleteObject', commit: true, turned: true, held: 1 },
]

for (const { name, at, commit, turned, held } of moments) {
  test(`kill -9 ${name}: the replica that counts is whole, and the rest is cleared`, async (t) => {
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
    const bytes = randomBytes(200 * 1024)
    const objectId = await ingestBytes(rig.placement, bytes)
    await replicateObject(rig.placement, { objectId, to: 'bucket' })
    await evictReplica(rig.placement, { objectId, from: 'local' })
    const replica = async () => (await loadObject(database.db, objectId))!.replicas[0]!
    const isWhole = async () => {
      const hash = createHash('sha256')
      const servable = await findServable(rig.placement, objectId)
      for await (const chunk of await servable.open()) hash.update(chunk as Buffer)
      assert.equal(hash.digest('hex'), servable.sha256)
    }
    const before = await replica()

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
    }
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'class-process.ts'), JSON.stringify(parts)],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    )
    const exited = once(child, 'exit')
    await until(`the process reaches ${at}`, () => reached.hits > 0, 60_000)
    await until(
      'what it asked for is done',
      async () => (await heldClasses(bucket.server)).size === held,
      30_000,
    )
    child.kill('SIGKILL')
    assert.deepEqual(await exited, [null, 'SIGKILL'], 'it was in the middle')

    assert.equal((await replica()).key !== before.key, turned)
    await isWhole()
    await database.pool.query("update class_change set lease_expires_at = now() - interval '1 second'")
    await sweepPlacement(rig.placement)
    await isWhole()
    const after = await replica()
    assert.deepEqual([...(await heldClasses(bucket.server)).keys()], [after.key])

    aheadMs = AHEAD_MS
    await changeClass(rig.placement, { objectId, at: 'bucket' })
    await isWhole()
    assert.deepEqual([...(await heldClasses(bucket.server)).values()], ['STANDARD_IA'])
    const { rowCount } = await database.pool.query('select from class_change')
    assert.equal(rowCount, 0)
  })
}
