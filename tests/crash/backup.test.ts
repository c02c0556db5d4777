/** kill -9 of a server in the middle of a backup: no half of it counts, and it is made again. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { knownBackups } from '../../src/placement/backups/backup-rows.ts'
import { enqueue } from '../../src/queue/enqueue.ts'
import { eventually } from '../support/eventually.ts'
import {
  probed,
  type ServerWithBucket,
  staged,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'

const LIMIT_MS = 120_000
let site: ServerWithBucket

before(async () => {
  site = await startServerWithBucket({})
  await probed(site.client)
})
after(() => site?.close())

test('a killed backup leaves a staged file and nothing that counts; the job makes it anew', {
  timeout: 240_000,
}, async () => {
  const { db, pool } = site.database!
  // So large that there is time to kill.
  await pool.query(`insert into used_key (location_id, key)
    select 'a', (select string_agg(md5(random()::text || n || m), '') from generate_series(1, 60) m)
    from generate_series(1, 20000) n`)
  const backups = async () =>
    (await site.bucket.stored.objects()).filter(({ key }) => key.startsWith('backups/'))
  for (let round = 0; round < 2; round += 1) {
    const leftBefore = (await staged(site.mediaLocation)).length
    await enqueue(db, 'back-up-database', {})
    await eventually(async () => {
      const names = await staged(site.mediaLocation)
      if (names.length === leftBefore) throw new Error('not begun')
    }, LIMIT_MS)
    await site.server.kill9()
    assert.equal((await staged(site.mediaLocation)).length, leftBefore + 1)
    assert.deepEqual(await knownBackups(db), [])
    assert.deepEqual(await backups(), [])
    // The second time it is let finish: the job of the dead worker is taken over.
    await site.start()
    if (round === 0)
      await pool.query("delete from graphile_worker._private_jobs where key = 'back-up-database'")
  }
  await eventually(async () => {
    const [made] = await knownBackups(db)
    assert.deepEqual(
      made?.at.map(({ locationId }) => locationId),
      ['s3'],
    )
  }, LIMIT_MS)
  assert.equal((await knownBackups(db)).length, 1)
  assert.equal((await backups()).length, 1)
})
