/** A reload gives a folder another path, while somebody looks at the folder under the first one. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { silentLog } from '../../../src/log.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Location } from '../../../src/placement/location.ts'
import { forgetLooks, isOwned } from '../../../src/placement/locations/counter/confirmations.ts'
import { applyDrains, forgetDrains } from '../../../src/placement/locations/drains.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import { reconfigurePlacement } from '../../../src/placement/open.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { eventually } from '../../support/eventually.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

test('a look at a folder says nothing of the folder that a reload put in its place', async (t) => {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-changed-path-'))
  const [first, empty] = [join(folder, 'first'), join(folder, 'empty')]
  for (const path of [first, empty]) await mkdir(path)
  const looking = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  let isSlow = false
  const folderAt = (root: string): Location => {
    const disk = openDiskBackend({ root, log: silentLog, makesRoot: false })
    const backend = Object.create(disk) as typeof disk
    backend.readMarker = async (...given) => {
      if (isSlow && root === first) {
        looking.resolve()
        await goOn.promise
      }
      return disk.readMarker(...given)
    }
    return locationOfBackend('nas', 'disk', backend)
  }
  const before = folderAt(first)
  const rig = await testPlacement(database.db, { remotes: [], extra: [before], originals: ['nas'] })
  t.after(async () => {
    await rig.close()
    await database.drop()
    await rm(folder, { recursive: true })
  })
  const { placement } = rig
  const objectId = await ingestBytes(placement, randomBytes(2_000))

  forgetLooks(placement)
  isSlow = true
  const look = confirmLocation(placement, before)
  const refused = assert.rejects(look, { code: 'unavailable' })
  await looking.promise
  const after = folderAt(empty)
  const { policy, minCopies, classes, delivery } = placement
  const { troubles } = await reconfigurePlacement(placement, {
    ...{ policy, minCopies, classes, delivery, settings: {} },
    locations: [placement.local, after],
  })
  assert.deepEqual(
    troubles.map(({ location }) => location),
    ['nas'],
  )
  goOn.resolve()
  await refused

  assert.equal(isOwned(placement, 'nas'), false)
  await assert.rejects(confirmLocation(placement, after), { code: 'conflict' })
  await assert.rejects(replicateObject(placement, { objectId, to: 'nas' }), { code: 'conflict' })
  assert.deepEqual(await readdir(empty), [])
  assert.deepEqual(await placesOf(database.db, objectId), ['local verified'])
})

test('a reload that fails in the database leaves everything as it was', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, { remotes: ['s3'] })
  t.after(async () => {
    await rig.close()
    await database.drop()
  })
  const { placement } = rig
  const before = { ...placement }
  const added = locationOfBackend('second', 'memory', openMemoryBackend())
  const { minCopies, classes, delivery } = placement
  const reload = () =>
    reconfigurePlacement(placement, {
      ...{ minCopies, classes, delivery, settings: {} },
      policy: policyOf(['second']),
      locations: [...before.locations.values(), added],
    })
  await sql`alter schema graphile_worker rename to worker_away`.execute(database.db)
  await assert.rejects(reload(), /graphile_worker/)
  await sql`alter schema worker_away rename to graphile_worker`.execute(database.db)
  assert.equal(placement.locations, before.locations)
  assert.deepEqual(placement.policy, before.policy)
  const home = () =>
    sql<{ ids: string[] }>`
    select location_ids as ids from home where kind = 'original'`.execute(database.db)
  assert.deepEqual((await home()).rows, [{ ids: ['s3'] }])
  await reload()
  assert.deepEqual((await home()).rows, [{ ids: ['second'] }])
  assert.deepEqual(placement.policy.original, ['second'])
})

test('drains that are applied while a reload ends begin from its rules', async (t) => {
  const database = await testDatabase()
  const rig = await testPlacement(database.db, { remotes: ['s3', 'second', 'third'] })
  t.after(async () => {
    await rig.close()
    await database.drop()
  })
  const { placement } = rig
  const { db } = database
  const { minCopies } = placement
  const lock = await database.pool.connect()
  await lock.query('begin; lock table home in access exclusive mode')
  await sql`update location set drain_begun_at = now(), drain_files = 0, drain_bytes = 0 where id = 'third'`.execute(
    db,
  )
  const applying = applyDrains(placement)
  await eventually(async () => {
    const { rows } = await sql`select from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock'`.execute(db)
    assert.equal(rows.length, 1)
  })
  const policy = policyOf(['second', 'third'])
  Object.assign(placement, { policy, configured: { policy, minCopies } })
  forgetDrains(placement)
  await lock.query('commit')
  lock.release()
  await applying
  assert.deepEqual(placement.policy.original, ['second'])
  const { rows } = await sql`select location_ids as ids from home where kind = 'original'`.execute(db)
  assert.deepEqual(rows, [{ ids: ['second'] }])
})
