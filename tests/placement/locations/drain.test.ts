import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { asReadOnly } from '../../../src/open-locations.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { beginReplica, loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { applyDrains, beginDrain, cancelDrain } from '../../../src/placement/locations/drains.ts'
import { retireLocation } from '../../../src/placement/locations/retire.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { drainStatuses } from '../../../src/placement/reports/drain-status.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { ingestBytes, placesOf, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
let placement: Placement
const opened: Placement[] = []

beforeEach(async () => {
  database = await testDatabase()
  rig = await testPlacement(database.db, { remotes: ['a', 'b', 'c'], originals: ['a', 'b'] })
  placement = rig.placement
})
afterEach(async () => {
  for (const one of opened.splice(0)) await closePlacement(one)
  await rig.close()
  await database.drop()
})

/** Another process on the same places, by a configuration of its own. */
async function open(
  originals: string[],
  { minCopies = originals.length, without = [] as string[] } = {},
): Promise<Placement> {
  const policy = policyOf(originals)
  const counts = Object.fromEntries(
    Object.keys(policy).map((kind) => [kind, kind === 'original' ? minCopies : 1]),
  )
  const one = await openPlacement({
    db: database.db,
    log: silentLog,
    locations: [...placement.locations.values()].filter(({ id }) => !without.includes(id)),
    localId: 'local',
    mediaLocation: rig.mediaLocation,
    policy,
    minCopies: counts as Placement['minCopies'],
    isAwaited: isOfUnendedUpload,
    settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0 },
  })
  opened.push(one)
  return one
}

async function atBoth(bytes = randomBytes(1_000)): Promise<string> {
  const id = await ingestBytes(placement, bytes)
  await replicateObject(placement, { objectId: id, to: 'a' })
  await replicateObject(placement, { objectId: id, to: 'b' })
  await evictReplica(placement, { objectId: id, from: 'local' })
  assert.deepEqual(await placesOf(database.db, id), ['a verified', 'b verified'])
  return id
}

async function jobsOf(id: string): Promise<string[]> {
  const { rows } = await database.pool.query('select key from graphile_worker.jobs where key like $1', [
    `%${id}%`,
  ])
  return rows.map(({ key }) => key.replace(id, 'id'))
}

async function forgetJobs(): Promise<void> {
  await database.pool.query('delete from graphile_worker._private_jobs')
}

test('a drain is refused, with the remedy, where files would have too few places left', async () => {
  await assert.rejects(beginDrain(placement, 'a'), {
    code: 'conflict',
    message: /original need 2, and only b would be left\. First name another one in storage\.locations/,
  })
  await assert.rejects(beginDrain(placement, 'local'), { code: 'conflict', message: /media location/ })
  await assert.rejects(beginDrain(placement, 'nowhere'), { code: 'invalid' })
  const locations = placement.locations as Map<string, ReturnType<typeof asReadOnly>>
  locations.set('c', asReadOnly(placement.locations.get('c')!))
  await assert.rejects(beginDrain(placement, 'c'), { code: 'conflict', message: /readOnly/ })
  assert.equal((await drainStatuses(placement)).size, 0)
})

test('files get their copies elsewhere first, then go; nothing new comes; every process follows', async () => {
  const bytes = randomBytes(1_000)
  const id = await atBoth(bytes)
  const other = await open(['a', 'b', 'c'], { minCopies: 2 })
  const here = await open(['a', 'b', 'c'], { minCopies: 2 })
  await forgetJobs()
  await beginDrain(here, 'a')
  await beginDrain(here, 'a')
  assert.deepEqual(here.policy.original, ['b', 'c'])
  await sweepPlacement(other)
  assert.deepEqual(other.policy.original, ['b', 'c'], 'another process')
  assert.deepEqual((await drainStatuses(here)).get('a')?.left, { count: 1, bytes: 1_000 })
  assert.ok((await jobsOf(id)).includes('replicate:id:c'))
  assert.ok(!(await jobsOf(id)).includes('replicate:id:a'))

  // Before the second copy is there it stays, whoever asks.
  await evictReplica(other, { objectId: id, from: 'a' })
  assert.deepEqual(await placesOf(database.db, id), ['a verified', 'b verified'])
  await replicateObject(other, { objectId: id, to: 'c' })
  await evictReplica(other, { objectId: id, from: 'a' })
  assert.deepEqual(await placesOf(database.db, id), ['b verified', 'c verified'])
  assert.deepEqual(await buffer(await (await findServable(here, id)).open()), bytes)

  const status = (await storageStatus(here)).locations.find((location) => location.id === 'a')?.drain
  assert.deepEqual(
    [status?.begun, status?.left],
    [
      { count: 1, bytes: 1_000 },
      { count: 0, bytes: 0 },
    ],
  )
  const fresh = await ingestBytes(other, randomBytes(500))
  assert.deepEqual((await jobsOf(fresh)).filter((key) => key.startsWith('replicate')).sort(), [
    'replicate:id:b',
    'replicate:id:c',
  ])
  // A job from before the drain.
  await replicateObject(here, { objectId: fresh, to: 'a' })
  assert.deepEqual(await placesOf(database.db, fresh), ['local verified'])
})

