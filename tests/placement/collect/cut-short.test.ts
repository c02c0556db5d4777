/**
 * Removals of files that belong to nothing, which something comes between: a sleep, a kill, a lost answer.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { adoptObject, type ReadBytes, readBytes } from '../../../src/placement/catalogue/adopt-object.ts'
import { undoCollection } from '../../../src/placement/collect/decide.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { removeStray, type StrayBytes } from '../../../src/placement/removal/remove-stray.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { type StorageBackend, StorageError } from '../../../src/storage/backend.ts'
import { before, systemClock } from '../../../src/storage/moment.ts'
import { DAY_MS, passDays, startStrayRig, strayKey } from '../../support/storage/strays.ts'

const TEN_MINUTES_MS = 10 * 60_000

async function startSleepyRig(t: TestContext) {
  let sleptMs = 0
  const clock = () => {
    const { steadyMs, bootMs, wallMs } = systemClock()
    return { steadyMs, bootMs: bootMs + sleptMs, wallMs: wallMs + sleptMs }
  }
  const rig = await startStrayRig(t, { clock })
  /** The machine sleeps right after the claim. */
  const claim = async () => {
    sleptMs += TEN_MINUTES_MS
    return true
  }
  return { ...rig, claim }
}

test('a process that slept over its claim removes no file: somebody may have settled it meanwhile', async (t) => {
  const rig = await startSleepyRig(t)
  const key = await rig.stray(randomBytes(500))
  const held = (await rig.bucket.location.backend.head(key))!
  const { size, etag = null, modifiedAt: lastModified } = held
  const stray: StrayBytes = { locationId: 's3', key, uploadId: '', size, etag, lastModified }
  await assert.rejects(removeStray(rig.placement, stray, rig.claim), RetryLater)
  assert.deepEqual(await rig.held(), [key])
  assert.equal(await removeStray(rig.placement, stray, async () => true), 'removed')
})

test('nor does it end an upload in parts', async (t) => {
  const rig = await startSleepyRig(t)
  const key = strayKey()
  const multipart = rig.bucket.location.backend.multipart!
  await multipart.begin(key)
  const [begun] = await Array.fromAsync(multipart.listUnfinished(key))
  const stray: StrayBytes = {
    ...{ locationId: 's3', key, uploadId: begun!.uploadId, size: 0, etag: null },
    lastModified: begun!.startedAt,
  }
  await assert.rejects(removeStray(rig.placement, stray, rig.claim), RetryLater)
  assert.equal((await rig.server.stored.unfinishedUploads()).length, 1)
  assert.equal(await removeStray(rig.placement, stray, async () => true), 'removed')
})

test('a removal that was cut short is compared with what has lost a copy since, and comes to an end', async (t) => {
  const rig = await startStrayRig(t)
  const [needed, alike] = [randomBytes(4_000), randomBytes(4_000)]
  const id = await rig.offloaded(needed)
  const [key, other] = [await rig.stray(needed), await rig.stray(alike)]
  await rig.seeTwice()
  await rig.decide()
  await sql`update collection_item set state = 'removing', claimed_at = now(),
    lease_expires_at = now() - interval '1 second'`.execute(rig.db)
  await sql`update replica set state = 'suspect' where object_id = ${id}`.execute(rig.db)
  const report = await rig.collect()
  assert.deepEqual([report.adopted, report.removed], [1, 1])
  assert.deepEqual(await rig.places(id), ['s3 verified'])
  const held = await rig.held()
  assert.ok(held.includes(key), 'what was put anew from stays until no late deletion can come')
  assert.ok(!held.includes(other))
})

test('one that is refused for now is looked at again later, and not at once', async (t) => {
  const rig = await startStrayRig(t)
  const key = await rig.stray()
  await rig.seeTwice()
  await rig.decide()
  await sql`update collection_item set state = 'removing', claimed_at = now(),
    lease_expires_at = now() - interval '1 second'`.execute(rig.db)
  const strict = { ...rig.placement, settings: { ...rig.placement.settings, collectAgeMs: 30 * DAY_MS } }
  assert.equal((await rig.collect(strict)).removed, 0)
  assert.deepEqual(await rig.held(), [key])
  const item = await rig.db
    .selectFrom('collection_item')
    .select(['state', 'reason', 'claimed_at'])
    .executeTakeFirstOrThrow()
  assert.deepEqual([item.state, item.reason], ['held', 'not-now'])
  assert.ok(item.claimed_at, 'its deletion may be on its way')
})

