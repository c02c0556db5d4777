/**
 * Random commands, faults and damage against a small reference model. What must hold after every step,
 * whatever fails: of every acknowledged object that its user has not deleted, a replica that the ledger would
 * read holds intact bytes, unless the world outside took them (the model lets it take any copy but the last
 * intact one).
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { isAppError } from '../../src/errors.ts'
import { releaseProcessingLease } from '../../src/placement/ledger/leases.ts'
import type { Replica } from '../../src/placement/ledger/objects.ts'
import { recordPolicy } from '../../src/placement/ledger/pending-moves.ts'
import { loadObject } from '../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../src/placement/lifecycle/replicate.ts'
import { sweepPlacement } from '../../src/placement/maintenance/sweep.ts'
import type { Placement } from '../../src/placement/placement.ts'
import { everyLocation } from '../../src/placement/policy.ts'
import { withLocalFile } from '../../src/placement/reads/recall.ts'
import { findServable } from '../../src/placement/reads/serve.ts'
import { storageStatus } from '../../src/placement/reports/status.ts'
import { nextState, type ReplicaEvent } from '../../src/placement/states.ts'
import { RetryLater } from '../../src/queue/retry-later.ts'
import { isStorageError } from '../../src/storage/backend.ts'
import { ingestBytes, policyOf, testPlacement } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'
import type { Fault } from '../support/storage/faulty-backend.ts'

const PLACES = ['local', 's3', 'archive'] as const
type Place = (typeof PLACES)[number]
type Rig = Awaited<ReturnType<typeof testPlacement>>

/** What the world knows: the acknowledged objects, and which keys it damaged or lost itself. */
type Model = {
  acknowledged: Map<string, { sha256: string; size: number }>
  deleted: Set<string>
  damaged: Set<string>
}

let database: Awaited<ReturnType<typeof testDatabase>>
before(async () => {
  database = await testDatabase()
})
after(() => database.drop())

test('no sequence of commands, faults and damage gives up the last intact copy', async () => {
  let uploads = 0
  let evictions = 0
  let faults = 0
  await fc.assert(
    fc.asyncProperty(fc.array(command(), { minLength: 5, maxLength: 45 }), async (commands) => {
      await forgetEarlierRuns()
      const rig = await testPlacement(database.db, {
        remotes: ['s3', 'archive'],
        settings: { writeLeaseMs: 150, holdMs: 0 },
      })
      try {
        const model: Model = { acknowledged: new Map(), deleted: new Set(), damaged: new Set() }
        for (const step of commands) {
          await run(rig, model, step)
          if (step.do === 'upload') uploads += 1
          if (step.do === 'fault') faults += 1
          await checkInvariants(rig, model)
        }
        await checkConvergence(rig, model)
        evictions += await countEvictions([...model.acknowledged.keys()])
      } finally {
        await rig.close()
      }
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 60), endOnFailure: true },
  )
  // A model in which nothing happens proves nothing.
  assert.ok(uploads > 30, `only ${uploads} uploads`)
  assert.ok(evictions > 10, `only ${evictions} evictions`)
  assert.ok(faults > 30, `only ${faults} faults`)
})

type Command =
  | { do: 'upload'; size: number; leased: boolean }
  | { do: 'replicate' | 'evict' | 'damage' | 'lose'; pick: number; place: Place }
  | { do: 'replicate-and-evict'; pick: number; to: Place; from: Place }
  | { do: 'evict-two'; pick: number; places: [Place, Place] }
  | { do: 'release' | 'read' | 'recall' | 'delete' | 'purge'; pick: number }
  | { do: 'fault'; place: Place; fault: Fault }
  | { do: 'policy'; originals: Place[]; copies: number }
  | { do: 'sweep' | 'wait' | 'heal' }

function command(): fc.Arbitrary<Command> {
  const pick = fc.nat(20)
  const place = fc.constantFrom(...PLACES)
  const fault: fc.Arbitrary<Fault> = fc.record({
    call: fc.constantFrom('head', 'get', 'put', 'delete'),
    when: fc.constantFrom('before', 'after'),
  })
  return fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('upload' as const),
        size: fc.integer({ min: 0, max: 200_000 }),
        leased: fc.boolean(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constantFrom('replicate' as const, 'evict' as const), pick, place }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('replicate-and-evict' as const), pick, to: place, from: place }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('evict-two' as const), pick, places: fc.tuple(place, place) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('damage' as const, 'lose' as const), pick, place }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('release' as const, 'read' as const, 'recall' as const),
        pick,
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('delete' as const, 'purge' as const), pick }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('fault' as const), place, fault }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('policy' as const),
        originals: fc.subarray([...PLACES], { minLength: 1 }),
        copies: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('sweep' as const, 'wait' as const, 'heal' as const) }),
    },
  )
}

/** As a start with another configuration does. */
async function applyPolicy(
  placement: Placement,
  { originals, copies }: Extract<Command, { do: 'policy' }>,
): Promise<void> {
  const policy = policyOf(originals)
  const minCopies = { ...everyLocation(policy), original: Math.min(copies, originals.length) }
  Object.assign(placement, { policy, minCopies })
  await recordPolicy(placement)
}

