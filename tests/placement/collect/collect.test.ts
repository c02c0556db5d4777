/**
 * Files that belong to nothing are seen, shown, decided on, and given up; each guard keeps what it is for.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import { decideCollection, undoCollection } from '../../../src/placement/collect/decide.ts'
import { freshKey, knownKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { adoptBytes } from '../../../src/placement/replica-io/adopt-bytes.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { eventually } from '../../support/eventually.ts'
import {
  bytesBody,
  DAY_MS,
  passDays,
  planOf,
  startStrayRig,
  strayKey,
  withBackend,
} from '../../support/storage/strays.ts'

const reasonsOf = (plan: { groups: { reason: string | null; becomes: string; count: number }[] }) =>
  plan.groups.map(({ reason, becomes, count }) => `${count} ${reason ?? becomes}`)

test('files that belong to nothing are seen twice, shown, decided on with typed numbers, and gone after the hold time', async (t) => {
  const rig = await startStrayRig(t)
  const kept = await rig.offloaded()
  const keys = [await rig.stray(), await rig.stray(), await rig.stray(undefined, { kind: 'thumbnail' })]
  await rig.seeTwice()
  const plan = await rig.plan()
  assert.equal(plan.refusal, null)
  assert.deepEqual(reasonsOf(plan), ['2 collected', '1 collected'])
  assert.deepEqual([plan.collect!.files, plan.collect!.confirm], [3, 'collect 3 files from s3'])

  await rig.decide({ isDue: false })
  assert.deepEqual(reasonsOf(await rig.plan()), ['2 decided', '1 decided'])
  await rig.collect()
  assert.equal((await rig.held()).length, 4, 'nothing goes within the hold time')
  await passDays(rig.db, 8)
  assert.equal((await rig.collect()).removed, 3)
  const held = await rig.held()
  assert.equal(held.length, 1)
  for (const key of keys) assert.ok(!held.includes(key))
  assert.deepEqual(await rig.places(kept), ['s3 verified'])
  const { state, removed, waiting } = await rig.status()
  assert.deepEqual([state, removed, waiting], ['done', 3, 0])
  assert.deepEqual((await rig.plan()).groups, [])
})

test('an upload in parts that nobody finishes goes as well, and one that a row names stays', async (t) => {
  const rig = await startStrayRig(t)
  const multipart = rig.bucket.location.backend.multipart!
  const named = strayKey()
  await multipart.begin(strayKey())
  await multipart.begin(named)
  await sql`insert into unfinished_upload (location_id, key, lease_expires_at)
    values ('s3', ${named}, now() + interval '1 day')`.execute(rig.db)
  await rig.seeTwice()
  const { collect } = await rig.plan()
  assert.equal(collect!.confirm, 'collect 1 unfinished upload from s3')
  await rig.decide()
  assert.equal((await rig.collect()).removed, 1)
  const left = await rig.server.stored.unfinishedUploads()
  assert.deepEqual(
    left.map(({ key }) => key),
    [named],
  )
})

test('a file that is younger than the age limit is kept, in the plan and when its time has come', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  const strict = { ...rig.placement, settings: { ...rig.placement.settings, collectAgeMs: 30 * DAY_MS } }
  const plan = await planOf(strict, 's3')
  assert.deepEqual([reasonsOf(plan), plan.collect], [['1 young'], null])
  await rig.decide()
  assert.equal((await rig.collect(strict)).removed, 0)
  assert.equal((await rig.held()).length, 1)
})

test('a file that was seen once, or twice within a day, or changed in between is kept', async (t) => {
  const rig = await startStrayRig(t)
  const key = await rig.stray()
  await rig.list()
  await passDays(rig.db, 3)
  assert.deepEqual(reasonsOf(await rig.plan()), ['1 seen-once'])
  await sql`update stray set first_seen_at = now(), last_seen_at = now()`.execute(rig.db)
  await rig.list()
  assert.deepEqual(reasonsOf(await rig.plan()), ['1 seen-once'], 'within a day')
  await passDays(rig.db, 2)
  await rig.server.stored.truncateStored(key)
  await rig.list()
  assert.deepEqual(reasonsOf(await rig.plan()), ['1 seen-once'], 'it is another file by now')
})

test('a file that something names by now is kept, and so is one that becomes a replica while it waits', async (t) => {
  const rig = await startStrayRig(t)
  const [first, second, third] = [await rig.stray(), await rig.stray(), await rig.stray()]
  const id = await rig.offloaded()
  const other = await rig.offloaded()
  await rig.seeTwice()
  // A row that names it, as after a change of class.
  await noteKeyToClear(rig.db, { objectId: id, locationId: 's3', key: first }, 0)
  assert.deepEqual(reasonsOf(await rig.plan()), ['2 collected', '1 named'])
  await rig.db.deleteFrom('key_to_clear').execute()
  await rig.decide()
  await noteKeyToClear(rig.db, { objectId: id, locationId: 's3', key: second }, 0)
  await sql`update replica set state = 'suspect' where object_id = ${other}`.execute(rig.db)
  await sql`update replica set key = ${third}, is_adopted = true, state = 'verified', proof_level = 4
    where object_id = ${other}`.execute(rig.db)
  assert.equal((await rig.collect()).removed, 1)
  const held = await rig.held()
  assert.ok(!held.includes(first) && held.includes(second) && held.includes(third))
  assert.deepEqual((await rig.status()).kept, { named: 2 })
})

test('nobody makes a replica of a file while it is being removed', async (t) => {
  const rig = await startStrayRig(t)
  const key = await rig.stray()
  const objectId = await rig.offloaded()
  await rig.seeTwice()
  await rig.decide()
  await sql`update collection_item set state = 'removing', lease_expires_at = now() + interval '1 minute'`.execute(
    rig.db,
  )
  await sql`update replica set state = 'suspect'`.execute(rig.db)
  const proven = { level: 4, proof: { method: 'read-back' }, actor: 'test' } as const
  await assert.rejects(
    rig.db.transaction().execute((tx) => adoptBytes(tx, { objectId, locationId: 's3', key }, proven)),
    RetryLater,
  )
  // Nor whoever does not ask.
  await assert.rejects(
    sql`update replica set key = ${key}, is_adopted = true, state = 'verified', proof_level = 4`.execute(
      rig.db,
    ),
    { code: 'GL003' },
  )
})

test('of an adoption and a removal that meet, the one that comes first wins, and the other one finds out', async (t) => {
  const rig = await startStrayRig(t)
  const key = await rig.stray()
  const objectId = await rig.offloaded()
  await rig.seeTwice()
  await rig.decide()
  await sql`update replica set state = 'suspect'`.execute(rig.db)
  const adopted = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const adopting = rig.db.transaction().execute(async (tx) => {
    await sql`update replica set key = ${key}, is_adopted = true, state = 'verified', proof_level = 4
      where object_id = ${objectId}`.execute(tx)
    adopted.resolve()
    await goOn.promise
  })
  await adopted.promise
  const collecting = rig.collect()
  await eventually(async () => {
    const { rows } = await sql`select from pg_stat_activity where datname = current_database()
      and wait_event_type = 'Lock'`.execute(rig.db)
    assert.equal(rows.length, 1, 'the claim waits for the row')
  })
  goOn.resolve()
  await adopting
  assert.equal((await collecting).removed, 0)
  assert.ok((await rig.held()).includes(key))
  assert.deepEqual((await rig.status()).kept, { named: 1 })
})

test('an undone decision removes nothing more, and what it had removed stays removed', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  const id = await rig.decide()
  assert.equal(await undoCollection(rig.placement, id, 'test'), 1)
  assert.equal((await rig.collect()).removed, 0)
  assert.equal((await rig.held()).length, 1)
  const status = await rig.status()
  assert.deepEqual([status.state, status.waiting], ['undone', 0])
  await assert.rejects(undoCollection(rig.placement, id, 'test'), { code: 'conflict' })
  assert.deepEqual(reasonsOf(await rig.plan()), ['1 collected'], 'it can be decided anew')
})

test('other words, an older plan and a plan that has changed are refused, and nothing is written', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  const { collect } = await rig.plan()
  const { planId, confirm } = collect!
  const decide = (over: object) =>
    decideCollection(rig.placement, 's3', { planId, confirm, actor: 'test', ...over })
  await assert.rejects(decide({ confirm: 'collect 1 file' }), { code: 'invalid' })
  await assert.rejects(decide({ planId: '0000000000000000' }), { code: 'conflict' })
  await rig.stray()
  await rig.list()
  await assert.rejects(decide({}), { code: 'conflict' })
  assert.deepEqual(await rig.db.selectFrom('collection').select('id').execute(), [])
  assert.deepEqual(await rig.db.selectFrom('collection_item').select('key').execute(), [])
})

test('much at once has to be confirmed with the name of the location, and little without it', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  for (let n = 0; n < 10; n += 1) await rig.offloaded()
  await rig.seeTwice()
  const { collect } = await rig.plan()
  assert.deepEqual([collect!.confirm, collect!.isStrong], ['collect 1 file', false])
  await rig.stray()
  await rig.seeTwice()
  assert.equal((await rig.plan()).collect!.confirm, 'collect 2 files from s3')
})

test('backups, catalogues and names that are none of ours are shown, and never offered', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray(undefined, { kind: 'database-backup' })
  const { backend } = rig.bucket.location
  await backend.put(knownKey('users/holiday.jpg'), bytesBody(randomBytes(10)))
  await rig.seeTwice()
  const plan = await rig.plan()
  assert.deepEqual([reasonsOf(plan), plan.foreign.count, plan.collect], [['1 backup'], 1, null])
})

test('originals are kept while a catalogue lies there that this database has not taken over', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.stray(undefined, { kind: 'thumbnail' })
  await rig.stray(undefined, { kind: 'catalogue' })
  const batch = freshKey({ ownerId: randomUUID(), assetId: null, kind: 'catalogue', extension: 'gz' })
  await rig.bucket.location.backend.put(batch, bytesBody(randomBytes(10)))
  await rig.seeTwice()
  const plan = await rig.plan()
  assert.deepEqual(reasonsOf(plan).sort(), ['1 catalogue', '1 collected', '2 backup'])
  assert.equal(plan.collect!.files, 1)
})

test('a catalogue at another location keeps them as well: it may name the originals of all', async (t) => {
  const rig = await startStrayRig(t, { remotes: ['second'] })
  await rig.stray()
  const batch = strayKey('catalogue')
  await rig.placement.locations.get('second')!.backend.put(batch, bytesBody(randomBytes(10)))
  await rig.list('second')
  await rig.seeTwice()
  const plan = await rig.plan()
  assert.deepEqual([reasonsOf(plan), plan.collect], [['1 catalogue'], null])
})

test('a file that was changed between the decision and its removal is kept, and shown', async (t) => {
  const rig = await startStrayRig(t)
  const key = await rig.stray()
  await rig.seeTwice()
  await rig.decide()
  await rig.server.stored.truncateStored(key)
  assert.equal((await rig.collect()).removed, 0)
  assert.deepEqual((await rig.status()).kept, { changed: 1 })
  assert.ok((await rig.held()).includes(key))
})

test('the bytes of a file that has lost its copy become that copy, and are never removed', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  const key = await rig.stray(bytes)
  const sameSize = await rig.stray(randomBytes(4_000))
  await rig.seeTwice()
  assert.deepEqual(reasonsOf(await rig.plan()), ['2 collected'])
  await rig.decide()
  await sql`update replica set state = 'suspect'`.execute(rig.db)
  const report = await rig.collect()
  assert.deepEqual([report.adopted, report.removed], [1, 1])
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  const held = await rig.held()
  assert.ok(held.includes(key) && !held.includes(sameSize))
  assert.deepEqual((await rig.status()).kept, { adopted: 1 })
})

test('the plan says which files are compared first, and they are compared before the hold time is over', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  await rig.stray(bytes)
  await rig.seeTwice()
  await sql`update replica set state = 'suspect'`.execute(rig.db)
  assert.deepEqual(reasonsOf(await rig.plan()), ['1 compared'])
  await rig.decide({ isDue: false })
  assert.equal((await rig.collect()).adopted, 1)
  assert.deepEqual(await rig.places(id), ['s3 verified'])
})

test('a removal that was cut short goes on, and one whose decision was undone since does not', async (t) => {
  const rig = await startStrayRig(t)
  const [first, second] = [await rig.stray(), await rig.stray()]
  await rig.seeTwice()
  const id = await rig.decide()
  await sql`update collection_item set state = 'removing', claimed_at = now(),
    lease_expires_at = now() + case when key = ${first} then -1 else 60 end * interval '1 second'`.execute(
    rig.db,
  )
  assert.equal((await rig.collect()).removed, 1)
  assert.deepEqual(await rig.held(), [second], 'the process that has the second one may be alive')
  await undoCollection(rig.placement, id, 'test')
  await passDays(rig.db, 1)
  assert.equal((await rig.collect()).removed, 0)
  assert.deepEqual(await rig.held(), [second])
  const items = await rig.db.selectFrom('collection_item').select('state').orderBy('state').execute()
  assert.deepEqual(items.map(({ state }) => state).sort(), ['removed', 'undone'])
})

test('nothing is removed where the location stops listing its own marker before a batch', async (t) => {
  const rig = await startStrayRig(t)
  await rig.stray()
  await rig.seeTwice()
  await rig.decide()
  const blind = withBackend(rig.placement, 's3', () => ({ listsMarker: async () => false }))
  assert.equal((await rig.collect(blind)).removed, 0)
  assert.equal((await rig.held()).length, 1)
  assert.match((await rig.status()).error!, /marker/)
  assert.equal((await rig.collect()).removed, 1)
})