test('on a disk its bytes become the copy under their own key', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  const { backend } = rig.placement.local
  const key = await rig.stray(bytes, { backend })
  await rig.seeTwice('local')
  await rig.decide({ id: 'local' })
  await sql`update collection_item set state = 'removing', claimed_at = now(),
    lease_expires_at = now() - interval '1 second'`.execute(rig.db)
  await sql`update replica set state = 'suspect' where object_id = ${id}`.execute(rig.db)
  const report = await rig.collect()
  assert.deepEqual([report.adopted, report.removed], [1, 0])
  assert.deepEqual(await rig.places(id), ['local verified', 's3 suspect'])
  assert.ok(await backend.head(key))
})

test('one whose decision was undone ends, also where its bytes can not become a copy now', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  await rig.offloaded(bytes)
  const key = await rig.stray(bytes)
  await rig.seeTwice()
  const decision = await rig.decide()
  await sql`update collection_item set state = 'removing', claimed_at = now(),
    lease_expires_at = now() - interval '1 second'`.execute(rig.db)
  await undoCollection(rig.placement, decision, 'test')
  await sql`update replica set proof = coalesce(proof, '{}') || '{"doubt": "its ETag is another one"}'`.execute(
    rig.db,
  )
  await rig.collect()
  await passDays(rig.db, 1)
  await sql`update replica set proof = proof - 'doubt'`.execute(rig.db)
  assert.equal((await rig.collect()).removed, 0)
  assert.ok((await rig.held()).includes(key))
  const { state } = await rig.db.selectFrom('collection_item').select('state').executeTakeFirstOrThrow()
  assert.equal(state, 'undone')
})

/** The answer to the next deletion gets lost, and the bucket carries it out when it is told to. */
function loseDeletion(backend: StorageBackend): () => Promise<void> {
  const remove = backend.delete
  const sent = Promise.withResolvers<() => Promise<void>>()
  backend.delete = async (...given) => {
    backend.delete = remove
    sent.resolve(() => remove.apply(backend, given))
    throw new StorageError('unavailable', 'the answer got lost')
  }
  return async () => (await sent.promise)()
}

test('a late deletion of an earlier decision finds nothing that a later one has made a copy', async (t) => {
  const rig = await startStrayRig(t)
  const bytes = randomBytes(4_000)
  const id = await rig.offloaded(bytes)
  const key = await rig.stray(bytes)
  await rig.seeTwice()
  const first = await rig.decide()
  const carryOut = loseDeletion(rig.bucket.location.backend)
  await rig.collect()
  await undoCollection(rig.placement, first, 'test')
  await passDays(rig.db, 1)
  await rig.collect()
  assert.equal((await rig.status()).state, 'undone')

  await sql`update replica set state = 'suspect'`.execute(rig.db)
  await rig.decide({ isDue: false })
  assert.equal((await rig.collect()).adopted, 1)
  await carryOut()
  const { replicas } = (await loadObject(rig.db, id))!
  assert.deepEqual(
    replicas.map(({ state }) => state),
    ['verified'],
  )
  assert.notEqual(replicas[0]!.key, key)
  assert.ok((await rig.held()).includes(replicas[0]!.key))
})

test('a catalogue takes nothing in whose deletion may still be carried out', async (t) => {
  const rig = await startStrayRig(t, { settings: { lateRequestMs: 3_600_000 } })
  const bytes = randomBytes(4_000)
  const key = await rig.stray(bytes)
  await rig.seeTwice()
  await rig.decide()
  const { location } = rig.bucket
  const named = { ownerId: randomUUID(), assetId: randomUUID(), kind: 'original' as const }
  const object = { ...named, contentType: 'image/jpeg', extension: 'jpg' }
  const adopt = async (read: ReadBytes) =>
    rig.db
      .transaction()
      .execute((tx) => adoptObject(tx, rig.placement, location, { ...object, id: randomUUID() }, read))
  const read = (await readBytes({ placement: rig.placement, location }, key, null)) as ReadBytes
  const askedAgo = (minutes: number) =>
    sql`update collection_item set state = 'undone',
      claimed_at = now() - ${minutes} * interval '1 minute'`.execute(rig.db)

  await askedAgo(59)
  await assert.rejects(adopt(read), RetryLater)
  // They were there two minutes ago, when it might still have come.
  await askedAgo(61)
  await assert.rejects(adopt({ ...read, beganAt: before(read.beganAt, 120_000) }), RetryLater)
  assert.deepEqual(await rig.db.selectFrom('stored_object').select('id').execute(), [])
  assert.equal(await adopt(read), true)
})
