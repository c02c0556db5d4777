import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log } from '../../../src/log.ts'
import { recordHealth } from '../../../src/placement/locations/locations.ts'
import { recentOutages } from '../../../src/placement/locations/outage-log.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('an outage is one event and two lines, however often it is noticed; it ends, and says how much waited', async (t) => {
  const database = await testDatabase(t)
  const lines: string[] = []
  const note = (level: string) => (_: object, message: string) => void lines.push(`${level} ${message}`)
  const log: Log = { debug() {}, info: note('info'), warn: note('warn'), error: note('error') }
  const { placement, close } = await testPlacement(database.db, { log })
  database.beforeDrop(close)
  lines.length = 0
  const away = (error: string) => recordHealth(placement, 's3', error, { isAway: true })

  await Promise.all([away('no answer'), away('no answer'), away('still none')])
  await away('another reason')
  for (const objectId of ['a', 'b']) await enqueue(database.db, 'replicate-object', { objectId, to: 's3' })
  await database.pool.query(
    "update graphile_worker._private_jobs set attempts = 1, run_at = now() + interval '1 hour'",
  )
  const [lasting, ...none] = await recentOutages(database.db)
  assert.deepEqual(none, [])
  assert.deepEqual([lasting!.location, lasting!.endedAt, lasting!.waited], ['s3', null, 0])
  await recordHealth(placement, 's3', null)
  await recordHealth(placement, 's3', null)
  const [over] = await recentOutages(database.db)
  assert.ok(over!.endedAt !== null && over!.endedAt >= over!.startedAt)
  assert.equal(over!.waited, 2)
  assert.equal(lines.length, 2, lines.join('\n'))
  assert.match(lines[0]!, /^warn an outage begins: .*\((no answer|still none)\)$/)
  assert.match(lines[1]!, /^info an outage is over: .*after \d+ s; 2 jobs that waited for it go on now$/)

  // A copy of an installation forgets how the original's places were.
  await away('gone again')
  await database.pool.query("update location set is_healthy = null where id = 's3'")
  await recordHealth(placement, 's3', null)
  assert.ok((await recentOutages(database.db)).every(({ endedAt }) => endedAt !== null))
})
