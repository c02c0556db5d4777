/** What can't be believed of a location never makes a file one that belongs to nothing. */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { sql } from 'kysely'
import { silentLog } from '../../../src/log.ts'
import { collectDue } from '../../../src/placement/collect/collect-due.ts'
import { decideCollection } from '../../../src/placement/collect/decide.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import type { ObjectInfo } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'
import { ofOurs, replace, startLockedBucket } from '../../support/storage/locked-bucket.ts'
import {
  bytesBody,
  DAY_MS,
  passDays,
  planOf,
  startStrayRig,
  strayKey,
  withBackend,
} from '../../support/storage/strays.ts'

const straysOf = async (placement: Placement) =>
  (await placement.db.selectFrom('stray').select('key').execute()).length

test('a listing that does not show the marker of its location is no sighting, at its beginning or at its end', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  for (const blindAt of [1, 2]) {
    let asked = 0
    const blind = withBackend(rig.placement, 's3', () => ({
      listsMarker: async () => {
        asked += 1
        return asked !== blindAt
      },
    }))
    await rig.list('s3', blind)
    assert.equal(asked, 2)
    assert.equal(await straysOf(rig.placement), 0)
    const { refusal, collect } = await rig.plan()
    assert.deepEqual([refusal, collect], ['unsound', null])
  }
  await rig.list()
  assert.equal((await rig.plan()).refusal, null)
})

test('the place becomes another one while it is listed: that listing is no sighting, also when it is gone on with', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  const { backend } = rig.bucket.location
  const marker = (await backend.readMarker())!
  const swapped = withBackend(rig.placement, 's3', (inner) => ({
    async *list(...given: Parameters<typeof inner.list>): AsyncGenerator<ObjectInfo> {
      yield* inner.list(...given)
      await backend.writeMarker(randomUUID())
    },
  }))
  await assert.rejects(rig.list('s3', swapped), { code: 'conflict' })
  assert.equal((await rig.plan()).refusal, 'being-listed')
  await backend.writeMarker(marker)
  await rig.list()
  assert.deepEqual([await straysOf(rig.placement), (await rig.plan()).refusal], [0, 'unsound'])
})

test('an empty listing forgets what was seen, and one that leaves out most files is refused', async (t) => {
  const rig = await startStrayRig(t)
  for (let n = 0; n < 3; n += 1) await rig.offloaded()
  await rig.stray()
  await rig.seeTwice()
  assert.equal((await rig.plan()).collect!.files, 1)
  const names = (await sql<{ key: string }>`select key from replica`.execute(rig.db)).rows.map(
    ({ key }) => key,
  )
  const partial = withBackend(rig.placement, 's3', (inner) => ({
    async *list(...given: Parameters<typeof inner.list>): AsyncGenerator<ObjectInfo> {
      for await (const one of inner.list(...given)) if (!names.includes(one.key)) yield one
    },
  }))
  await sql`update replica set verified_at = now() - interval '1 hour'`.execute(rig.db)
  await passDays(rig.db, 1)
  await rig.list('s3', partial)
  assert.deepEqual([(await rig.plan()).refusal, (await rig.plan()).collect], ['half-missing', null])
  const [row] = await rig.db.selectFrom('stray').select('sightings').execute()
  assert.equal(row!.sightings, 2, 'it is no sighting')
})

test('a listing in no order is given up, and nothing is taken from it', async (t) => {
  const rig = await startStrayRig(t)
  const keys = Array.from({ length: 4_500 }, () => strayKey('thumbnail')).sort()
  const one = (key: string): ObjectInfo =>
    ({ key, size: 1, modifiedAt: new Date(0), attested: [] }) as unknown as ObjectInfo
  const unsorted = withBackend(rig.placement, 's3', () => ({
    async *list(prefix: string): AsyncGenerator<ObjectInfo> {
      if (prefix === 'users/') for (const key of keys.toReversed()) yield one(key)
    },
  }))
  await assert.rejects(rig.list('s3', unsorted), { code: 'unavailable' })
  assert.equal(await straysOf(rig.placement), 0)
})

test('nothing is given up while the counter is in conflict, while it is adopted, and of what was decided before', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  const { collect } = await rig.plan()
  await rig.decide()
  await sql`update location_counter set conflict = 'another-ledger', conflict_since = now()
    where location_id = 's3'`.execute(rig.db)
  assert.equal((await rig.plan()).refusal, 'conflict')
  await assert.rejects(
    decideCollection(rig.placement, 's3', {
      planId: collect!.planId,
      confirm: collect!.confirm,
      actor: 'test',
    }),
    { code: 'conflict' },
  )
  assert.equal((await rig.collect()).removed, 0)
  assert.deepEqual((await rig.status()).kept, { 'taken-over': 1 })
  await sql`update location_counter set conflict = null, conflict_since = null`.execute(rig.db)
  await sql`insert into adoption (location_id, state, actor, report) values ('s3', 'running', 'test', '{}')`.execute(
    rig.db,
  )
  assert.equal((await rig.plan()).refusal, 'adoption')
  await sql`update adoption set state = 'done', finished_at = now()`.execute(rig.db)
  const { groups, collect: again } = await rig.plan()
  assert.deepEqual([groups[0]!.reason, again], ['seen-once', null], 'it is seen twice anew')
  assert.equal((await rig.held()).length, 1)
})