test('a drain that is cancelled leaves everything as the configuration says', async () => {
  const id = await atBoth()
  const here = await open(['a', 'b', 'c'], { minCopies: 2 })
  await beginDrain(here, 'a')
  await replicateObject(here, { objectId: id, to: 'c' })
  await evictReplica(here, { objectId: id, from: 'a' })
  await forgetJobs()
  await cancelDrain(here, 'a')
  assert.deepEqual(here.policy.original, ['a', 'b', 'c'])
  await sweepPlacement(here)
  assert.deepEqual(await jobsOf(id), ['replicate:id:a'])
  assert.equal((await drainStatuses(here)).size, 0)
})

test('where the configuration has lost the other places since, files stay, and that is told', async () => {
  const id = await atBoth()
  const here = await open(['a', 'b', 'c'], { minCopies: 2 })
  await beginDrain(here, 'a')
  const later = await open(['a', 'b'], { minCopies: 2 })
  assert.deepEqual(later.policy.original, ['a', 'b'])
  assert.deepEqual((await drainStatuses(later)).get('a')?.waitingKinds, ['original'])
  await evictReplica(later, { objectId: id, from: 'a' })
  assert.deepEqual(await placesOf(database.db, id), ['a verified', 'b verified'])
})

test('a location is retired when it is empty; then nothing comes there, and it is forgotten with its description', async () => {
  const id = await atBoth()
  const here = await open(['a', 'b', 'c'], { minCopies: 2 })
  const stale = await open(['a', 'b', 'c'], { minCopies: 2 })
  await assert.rejects(retireLocation(here, 'a'), { code: 'conflict', message: /in use/ })
  await beginDrain(here, 'a')
  await assert.rejects(retireLocation(here, 'a'), {
    code: 'conflict',
    message: /a still has 1 files \(1000 bytes\)/,
  })
  await replicateObject(here, { objectId: id, to: 'c' })
  await evictReplica(here, { objectId: id, from: 'a' })
  await retireLocation(here, 'a')

  // A process that has not heard of it.
  assert.deepEqual(stale.policy.original, ['a', 'b', 'c'])
  const { object } = (await loadObject(database.db, id))!
  const begun = beginReplica(database.db, {
    objectId: id,
    locationId: 'a',
    key: freshKey(object),
    actor: 'test',
    leaseMs: 1_000,
  } as Parameters<typeof beginReplica>[1])
  await assert.rejects(begun, /it is retired/)
  await applyDrains(stale)
  assert.deepEqual(stale.policy.original, ['b', 'c'])

  await open(['a', 'b', 'c'], { minCopies: 2 })
  const named = await database.pool.query(
    "select retired_at is not null as is_retired from location where id = 'a'",
  )
  assert.deepEqual(named.rows, [{ is_retired: true }], 'it is still configured')
  await open(['b', 'c'], { minCopies: 2, without: ['a'] })
  const gone = await database.pool.query("select from location where id = 'a'")
  assert.equal(gone.rows.length, 0)
})

test('what another process has decided by the old policy meanwhile is looked at again', async () => {
  const id = await atBoth()
  const here = await open(['a', 'b', 'c'], { minCopies: 2 })
  await sweepPlacement(here)
  const stale = await open(['a', 'b', 'c'], { minCopies: 2 })
  await beginDrain(here, 'a')
  assert.equal((await sweepPlacement(here)).isMore, true)
  await forgetJobs()
  await replicateObject(stale, { objectId: id, to: 'c' })
  assert.ok(!(await jobsOf(id)).includes('evict:id:a'), 'it belongs at all three, by the old policy')
  assert.equal((await sweepPlacement(here)).isMore, true)
  here.now = () => new Date(Date.now() + 10_000)
  assert.equal((await sweepPlacement(here)).isMore, false)
  assert.ok((await jobsOf(id)).includes('evict:id:a'))
})