async function run(rig: Rig, model: Model, step: Command): Promise<void> {
  const { placement } = rig
  const ids = [...model.acknowledged.keys()]
  const objectId = 'pick' in step ? ids[step.pick % Math.max(ids.length, 1)] : undefined
  if ('pick' in step && objectId === undefined) return
  const id = objectId!

  switch (step.do) {
    case 'upload': {
      const bytes = randomBytes(step.size)
      await tolerate(async () => {
        const made = await ingestBytes(placement, bytes, { keepLocalUntilProcessed: step.leased })
        model.acknowledged.set(made, {
          sha256: createHash('sha256').update(bytes).digest('hex'),
          size: bytes.length,
        })
      })
      return
    }
    case 'replicate':
      return tolerate(() => replicateWherever(placement, id, step.place))
    case 'evict':
      return tolerate(() => evictReplica(placement, { objectId: id, from: step.place }))
    case 'replicate-and-evict':
      await tolerate(() => replicateWherever(placement, id, step.to))
      return tolerate(() => evictReplica(placement, { objectId: id, from: step.from }))
    case 'evict-two':
      await Promise.all(
        step.places.map((place) => tolerate(() => evictReplica(placement, { objectId: id, from: place }))),
      )
      return
    case 'damage':
    case 'lose':
      return damage(rig, model, id, step.place, step.do)
    case 'release':
      return database.db.transaction().execute((tx) => releaseProcessingLease(tx, placement, id))
    case 'read':
      return tolerate(async () => {
        const object = await findServable(placement, id)
        const read = await digestOf(await object.open())
        // What is served may be damaged behind our back without a HEAD having told; but never short or long.
        assert.equal(read.size, model.acknowledged.get(id)!.size)
      })
    case 'recall':
      return tolerate(() =>
        withLocalFile(placement, id, 'model', async (path) => {
          const bytes = await readFile(path)
          const isRecalled = path.startsWith(placement.recallFolder)
          if (isRecalled) assert.equal(sha256(bytes), model.acknowledged.get(id)!.sha256)
        }),
      )
    case 'delete':
      await database.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
      model.deleted.add(id)
      return
    case 'purge':
      return tolerate(() => purgeObject(placement, { objectId: id }))
    case 'fault':
      faultsOf(rig, step.place).plan(step.fault)
      return
    case 'policy':
      await applyPolicy(placement, step)
      return
    case 'sweep':
      await tolerate(() => sweepPlacement(placement))
      return
    case 'wait':
      await new Promise((resolve) => setTimeout(resolve, 170))
      return
    case 'heal':
      for (const place of PLACES) faultsOf(rig, place).clear()
  }
}

/** The errors that a job may end with, to be run again; anything else is a bug. */
async function tolerate(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (error instanceof RetryLater || isStorageError(error)) return
    if (
      isAppError(error) &&
      ['unavailable', 'corrupt', 'conflict', 'last-copy', 'not-found'].includes(error.code)
    )
      return
    throw error
  }
}

async function checkInvariants(rig: Rig, model: Model): Promise<void> {
  for (const [objectId, { sha256: expected }] of model.acknowledged) {
    if (model.deleted.has(objectId)) continue
    const loaded = await loadObject(database.db, objectId)
    assert.ok(loaded, `object ${objectId} is gone`)
    assert.equal(loaded.object.state, 'live')
    const readable = loaded.replicas.filter(({ state }) => state === 'verified' || state === 'suspect')
    const intact = []
    for (const replica of readable) {
      const bytes = await bytesOf(rig, replica)
      if (bytes && sha256(bytes) === expected) intact.push(replica.locationId)
    }
    assert.ok(intact.length > 0, `no intact copy of ${objectId} is left: ${JSON.stringify(loaded.replicas)}`)
  }
  await checkHistory([...model.acknowledged.keys()])
}

/** Every recorded move is one that the state machine allows. */
async function checkHistory(objectIds: string[]): Promise<void> {
  if (objectIds.length === 0) return
  const moves = await database.db
    .selectFrom('placement_event')
    .select(['from_state', 'to_state'])
    .distinct()
    .where('object_id', 'in', objectIds)
    .execute()
  const events: ReplicaEvent[] = [
    'begin',
    'proven',
    'abandoned',
    'found-bad',
    'found-good',
    'evict',
    'gone',
    'purge',
  ]
  for (const { from_state, to_state } of moves) {
    const from = from_state ?? 'absent'
    const isKnown = events.some((event) => nextState(from, event) === (to_state ?? 'absent'))
    assert.ok(isKnown, `${from} -> ${to_state ?? 'absent'} is not a move of the state machine`)
  }
}

/** As under an earlier policy that wanted it there, so that objects lie at all combinations of places. */
async function replicateWherever(placement: Placement, objectId: string, to: Place): Promise<void> {
  const { policy } = placement
  placement.policy = policyOf([...new Set([...policy.original, to])])
  try {
    await replicateObject(placement, { objectId, to })
  } finally {
    placement.policy = policy
  }
}