test('a decision from before a takeover is not carried out', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  await rig.decide()
  await sql`insert into adoption (location_id, state, actor, report, finished_at)
    values ('s3', 'done', 'test', '{}', now() - interval '1 day')`.execute(rig.db)
  assert.equal((await rig.collect()).removed, 0)
  assert.deepEqual((await rig.status()).kept, { 'taken-over': 1 })
})

test('after a clock that jumped ahead nothing is old enough: no sighting, no age, no hold time', async (t) => {
  const rig = await startStrayRig(t, { settings: { collectAgeMs: 2 * DAY_MS } })
  await rig.stray()
  await rig.list()
  // Two listings and a week later by a clock that nobody has seen run.
  await sql`insert into clock_seen (seen_at) values (now() - interval '40 days')`.execute(rig.db)
  await sql`update stray set first_seen_at = now() - interval '40 days', last_seen_at = now() - interval '40 days',
    last_modified = now() - interval '40 days'`.execute(rig.db)
  await rig.list()
  const { refusal, groups } = await rig.plan()
  assert.deepEqual([refusal, groups[0]!.reason], ['clock', 'young'])
})

test('what the location has locked waits until the end of its lock, and goes then by its version', async (t) => {
  const { server, placement, location, pass, db } = await startLockedBucket(t)
  const quick = { ...placement, settings: { ...placement.settings, collectAgeMs: 0 } }
  await location.backend.put(strayKey(), bytesBody(randomBytes(300)))
  await checkListing(quick, 'bucket', { isNow: true })
  await passDays(db, 1)
  await checkListing(quick, 'bucket', { isNow: true })
  const { collect } = await planOf(quick, 'bucket')
  await decideCollection(quick, 'bucket', {
    planId: collect!.planId,
    confirm: collect!.confirm,
    actor: 'test',
  })
  await passDays(db, 8)

  assert.equal((await collectDue(quick)).removed, 0)
  assert.equal((await ofOurs(server)).length, 1)
  const { reason } = (await db.selectFrom('collection_item').select('reason').executeTakeFirst())!
  assert.equal(reason, 'locked')
  await pass(31)
  await passDays(db, 31)
  assert.equal((await collectDue(quick)).removed, 1)
  assert.deepEqual(await ofOurs(server), [])
})

test('where a bucket has versions the one that was looked at goes, and no other one of that key', async (t) => {
  const { server, placement, location, db } = await startLockedBucket(t)
  const quick = { ...placement, settings: { ...placement.settings, collectAgeMs: 0 } }
  const key = strayKey('thumbnail')
  await location.backend.put(key, bytesBody(randomBytes(300)))
  const [before] = await ofOurs(server)
  await replace(server, key, { bytes: randomBytes(400) })
  for (let n = 0; n < 2; n += 1) {
    await passDays(db, 1)
    await checkListing(quick, 'bucket', { isNow: true })
  }
  const { planId, confirm } = (await planOf(quick, 'bucket')).collect!
  await decideCollection(quick, 'bucket', { planId, confirm, actor: 'test' })
  await passDays(db, 8)
  assert.equal((await collectDue(quick)).removed, 1)
  assert.deepEqual(
    (await ofOurs(server)).map(({ version }) => version.versionId),
    [before!.version.versionId],
  )
})

test('a location that refuses every removal is not asked for each file', async (t) => {
  const rig = await startStrayRig(t)
  for (let n = 0; n < 15; n += 1) await rig.stray(randomBytes(50))
  await rig.seeTwice()
  await rig.decide()
  const deletes = rig.server.faults.add({
    match: { operation: 'DeleteObject' },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  assert.equal((await rig.collect()).removed, 0)
  assert.equal(deletes.hits, 10)
  assert.match((await rig.status()).error!, /DeleteObject/)
  deletes.remove()
  await passDays(rig.db, 1)
  assert.equal((await rig.collect()).removed, 15)
})

test('the media folder and a folder location are collected by the same rules, and foreign files stay', async (t) => {
  const database = await testDatabase()
  const folder = join(process.env.TMPDIR ?? '/tmp', `glassine-folder-${randomUUID()}`)
  const backend = await openDiskBackend({ root: folder, log: silentLog })
  const rig = await testPlacement(database.db, {
    extra: [locationOfBackend('nas', 'disk', backend)],
    settings: { collectAgeMs: 0 },
  })
  t.after(async () => {
    await rig.close()
    await database.drop()
    await rm(folder, { recursive: true, force: true })
  })

  for (const id of ['local', 'nas']) {
    const key = strayKey()
    const place = rig.placement.locations.get(id)!.backend
    await place.put(key, bytesBody(randomBytes(100)))
    await checkListing(rig.placement, id, { isNow: true })
    await passDays(database.db, 1)
    await checkListing(rig.placement, id, { isNow: true })
    const { collect } = await planOf(rig.placement, id)
    const { planId, confirm } = collect!
    await decideCollection(rig.placement, id, { planId, confirm, actor: 'test' })
    await passDays(database.db, 8)
    assert.equal((await collectDue(rig.placement)).removed, 1)
    assert.equal(await place.head(key), null)
  }
})
