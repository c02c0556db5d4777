import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { describeClasses } from '../../../src/cli/storage/classes.ts'
import { styleFor } from '../../../src/cli/text.ts'
import { sweepClasses } from '../../../src/placement/classes/sweep-classes.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { classReport } from '../../../src/placement/reports/class-report.ts'
import { scrubStatuses } from '../../../src/placement/scrub/scrub-passes.ts'
import { ingestBytes, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { startClassBucket } from '../../support/storage/class-bucket.ts'

const DAY_MS = 24 * 3_600_000

test('the daily sweep enqueues what the rules move, once; the report says the same and asks the bucket nothing', async (t) => {
  const database = await testDatabase()
  const bucket = await startClassBucket()
  let aheadMs = 0
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [{ ...bucket.location, provider: 'aws' }],
    classes: {
      original: {
        class: 'STANDARD',
        rules: [
          { olderThanDays: 30, class: 'STANDARD_IA' },
          { olderThanDays: 40, class: 'DEEP_ARCHIVE' },
        ],
      },
    },
    now: () => new Date(Date.now() + aheadMs),
  })
  t.after(async () => {
    await rig.close()
    await bucket.close()
    await database.drop()
  })
  for (const size of [1000, 200 * 1024, 300 * 1024]) {
    const objectId = await ingestBytes(rig.placement, randomBytes(size))
    await replicateObject(rig.placement, { objectId, to: 'bucket' })
    await evictReplica(rig.placement, { objectId, from: 'local' })
  }
  const jobs = async () => {
    const { rows } = await database.pool.query<{ payload: object }>(
      "select payload from graphile_worker._private_jobs where key like 'class:%'",
    )
    return rows.length
  }
  assert.equal(await sweepClasses(rig.placement), 0)
  aheadMs = 35 * DAY_MS
  const requests = bucket.server.counts.total
  const report = await classReport(rig.placement)
  assert.equal(bucket.server.counts.total, requests)
  assert.deepEqual(
    report.changes.map(({ from, to, why, count, bytes }) => [from, to, why, count, bytes]),
    [['STANDARD', 'STANDARD_IA', null, 2, 500 * 1024]],
  )
  assert.equal(report.changes[0]!.price!.once.amount, 0.00002)
  const text = describeClasses(report, styleFor(false, true))
  assert.match(text, /^2 files would change class\./)
  assert.match(text, /under 0\.01 USD/)

  const stopped = AbortSignal.abort(new Error('the worker stops'))
  await assert.rejects(sweepClasses(rig.placement, stopped), /the worker stops/)
  assert.equal(await jobs(), 0)
  assert.equal(await sweepClasses(rig.placement), 2)
  assert.equal(await sweepClasses(rig.placement), 2)
  assert.equal(await jobs(), 2)

  // In IA for five days only when the next rule comes: it waits until the 30 days are paid for.
  await database.pool.query(
    "update replica set storage_class = 'STANDARD_IA', class_since = now() + interval '35 days' where storage_class is null",
  )
  aheadMs = 41 * DAY_MS
  const later = await classReport(rig.placement)
  assert.deepEqual(later.changes.map(({ to, why, count }) => [to, why, count]).sort(), [
    ['DEEP_ARCHIVE', 'too-soon', 2],
    ['STANDARD', 'too-soon', 1],
  ])
})

test('a day asks for 20,000 changes; the next goes on behind them, and all get their turn', async (t) => {
  const database = await testDatabase(t)
  const bucket = await startClassBucket()
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [bucket.location],
    classes: { original: { class: 'STANDARD', rules: [{ olderThanDays: 30, class: 'STANDARD_IA' }] } },
  })
  t.after(async () => {
    await rig.close()
    await bucket.close()
  })
  // Rows alone; what a sweep reads of each is the same. An ingested object makes the locations known.
  const sample = await ingestBytes(rig.placement, randomBytes(200 * 1024))
  await replicateObject(rig.placement, { objectId: sample, to: 'bucket' })
  await database.pool.query(
    `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension, is_linked, created_at)
     select gen_random_uuid(), gen_random_uuid(), 'original', 200000, sha256(n::text::bytea), 'image/jpeg', 'jpg', true,
       now() - interval '40 days'
     from generate_series(1, 20500) n`,
  )
  await database.pool.query(
    `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
     select id, 'bucket', 'users/a/' || id, 'writing', 'test', now() from stored_object where created_at < now() - interval '1 day'`,
  )
  await database.pool.query(
    `update replica set state = 'verified', proof_level = 3, proof = '{"method":"attested"}', verified_at = now(),
       lease_expires_at = null
     where state = 'writing'`,
  )
  // As autovacuum does: plans are made for tables as they were, else.
  await database.pool.query('analyze')
  const asked = async () => {
    const { rows } = await database.pool.query<{ id: string }>(
      `delete from graphile_worker._private_jobs where key like 'class:%' returning payload ->> 'objectId' as id`,
    )
    return new Set(rows.map(({ id }) => id))
  }
  // None of them is done by the next day, as if all failed.
  assert.equal(await sweepClasses(rig.placement), 20_000)
  const first = await asked()
  assert.equal(first.size, 20_000)
  assert.equal(await sweepClasses(rig.placement), 20_000)
  const second = await asked()
  assert.equal(new Set([...first, ...second]).size, 20_500)

  // What was tried in vain is left out for a while, and takes nobody's turn.
  await database.pool.query(
    `insert into class_refusal (object_id, location_id, to_class, reason, refused_until)
     select object_id, location_id, 'STANDARD_IA', 'test', now() + interval '1 day' from replica where key like 'users/a/%'
     order by object_id limit 20400`,
  )
  await database.pool.query('analyze class_refusal')
  assert.equal(await sweepClasses(rig.placement), 100)
  assert.equal(await sweepClasses(rig.placement), 100, 'from the start again')
})

test('a bucket with rules of its own keeps to them, the others to those of all', async (t) => {
  const database = await testDatabase()
  const [first, second] = [await startClassBucket(), await startClassBucket()]
  const cold = { class: 'STANDARD_IA', rules: [] }
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket', 'cold'],
    extra: [
      first.location,
      {
        ...second.location,
        id: 'cold',
        identity: 'test cold',
        classes: { original: cold },
        scrub: { bytes: 5_000, money: null },
      },
    ],
    settings: { scrubBucketBytes: 9_000 },
  })
  t.after(async () => {
    await rig.close()
    await first.close()
    await second.close()
    await database.drop()
  })
  const objectId = await ingestBytes(rig.placement, randomBytes(200 * 1024))
  for (const to of ['bucket', 'cold']) await replicateObject(rig.placement, { objectId, to })
  const classes = async () => {
    const { rows } = await database.pool.query(
      "select location_id || ' ' || coalesce(storage_class, 'STANDARD') as at from replica where location_id <> 'local' order by 1",
    )
    return rows.map(({ at }) => at)
  }
  assert.deepEqual(await classes(), ['bucket STANDARD', 'cold STANDARD_IA'], 'fresh files')
  Object.assign(cold, { class: 'GLACIER_IR' })
  Object.assign(rig.placement.locations.get('bucket')!, { classes: {} })
  rig.placement.now = () => new Date(Date.now() + 31 * DAY_MS)
  assert.deepEqual(
    (await classReport(rig.placement)).changes.map(({ locationId, to, why }) => [locationId, to, why]),
    [['cold', 'GLACIER_IR', null]],
  )
  const scrubs = await scrubStatuses(rig.placement)
  assert.deepEqual([scrubs.get('cold')?.monthlyBytes, scrubs.get('bucket')?.monthlyBytes], [5_000, 9_000])
})