/** With the faults gone, the jobs bring every object to where it belongs, and the counters add up. */
async function checkConvergence(rig: Rig, model: Model): Promise<void> {
  const { placement } = rig
  for (const place of PLACES) faultsOf(rig, place).clear()
  await new Promise((resolve) => setTimeout(resolve, 170))
  for (let round = 0; round < 4; round += 1) {
    await sweepPlacement(placement)
    for (const objectId of model.acknowledged.keys()) {
      await database.db.deleteFrom('local_lease').where('object_id', '=', objectId).execute()
      if (model.deleted.has(objectId)) await tolerate(() => purgeObject(placement, { objectId }))
      // As the sweep has it: where everything is suspect, one that is intact is trusted again first, wherever
      // it lies.
      for (const to of [...(await suspectsOf(objectId)), ...placement.policy.original])
        await tolerate(() => replicateObject(placement, { objectId, to }))
      for (const from of PLACES) await tolerate(() => evictReplica(placement, { objectId, from }))
    }
  }
  for (const [objectId, { sha256: expected }] of model.acknowledged) {
    const loaded = await loadObject(database.db, objectId)
    if (model.deleted.has(objectId)) {
      assert.equal(loaded, null, 'a purged object leaves no row')
      continue
    }
    const places = loaded!.replicas.map(({ locationId, state }) => `${locationId} ${state}`).sort()
    const wanted = placement.policy.original.map((id) => `${id} verified`).sort()
    assert.deepEqual(places, wanted)
    // A copy that the world damaged after its proof is found when another one is to be given up for it, which
    // checkInvariants watches, or by reading it; until then it may stand.
    for (const replica of loaded!.replicas) {
      if (model.damaged.has(replica.key)) continue
      const bytes = await bytesOf(rig, replica)
      assert.equal(bytes && sha256(bytes), expected, `the copy at ${replica.locationId} is not intact`)
    }
  }
  const { originals } = await storageStatus(placement)
  const sum = ['localOnly', 'both', 'offloaded', 'atRisk', 'inFlight'] as const
  assert.equal(
    originals.total.count,
    sum.reduce((total, place) => total + originals[place].count, 0),
  )
}

async function suspectsOf(objectId: string): Promise<string[]> {
  const loaded = await loadObject(database.db, objectId)
  const suspects = loaded?.replicas.filter(({ state }) => state === 'suspect') ?? []
  return suspects.map(({ locationId }) => locationId)
}

/**
 * The world damages or loses a copy behind our back, but never the last intact one: that no software can
 * undo.
 */
async function damage(
  rig: Rig,
  model: Model,
  objectId: string,
  place: Place,
  how: 'damage' | 'lose',
): Promise<void> {
  const loaded = await loadObject(database.db, objectId)
  const replica = loaded?.replicas.find(({ locationId }) => locationId === place)
  if (!loaded || !replica || model.deleted.has(objectId)) return
  const expected = model.acknowledged.get(objectId)!
  let others = 0
  for (const other of loaded.replicas) {
    if (other.locationId === place || other.state !== 'verified') continue
    const bytes = await bytesOf(rig, other)
    if (bytes && sha256(bytes) === expected.sha256) others += 1
  }
  if (others === 0) return
  const bytes = await bytesOf(rig, replica)
  if (bytes === null) return
  model.damaged.add(replica.key)
  const damaged = Buffer.from(bytes)
  if (damaged.length > 0) damaged[damaged.length >> 1]! ^= 0xff
  if (place === 'local') {
    const path = rig.disk.inner.localFiles!.path(replica.key)
    if (how === 'lose') await rm(path)
    else await writeFile(path, damaged)
    return
  }
  const { held } = rig.remotes.get(place)!.inner
  if (how === 'lose') held.delete(replica.key)
  else held.set(replica.key, { bytes: damaged, modifiedAt: new Date() })
}

async function bytesOf(rig: Rig, replica: Replica): Promise<Buffer | null> {
  if (replica.locationId !== 'local') {
    return rig.remotes.get(replica.locationId)!.inner.held.get(replica.key)?.bytes ?? null
  }
  const path = rig.disk.inner.localFiles!.path(replica.key)
  return readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
}

function faultsOf(rig: Rig, place: Place) {
  return place === 'local' ? rig.disk : rig.remotes.get(place)!
}

async function countEvictions(objectIds: string[]): Promise<number> {
  if (objectIds.length === 0) return 0
  const row = await database.db
    .selectFrom('placement_event')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('object_id', 'in', objectIds)
    .where('actor', '=', 'job evict-replica')
    .where('from_state', '=', 'evicting')
    .executeTakeFirstOrThrow()
  return row.count
}

/**
 * Each run has places of its own; the ledger of the last run's is put away, rows that no API of ours could
 * remove included.
 */
async function forgetEarlierRuns(): Promise<void> {
  await sql`set session_replication_role = replica; truncate replica, stored_object, local_lease, location, used_key, placement_event cascade; set session_replication_role = origin`.execute(
    database.db,
  )
}

async function digestOf(stream: AsyncIterable<Buffer>): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of stream) {
    hash.update(chunk)
    size += chunk.length
  }
  return { sha256: hash.digest('hex'), size }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
