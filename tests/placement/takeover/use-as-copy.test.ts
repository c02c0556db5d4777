import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { Location } from '../../../src/placement/location.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { planCopy, useAsCopy } from '../../../src/placement/takeover/use-as-copy.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { addressOfIdentity, identityOfS3 } from '../../../src/storage/s3/identity.ts'
import { ingestBytes, locationOfBackend, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const ORIGINAL = { endpoint: 'https://s3.example.org', region: 'eu', bucket: 'photos', prefix: 'family/' }

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let theirs: ReturnType<typeof openMemoryBackend>

beforeEach(async () => {
  database = await testDatabase()
  theirs = openMemoryBackend()
  rig = await testPlacement(database.db, { remotes: [], originals: ['s3'], extra: [placeOf('s3', theirs)] })
})
afterEach(async () => {
  await rig.close()
  await database.drop()
})

function placeOf(id: string, backend = openMemoryBackend(), address = ORIGINAL): Location {
  return {
    ...locationOfBackend(id, 'memory', backend),
    label: `${address.bucket}/${address.prefix}`,
    identity: identityOfS3(address),
  }
}

function open(locations: Location[], originals: string): Promise<Placement> {
  return openPlacement({
    db: database.db,
    log: silentLog,
    locations: [rig.placement.local, ...locations],
    localId: 'local',
    mediaLocation: rig.mediaLocation,
    policy: policyOf([originals]),
    isAwaited: isOfUnendedUpload,
    settings: { removalWaitMs: 0, lateRequestMs: 0 },
  })
}

test('the address of a bucket can be told from what the ledger keeps of it', () => {
  for (const address of [
    ORIGINAL,
    { ...ORIGINAL, prefix: '' },
    { ...ORIGINAL, endpoint: null, prefix: 'a/b/' },
  ])
    assert.deepEqual(addressOfIdentity(identityOfS3(address), 'eu'), address)
  assert.equal(addressOfIdentity('the demonstration bucket', 'eu'), null)
})

test('a copy reads from the original, writes to its own place, and removes nothing there', async () => {
  const bytes = randomBytes(2_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  const half = await ingestBytes(rig.placement, randomBytes(100))
  await replicateObject(rig.placement, { objectId: half, to: 's3' })

  await assert.rejects(planCopy(rig.placement, 's3'), { code: 'invalid', message: /another prefix/ })
  const moved = await open([placeOf('s3', openMemoryBackend(), { ...ORIGINAL, prefix: 'copy/' })], 's3')
  await assert.rejects(planCopy(moved, 'local'), { code: 'invalid' })
  const plan = await useAsCopy(moved, 's3', { region: 'eu' })
  assert.deepEqual([plan.readThere.count, plan.originalIs], [2, identityOfS3(ORIGINAL)])
  const { origin } = await database.db
    .selectFrom('location')
    .select('origin')
    .where('id', '=', 's3')
    .executeTakeFirstOrThrow()
  assert.deepEqual(origin, ORIGINAL)

  const held = [...theirs.held.keys()]
  const own = openMemoryBackend()
  const copy = await open(
    [
      { ...placeOf('s3', theirs), isReadOnly: true, isOfOriginal: true },
      placeOf('s3-2', own, { ...ORIGINAL, prefix: 'copy/' }),
    ],
    's3-2',
  )
  await checkLocations(copy)
  const { rows } = await database.pool.query('select id, is_healthy from location order by id')
  assert.deepEqual(
    rows.map(({ id: name, is_healthy }) => `${name} ${is_healthy}`),
    ['local true', 's3 true', 's3-2 true'],
  )
  assert.deepEqual(await buffer(await (await findServable(copy, id)).open()), bytes)

  const fresh = await ingestBytes(copy, randomBytes(300))
  await replicateObject(copy, { objectId: fresh, to: 's3-2' })
  await evictReplica(copy, { objectId: fresh, from: 'local' })
  assert.deepEqual(await placesOf(database.db, fresh), ['s3-2 verified'])
  // What is at the original's never stands for a copy of ours.
  await sweepPlacement(copy)
  await evictReplica(copy, { objectId: half, from: 'local' }).catch(() => undefined)
  assert.deepEqual(await placesOf(database.db, half), ['local verified', 's3 verified'])
  assert.equal(own.held.size, 1, 'nothing is copied over')

  await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
  await purgeObject(copy, { objectId: id })
  assert.equal(await loadObject(database.db, id), null)
  assert.deepEqual([...theirs.held.keys()], held)
})

test("what a copy took for bad at the original's place is looked at again, and read when it is there", async () => {
  const bytes = randomBytes(2_000)
  const id = await ingestBytes(rig.placement, bytes)
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  const moved = await open([placeOf('s3', openMemoryBackend(), { ...ORIGINAL, prefix: 'copy/' })], 's3')
  await useAsCopy(moved, 's3', { region: 'eu' })
  const copy = await open(
    [
      { ...placeOf('s3', theirs), isReadOnly: true, isOfOriginal: true },
      placeOf('s3-2', openMemoryBackend(), { ...ORIGINAL, prefix: 'copy/' }),
    ],
    's3-2',
  )
  const all = [...theirs.held]
  theirs.held.clear()
  await assert.rejects((await findServable(copy, id)).open(), { code: 'unavailable' })
  assert.deepEqual(await placesOf(database.db, id), ['s3 suspect'])
  await replicateObject(copy, { objectId: id, to: 's3' })
  assert.deepEqual(await placesOf(database.db, id), ['s3 suspect'], 'it is not there yet')
  for (const [key, held] of all) theirs.held.set(key, held)
  await replicateObject(copy, { objectId: id, to: 's3' })
  assert.deepEqual(await placesOf(database.db, id), ['s3 verified'])
  assert.deepEqual(await buffer(await (await findServable(copy, id)).open()), bytes)
})
