import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { sql } from 'kysely'
import type { Database, Tx } from '../../../src/database/connect.ts'
import { AppError } from '../../../src/errors.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { releaseProcessingLease } from '../../../src/placement/ledger/leases.ts'
import { enqueueNextSteps } from '../../../src/placement/ledger/next-steps.ts'
import { beginReplica, loadObject, proveReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { confirmLocation } from '../../../src/placement/locations/locations.ts'
import { rebalance, rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { openPlacement } from '../../../src/placement/open.ts'
import { receiptOf } from '../../../src/placement/reports/receipt.ts'
import { ingestStaged } from '../../../src/placement/uploads/ingest.ts'
import { stageStream } from '../../../src/placement/uploads/stage.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { ingestBytes, locationOfBackend, policyOf } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const { s3, places, offload } = rig

/** The transaction is committed, and its answer lost; `then` happens before anybody notices. */
function losingCommits(db: Database, then: () => Promise<void> = async () => undefined): Database {
  return new Proxy(db, {
    get(target, name) {
      if (name !== 'transaction') {
        const value = Reflect.get(target, name) as unknown
        return typeof value === 'function' ? value.bind(target) : value
      }
      return () => ({
        execute: async (work: (tx: Tx) => Promise<unknown>) => {
          await target.transaction().execute(work)
          await then()
          throw new Error('the connection was lost at commit')
        },
      })
    },
  })
}

async function expireWriters(): Promise<void> {
  await sql`update replica set lease_expires_at = now() - interval '1 minute' where state = 'writing'`.execute(
    rig.db,
  )
}

async function jobsOf(objectId: string): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    select key from graphile_worker.jobs where key like ${`%${objectId}%`} order by key`.execute(rig.db)
  return rows.map(({ key }) => key.replace(objectId, 'id'))
}

/** What `ingestStaged` is given of these bytes. */
async function stagedOriginal(bytes: Buffer) {
  return {
    kind: 'original' as const,
    ownerId: randomUUID(),
    assetId: randomUUID(),
    contentType: 'image/jpeg',
    extension: 'jpg',
    staged: await stageStream(rig.placement, Readable.from([bytes]), { maxBytes: 1e6 }),
  }
}

async function localFiles(): Promise<string[]> {
  const entries = await readdir(rig.mediaLocation, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name)
}

test('an original is copied, proven, and only then leaves the disk; each step enqueues the next', async () => {
  const bytes = randomBytes(300_000)
  const id = await ingestBytes(rig.placement, bytes)
  assert.deepEqual(await places(id), ['local verified'])
  assert.deepEqual(await jobsOf(id), ['replicate:id:s3'])

  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.deepEqual(await jobsOf(id), ['evict:id:local', 'replicate:id:s3'])

  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.deepEqual(await localFiles(), [])
  const [held] = [...s3().inner.held.values()]
  assert.deepEqual(held!.bytes, bytes)
  const receipt = await receiptOf(rig.placement, id)
  assert.equal(receipt.sha256, createHash('sha256').update(bytes).digest('hex'))
  assert.equal(receipt.replicas[0]!.proofLevel, 3)
  assert.deepEqual(
    receipt.history.map(({ location, from, to }) => `${location} ${from} ${to}`),
    [
      'local null writing',
      'local writing verified',
      's3 null writing',
      's3 writing verified',
      'local verified evicting',
      'local evicting null',
    ],
  )
})

test('an offload costs one put, at most one HEAD and no get', async () => {
  await offload(await ingestBytes(rig.placement, randomBytes(1000)))
  assert.deepEqual(s3().calls, { head: 1, get: 0, put: 1, delete: 0 })
})

test('every step may run again', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  for (let round = 0; round < 3; round += 1) await offload(id)
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.equal(s3().calls.put, 1)
})

test('a fresh original stays at hand until it is processed', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000), { keepLocalUntilProcessed: true })
  await offload(id)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.deepEqual(await jobsOf(id), ['replicate:id:s3'])
  await rig.db.transaction().execute((tx) => releaseProcessingLease(tx, rig.placement, id))
  assert.deepEqual(await jobsOf(id), ['evict:id:local', 'replicate:id:s3'])
  await offload(id)
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('the hold is waited out', async () => {
  Object.assign(rig.placement.settings, { holdMs: 3_600_000 })
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 'local' }), (error) => {
    return error instanceof RetryLater && error.delayMs > 3_500_000
  })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('deleteLocalAfterUpload: false keeps the local original', async () => {
  Object.assign(rig.placement.settings, { deleteLocalAfterUpload: false })
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await offload(id)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('a bucket that does not answer permits nothing', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  s3().plan({ call: 'head', when: 'before' })
  await assert.rejects(evictReplica(rig.placement, { objectId: id, from: 'local' }), RetryLater)
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

for (const lie of ['lost', 'damaged', 'truncated'] as const) {
  test(`a copy that is ${lie} in the bucket is found before the local one goes, and made anew under a fresh key`, async () => {
    const id = await ingestBytes(rig.placement, randomBytes(1000))
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    const [key, held] = [...s3().inner.held.entries()][0]!
    if (lie === 'lost') s3().inner.held.delete(key)
    if (lie === 'damaged') held.bytes[7]! ^= 1
    if (lie === 'truncated') s3().inner.held.set(key, { ...held, bytes: held.bytes.subarray(0, 500) })

    await evictReplica(rig.placement, { objectId: id, from: 'local' })
    assert.deepEqual(await places(id), ['local verified', 's3 suspect'])
    assert.ok((await jobsOf(id)).includes('replicate:id:s3'))

    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    await replicateObject(rig.placement, { objectId: id, to: 's3' })
    await evictReplica(rig.placement, { objectId: id, from: 'local' })
    assert.deepEqual(await places(id), ['s3 verified'])
    const again = [...s3().inner.held.keys()]
    assert.equal(again.length, 1)
    assert.notEqual(again[0], key)
  })
}

test('a bucket that attests to nothing is read back before the local copy goes', async () => {
  s3().inner.useFeatures({ ...s3().inner.features, attestedDigests: [] })
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const receipt = await receiptOf(rig.placement, id)
  assert.equal(receipt.replicas.find(({ location }) => location === 's3')!.proofLevel, 4)
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('where a bucket attests to nothing, a damaged copy of the right size is found before the local one goes', async () => {
  s3().inner.useFeatures({ ...s3().inner.features, attestedDigests: [] })
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const [held] = s3().inner.held.values()
  held!.bytes[7]! ^= 1
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['local verified', 's3 suspect'])
})

test('a put that committed but answered with an error is looked at, and kept', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  s3().plan({ call: 'put', when: 'after' })
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  const [key] = s3().inner.held.keys()
  await offload(id)
  assert.ok(s3().inner.held.has(key!))
  assert.equal(s3().inner.held.size, 1)
  assert.deepEqual(await places(id), ['s3 verified'])
})

test('when that look fails, too, the next attempt looks at what the row names', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  s3().plan({ call: 'put', when: 'after' })
  s3().plan({ call: 'head', when: 'before' })
  await assert.rejects(replicateObject(rig.placement, { objectId: id, to: 's3' }))
  assert.deepEqual(await places(id), ['local verified', 's3 writing'])
  await evictReplica(rig.placement, { objectId: id, from: 'local' })
  assert.deepEqual(await places(id), ['local verified', 's3 writing'])
  const [left] = s3().inner.held.keys()
  await expireWriters()
  await offload(id)
  assert.ok(s3().inner.held.has(left!))
  assert.equal(s3().inner.held.size, 1)
})

test('a proof whose commit seemed to fail is not undone: by now it may be the only copy', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  const db = losingCommits(rig.placement.db, () =>
    evictReplica(rig.placement, { objectId: id, from: 'local' }),
  )
  await assert.rejects(replicateObject({ ...rig.placement, db }, { objectId: id, to: 's3' }), {
    message: 'the connection was lost at commit',
  })
  assert.deepEqual(await places(id), ['s3 verified'])
  assert.equal(s3().inner.held.size, 1)
})

test('a writer that comes back to life while the sweep goes through the dead keeps what it proves', async () => {
  const ids: string[] = []
  const keys: ObjectKey[] = []
  const whole = new Map<string, Buffer>()
  for (const _ of [1, 2]) {
    const bytes = randomBytes(1000)
    const objectId = await ingestBytes(rig.placement, bytes)
    const key = freshKey((await loadObject(rig.db, objectId))!.object)
    await beginReplica(rig.db, { objectId, locationId: 's3', key, actor: 'test', leaseMs: -1 })
    s3().inner.held.set(key, { bytes: bytes.subarray(1), modifiedAt: new Date() })
    whole.set(key, bytes)
    ids.push(objectId)
    keys.push(key)
  }
  const remove = s3().backend.delete
  const came = { back: -1 }
  s3().backend.delete = async (gone, options) => {
    // The sweep has read which writers are dead, and removes what the first of them left.
    if (came.back < 0) {
      came.back = 1 - keys.indexOf(gone.keys[0]!)
      const objectId = ids[came.back]!
      const key = keys[came.back]!
      s3().inner.held.set(key, { bytes: whole.get(key)!, modifiedAt: new Date() })
      await proveReplica(
        rig.db,
        { objectId, locationId: 's3', key },
        { level: 4, proof: { method: 'read-back' }, actor: 'test' },
      )
      await evictReplica(rig.placement, { objectId, from: 'local' })
    }
    return remove(gone, options)
  }
  assert.equal((await sweepPlacement(rig.placement)).abandonedWrites, 1)
  assert.deepEqual(await places(ids[came.back]!), ['s3 verified'])
  assert.deepEqual(await places(ids[1 - came.back]!), ['local verified'])
  assert.deepEqual([...s3().inner.held.keys()], [keys[came.back]])
})

test('when an ingest answers, everybody sees what it has committed', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  // Another connection than the one of the ingest, or the same one after it.
  const { rows } = await sql<{ is_linked: boolean; state: string }>`
    select o.is_linked, r.state from stored_object o join replica r on r.object_id = o.id where o.id = ${id}`.execute(
    rig.db,
  )
  assert.deepEqual(rows, [{ is_linked: true, state: 'verified' }])
})

test('an ingest whose commit fails leaves nothing, and the same bytes can be uploaded again', async () => {
  const bytes = randomBytes(5000)
  const what = await stagedOriginal(bytes)
  await assert.rejects(
    ingestStaged(rig.placement, what, async () => {
      throw new AppError('conflict', 'somebody else was first')
    }),
    { message: 'somebody else was first' },
  )
  assert.deepEqual(await localFiles(), [])
  const left = await rig.db.selectFrom('stored_object').select('id').execute()
  assert.deepEqual(left, [])
  assert.deepEqual(await places(await ingestBytes(rig.placement, bytes)), ['local verified'])
})

test('a commit that happened although it seemed to fail keeps its bytes', async () => {
  const bytes = randomBytes(5000)
  const what = await stagedOriginal(bytes)
  let objectId = ''
  const db = losingCommits(rig.placement.db)
  await assert.rejects(
    ingestStaged({ ...rig.placement, db }, what, async (_tx, id) => {
      objectId = id
    }),
    { message: 'the connection was lost at commit' },
  )
  assert.deepEqual(await places(objectId), ['local verified'])
  assert.equal((await localFiles()).length, 1)
})

test('purging removes every replica and the row, and waits for a place that is away', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await rig.db.transaction().execute((tx) => markForPurge(tx, [id], 'user'))
  s3().plan({ call: 'delete', when: 'before' })
  await assert.rejects(purgeObject(rig.placement, { objectId: id }))
  await purgeObject(rig.placement, { objectId: id })
  assert.equal(await loadObject(rig.db, id), null)
  assert.equal(s3().inner.held.size, 0)
  assert.deepEqual(await localFiles(), [])
})

test('a purge of an object that lives removes nothing', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  await purgeObject(rig.placement, { objectId: id })
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
})

test('a media location whose mount is missing is refused, not written beside', async () => {
  await rm(join(rig.mediaLocation, '.glassine-location'))
  const reopen = () =>
    openPlacement({
      db: rig.db,
      log: rig.placement.log,
      locations: [rig.placement.local, rig.placement.locations.get('s3')!],
      localId: 'local',
      mediaLocation: rig.mediaLocation,
      policy: policyOf(['s3']),
      isAwaited: isOfUnendedUpload,
    })
  await assert.rejects(
    reopen(),
    (error: AppError) => error.code === 'conflict' && /mounted/.test(error.message),
  )
  assert.equal(existsSync(join(rig.mediaLocation, '.glassine-location')), false)
})

test('a bucket that became another one is refused before the first write', async () => {
  const another = locationOfBackend('s3', 'memory', openMemoryBackend())
  const swapped = {
    ...rig.placement,
    locations: new Map([...rig.placement.locations, ['s3', another]]),
  }
  const id = await ingestBytes(rig.placement, randomBytes(10))
  await assert.rejects(replicateObject(swapped, { objectId: id, to: 's3' }), { code: 'conflict' })
  const moved = { ...another, identity: 'elsewhere' }
  await assert.rejects(confirmLocation(swapped, moved), (error: AppError) =>
    /was test s3/.test(error.message),
  )
  const foreign = openMemoryBackend()
  await foreign.writeMarker('another installation')
  const unseen = locationOfBackend('new', 'memory', foreign)
  swapped.locations.set('new', unseen)
  await assert.rejects(confirmLocation(swapped, unseen), { code: 'conflict' })
})

test('the sweep removes what a killed process left: staged files, unlinked objects', async () => {
  const staged = await stageStream(
    rig.placement,
    (async function* () {
      yield Buffer.from('x')
    })(),
    { maxBytes: 10 },
  )
  const later = { ...rig.placement, now: () => new Date(Date.now() + 2 * 24 * 3_600_000) }
  assert.equal((await sweepPlacement(rig.placement)).stagedFiles, 0)
  assert.equal((await sweepPlacement(later)).stagedFiles, 1)
  assert.equal(existsSync(staged.path), false)

  const id = randomUUID()
  await rig.db
    .insertInto('stored_object')
    .values({
      id,
      owner_id: id,
      kind: 'original',
      size: 1,
      sha256: Buffer.alloc(32),
      content_type: 'x',
      extension: 'x',
    })
    .execute()
  assert.equal((await sweepPlacement(rig.placement)).discardedObjects, 0)
  assert.equal((await sweepPlacement(later)).discardedObjects, 1)
  assert.deepEqual(await jobsOf(id), ['purge:id'])
  await purgeObject(rig.placement, { objectId: id })
  assert.equal(await loadObject(rig.db, id), null)
})

test('objects that a changed policy wants elsewhere are found by the next sweep, others once an hour', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(1000), { kind: 'preview' })
  assert.equal((await sweepPlacement(rig.placement)).rebalancedObjects, 0)
  Object.assign(rig.placement, { policy: policyOf(['s3'], ['s3']) })
  assert.equal((await sweepPlacement(rig.placement)).rebalancedObjects, 1)
  assert.deepEqual(await jobsOf(id), ['replicate:id:s3'])
  rebalanceAnew(rig.placement)
  assert.equal((await sweepPlacement(rig.placement)).rebalancedObjects, 0, 'it has its job')
  await sql`delete from graphile_worker._private_jobs`.execute(rig.db)
  assert.equal(
    (await sweepPlacement(rig.placement)).rebalancedObjects,
    0,
    'all objects are looked through once an hour',
  )
  rebalanceAnew(rig.placement)
  assert.equal((await sweepPlacement(rig.placement)).rebalancedObjects, 1)
})

test('however many originals are lost, one whose bytes are there again is looked at', async () => {
  await sql`
    with lost as (
      insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension, is_linked)
      select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, gen_random_uuid(), 'original', 1,
        decode(repeat('00', 32), 'hex'), 'image/jpeg', 'jpg', true
      from generate_series(1, 520) n returning id)
    insert into replica (object_id, location_id, key, state, lease_expires_at, actor)
    select id, 's3', 'lost/' || id, 'writing', now(), 'test' from lost`.execute(rig.db)
  const make = (state: string) =>
    sql`update replica set state = ${state}, proof_level = 3, verified_at = now()`.execute(rig.db)
  await make('verified')
  await make('suspect')
  const id = await ingestBytes(rig.placement, randomBytes(1000))
  await offload(id)
  await sql`update replica set state = 'suspect' where object_id = ${id}`.execute(rig.db)
  const asked: string[] = []
  for (let hour = 1; hour <= 6 && asked.length === 0; hour += 1) {
    // Those of the hour before have found nothing, and are done.
    await sql`delete from graphile_worker._private_jobs`.execute(rig.db)
    rebalanceAnew(rig.placement)
    await rebalance(rig.placement)
    asked.push(...(await jobsOf(id)))
  }
  assert.deepEqual(asked, ['replicate:id:s3'])
})

test('an upload over the limit or cut short leaves nothing staged', async () => {
  const chunks = (async function* () {
    yield Buffer.alloc(600)
    yield Buffer.alloc(600)
  })()
  await assert.rejects(stageStream(rig.placement, chunks, { maxBytes: 1000 }), { code: 'too-large' })
  const cut = (async function* () {
    yield Buffer.alloc(600)
    throw new Error('connection reset')
  })()
  await assert.rejects(stageStream(rig.placement, cut, { maxBytes: 1000 }), { message: 'connection reset' })
  assert.deepEqual(await localFiles(), [])
})

test('a proof and the end of processing that commit at the same moment still lead to the eviction', async () => {
  for (let round = 0; round < 15; round += 1) {
    const id = await ingestBytes(rig.placement, randomBytes(100), { keepLocalUntilProcessed: true })
    await Promise.all([
      replicateObject(rig.placement, { objectId: id, to: 's3' }),
      rig.db.transaction().execute((tx) => releaseProcessingLease(tx, rig.placement, id)),
    ])
    assert.ok((await jobsOf(id)).includes('evict:id:local'), `round ${round}`)
  }
})

test('the end of processing waits for a proof that is about to commit', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(100), { keepLocalUntilProcessed: true })
  await replicateObject(rig.placement, { objectId: id, to: 's3' })
  const loaded = await loadObject(rig.db, id)
  const held = loaded!.replicas.find(({ locationId }) => locationId === 's3')!
  // What replicate does at its end, held open while the lease is released beside it.
  let release: Promise<void> | null = null
  await rig.db.transaction().execute(async (tx) => {
    await proveReplica(tx, held, { level: 3, proof: held.proof!, actor: 'test' })
    await enqueueNextSteps(tx, rig.placement, id)
    release = rig.db.transaction().execute((other) => releaseProcessingLease(other, rig.placement, id))
    await untilLockIsAwaited(rig.pool)
    assert.deepEqual(await jobsOf(id), ['replicate:id:s3'], 'it has not looked yet')
  })
  await release
  assert.ok((await jobsOf(id)).includes('evict:id:local'))
})

test('of two replications of one object at the same moment one waits', async () => {
  const id = await ingestBytes(rig.placement, randomBytes(100_000))
  const ends = await Promise.allSettled(
    [1, 2, 3].map(() => replicateObject(rig.placement, { objectId: id, to: 's3' })),
  )
  for (const end of ends)
    if (end.status === 'rejected') assert.ok(end.reason instanceof RetryLater, String(end.reason))
  assert.ok(ends.some((end) => end.status === 'fulfilled'))
  assert.deepEqual(await places(id), ['local verified', 's3 verified'])
  assert.equal(s3().inner.held.size, 1)
})

test('an eviction notes the key that a URL may still put to, and only that', async () => {
  const [written, old] = [
    await ingestBytes(rig.placement, randomBytes(100)),
    await ingestBytes(rig.placement, randomBytes(100)),
  ]
  for (const [objectId, age] of [
    [written, '1 hour'],
    [old, '2 days'],
  ] as const) {
    await sql`update replica set writable_until = now() - ${age}::interval where object_id = ${objectId}`.execute(
      rig.db,
    )
    await offload(objectId)
  }
  const { rows } = await sql`select location_id, clear_at > now() as "isLater" from key_to_clear`.execute(
    rig.db,
  )
  assert.deepEqual(rows, [{ location_id: 'local', isLater: true }])
})
