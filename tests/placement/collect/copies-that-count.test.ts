/**
 * A file may hold the only bytes of a photo that can be reached, although the ledger has a verified copy: at
 * a place where nobody can rely on it. Then it is compared, becomes a copy, and is never removed.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { noteDoubt } from '../../../src/placement/ledger/replicas.ts'
import type { Location } from '../../../src/placement/location.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { planOf, startStrayRig, withBackend } from '../../support/storage/strays.ts'

type Rig = Awaited<ReturnType<typeof startStrayRig>>

/** `locations`: those that the configuration names from now on. */
const configured = (placement: Placement, locations: Location[]): Placement => ({
  ...placement,
  locations: new Map(locations.map((location) => [location.id, location])),
})

const ways: { [Name in string]: (rig: Rig, objectId: string) => Promise<Placement> } = {
  async 'is left out of the configuration'({ placement }) {
    return configured(
      placement,
      [...placement.locations.values()].filter(({ id }) => id !== 'second'),
    )
  },
  async 'became read-only'({ placement }) {
    return configured(
      placement,
      [...placement.locations.values()].map((one) =>
        one.id === 'second' ? { ...one, isReadOnly: true } : one,
      ),
    )
  },
  async 'was used by another ledger'({ db, placement }) {
    await sql`update location_counter set conflict = 'older-place', conflict_since = now() where location_id = 'second'`.execute(
      db,
    )
    return placement
  },
  async 'is away'({ db, placement }) {
    await sql`update location set is_healthy = false, away_since = now() where id = 'second'`.execute(db)
    return placement
  },
  async 'is in trouble'({ db, placement }) {
    await sql`update location set is_healthy = false where id = 'second'`.execute(db)
    return placement
  },
  async 'holds a copy that something speaks against'({ db, placement }, objectId) {
    const { rows } = await sql<{ key: never }>`select key from replica where object_id = ${objectId}`.execute(
      db,
    )
    await noteDoubt(db, { objectId, locationId: 'second', key: rows[0]!.key }, 'its ETag is another one')
    return placement
  },
}

for (const [way, make] of Object.entries(ways))
  test(`a file is compared where the only other place of its bytes ${way}`, async (t: TestContext) => {
    const rig = await startStrayRig(t, { remotes: ['second'], originals: ['second'] })
    const bytes = randomBytes(4_000)
    const id = await rig.offloaded(bytes)
    assert.deepEqual(await rig.places(id), ['second verified'])
    const key = await rig.stray(bytes)
    await rig.seeTwice()
    assert.equal((await rig.plan()).groups[0]!.becomes, 'collected', 'while the copy counts')
    await rig.decide()
    const placement = await make(rig, id)
    const { groups } = await planOf(placement, 's3')
    assert.deepEqual(
      groups.map(({ reason }) => reason),
      ['decided'],
    )
    const report = await rig.collect(placement)
    assert.deepEqual([report.adopted, report.removed], [1, 0])
    assert.ok((await rig.held()).includes(key))
    assert.deepEqual(await rig.places(id), ['s3 verified', 'second verified'])
  })

test('the plan says so, and nothing is removed where another file of that size is in need', async (t) => {
  const rig = await startStrayRig(t, { remotes: ['second'], originals: ['second'] })
  await rig.offloaded(randomBytes(4_000))
  await rig.stray(randomBytes(4_000))
  await rig.seeTwice()
  await sql`update location set is_healthy = false where id = 'second'`.execute(rig.db)
  assert.deepEqual(
    (await rig.plan()).groups.map(({ becomes, count }) => `${count} ${becomes}`),
    ['1 compared'],
  )
})

test('a file that cannot become the copy yet stays, and is not read again at once', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  await rig.stray(bytes)
  await rig.seeTwice()
  await rig.decide()
  // Its row at this place counts until somebody has read what it names.
  await sql`update replica set proof = coalesce(proof, '{}') || '{"doubt": "its ETag is another one"}'`.execute(
    rig.db,
  )
  const report = await rig.collect()
  assert.deepEqual([report.adopted, report.removed], [0, 0])
  const { postponed } = await rig.status()
  assert.deepEqual(
    postponed.map(({ reason, count }) => [reason, count]),
    [['not-now', 1]],
  )
  const reads = rig.server.faults.add({
    match: { operation: 'GetObject', key: /^users\// },
    fault: { kind: 'delay', ms: 0 },
  })
  await rig.collect()
  assert.equal(reads.hits, 0)
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  assert.equal((await rig.held()).length, 2)
})

test('nothing becomes a copy at a place that is another one by now', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  await rig.stray(bytes)
  await rig.seeTwice()
  await rig.decide({ isDue: false })
  await sql`update replica set state = 'suspect'`.execute(rig.db)
  const swapped = withBackend(rig.placement, 's3', () => ({ readMarker: async () => 'of another place' }))
  assert.equal((await rig.collect(swapped)).adopted, 0)
  assert.deepEqual(await rig.places(id), ['s3 suspect'])
  assert.match((await rig.status()).error!, /no longer|another/)
  assert.equal((await rig.collect()).adopted, 1)
})

test('at a retired place nothing becomes a copy or goes, and the other places are looked at', async (t) => {
  const rig = await startStrayRig(t, { remotes: ['second'] })
  const bytes = randomBytes(4_000)
  await rig.offloaded(bytes)
  const { backend } = rig.placement.locations.get('second')!
  const needed = await rig.stray(bytes, { backend })
  const other = await rig.stray()
  await rig.seeTwice('second')
  await rig.seeTwice()
  await rig.decide({ id: 'second' })
  await rig.decide()
  await sql`update replica set proof = coalesce(proof, '{}') || '{"doubt": "its ETag is another one"}'`.execute(
    rig.db,
  )
  await sql`update location set drain_begun_at = now(), drain_files = 0, drain_bytes = 0, retired_at = now()
    where id = 'second'`.execute(rig.db)
  const report = await rig.collect()
  assert.deepEqual([report.adopted, report.removed], [0, 1])
  assert.ok(await backend.head(needed))
  assert.ok(!(await rig.held()).includes(other))
  const { error } = await rig.db
    .selectFrom('collection')
    .select('error')
    .where('location_id', '=', 'second')
    .executeTakeFirstOrThrow()
  assert.match(error!, /retired/)
})
