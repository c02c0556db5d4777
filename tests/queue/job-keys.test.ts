import assert from 'node:assert/strict'
import test from 'node:test'
import { type RawBuilder, sql } from 'kysely'
import { enqueue } from '../../src/queue/enqueue.ts'
import { anyJobExists, countJobs, DEAD_JOBS, hasJob, jobExists } from '../../src/queue/find-jobs.ts'
import { jobKey, jobKeySql } from '../../src/queue/job-keys.ts'
import { JOB_RULES, type JobName } from '../../src/queue/job-types.ts'
import { testDatabase } from '../support/postgres.ts'

/** Payloads with all fields of all jobs: each name takes its own. */
const FIELDS = {
  ...{ assetId: 'a', uploadId: 'u', objectId: 'o', to: 't', from: 'f', at: 'x', locationId: 'l' },
  ...{ deliveryId: 'd', campaignId: 'c', worker: '1' },
}
const NAMES = Object.keys(JOB_RULES) as JobName[]
const FIELDS_SQL = Object.fromEntries(
  Object.entries(FIELDS).map(([field, value]) => [field, sql`${value}::text`]),
)

test('each job has a key of its own, and PostgreSQL writes the same one', async (t) => {
  const { db } = await testDatabase(t)
  const keys = NAMES.map((name) => jobKey(name, FIELDS as never))
  assert.equal(new Set(keys).size, NAMES.length)
  assert.equal(jobKey('evict-replica', { objectId: 'o', from: 'local' }), 'evict:o:local')
  for (const [index, name] of NAMES.entries()) {
    const { rows } = await sql<{
      key: string
    }>`select ${jobKeySql(name, FIELDS_SQL as never)} as key`.execute(db)
    assert.equal(rows[0]!.key, keys[index])
  }
})

test('a job is found by its name and payload, dead or not', async (t) => {
  const { db } = await testDatabase(t)
  const answers = async (question: RawBuilder<boolean>) =>
    (await sql<{ yes: boolean }>`select ${question} as yes`.execute(db)).rows[0]!.yes
  const payload = { objectId: sql`'o'::text`, at: sql`'s3'::text` }
  const asked = () =>
    Promise.all([
      hasJob(db, 'restore-replica', { objectId: 'o', at: 's3' }),
      answers(jobExists('restore-replica', payload)),
      answers(jobExists('restore-replica', payload, { orDead: false })),
      answers(anyJobExists(sql`select 'other' union all select ${jobKeySql('restore-replica', payload)}`)),
    ])
  assert.deepEqual(await asked(), [false, false, false, false])

  await enqueue(db, 'restore-replica', { objectId: 'o', at: 's3' })
  assert.deepEqual(await asked(), [true, true, true, true])
  assert.equal(await hasJob(db, 'restore-replica', { objectId: 'o', at: 'elsewhere' }), false)
  assert.deepEqual((await sql`select * from ${DEAD_JOBS} as job`.execute(db)).rows, [])

  await sql`update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'gone'`.execute(db)
  assert.deepEqual(await asked(), [true, true, false, true])
  const dead = await sql`select job.key, job.last_error from ${DEAD_JOBS} as job`.execute(db)
  assert.deepEqual(dead.rows, [{ key: 'restore:o:s3', last_error: 'gone' }])
})

test('jobs are counted by name, and by when they are due', async (t) => {
  const { db } = await testDatabase(t)
  const inAnHour = new Date(Date.now() + 3_600_000)
  await enqueue(db, 'replicate-object', { objectId: 'o', to: 's3' })
  await enqueue(db, 'evict-replica', { objectId: 'o', from: 'local' }, { runAt: inAnHour })
  await enqueue(db, 'purge-object', { objectId: 'o' })
  const moves = (dueWithinMs: number) =>
    countJobs(db, [{ name: 'replicate-object' }, { name: 'evict-replica', dueWithinMs }])
  assert.equal(await moves(60_000), 1)
  assert.equal(await moves(2 * 3_600_000), 2)
})
