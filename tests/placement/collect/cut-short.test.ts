/** Removals of files that belong to nothing, which something comes between: a sleep, a kill, a lost answer. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { undoCollection } from '../../../src/placement/collect/decide.ts'
import { removeStray, type StrayBytes } from '../../../src/placement/removal/remove-stray.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { systemClock } from '../../../src/storage/moment.ts'
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
