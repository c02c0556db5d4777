/** Removals of files that belong to nothing, which something comes between: a sleep, a kill, a lost answer. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { removeStray, type StrayBytes } from '../../../src/placement/removal/remove-stray.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { systemClock } from '../../../src/storage/moment.ts'
import { startStrayRig, strayKey } from '../../support/storage/strays.ts'

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
  const uploadId = await multipart.begin(key)
  const [begun] = await Array.fromAsync(multipart.listUnfinished(key))
  const stray: StrayBytes = {
    ...{ locationId: 's3', key, uploadId, size: 0, etag: null },
    lastModified: begun!.startedAt!,
  }
  await assert.rejects(removeStray(rig.placement, stray, rig.claim), RetryLater)
  assert.equal((await rig.server.stored.unfinishedUploads()).length, 1)
  assert.equal(await removeStray(rig.placement, stray, async () => true), 'removed')
})
