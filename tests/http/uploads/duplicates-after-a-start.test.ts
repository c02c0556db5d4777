/**
 * What a server calls a duplicate that has just started, perhaps with a database that was put back: nothing
 * that only a place holds which it has not compared with that database.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endOwning, forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { forgetSeen, nameHolder } from '../../../src/placement/locations/counter/moved-installation.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import {
  announce,
  type DirectServer,
  hashOf,
  post,
  startDirectServer,
  type Upload,
} from '../../support/http/direct-upload.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { advanceAsAnother } from '../../support/storage/foreign-counter.ts'

type Offloaded = { server: DirectServer; id: string; bytes: Buffer }

async function offloaded(t: Parameters<typeof startDirectServer>[0]): Promise<Offloaded> {
  const server = await startDirectServer(t, { settings: { answerWithinMs: 2_000 } })
  const bytes = await photo()
  const { id } = await server.admin.upload(bytes, 'photo.jpg')
  await server.runJobs()
  assert.deepEqual(await placesOfAsset(server, id), ['s3 verified'])
  return { server, id, bytes }
}

async function placesOfAsset({ pool }: DirectServer, id: string): Promise<string[]> {
  const { rows } = await pool.query<{ place: string }>(
    `select location_id || ' ' || state as place from replica join asset on original_object_id = object_id
     where asset.id = $1 order by place`,
    [id],
  )
  return rows.map(({ place }) => place)
}

const originalsIn = async ({ bucket }: DirectServer) =>
  (await bucket.stored.objects()).filter(({ key }) => key.includes('/original.')).length

const allFail = ({ bucket }: DirectServer) =>
  bucket.faults.add({ match: {}, fault: { kind: 'status', status: 503, code: 'SlowDown' } })

/** What this process knew of the bucket is of the process before it. */
function startAnew({ placement }: DirectServer): void {
  forgetLooks(placement)
  forgetSeen(placement)
  endOwning(placement, placement.locations.get('s3')!)
}

/** The photo is deleted for good, and the ledger put back to when it was there. The counter tells of it. */
async function putBackAfterPurge({ server, id }: Offloaded): Promise<void> {
  const snapshot = await takeSnapshot(server.pool)
  await server.admin.call('/assets', {
    method: 'DELETE',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ids: [id], force: true }),
  })
  await server.runJobs()
  assert.equal(await originalsIn(server), 0)
  await advanceAsAnother(server.placement.locations.get('s3')!.backend)
  await restoreSnapshot(server.pool, snapshot)
}

/** Whether somebody who asks is told that the file is here, at each of the three doors. */
const DOORS: Record<string, (server: DirectServer, bytes: Buffer) => Promise<boolean>> = {
  'the check of many': async ({ admin }, bytes) => {
    const { results } = await admin.json<{ results: { action: string }[] }>('/assets/bulk-upload-check', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ assets: [{ id: 'x', checksum: hashOf('sha1', bytes) }] }),
    })
    return results[0]!.action === 'reject'
  },
  'an announced checksum': async ({ admin }, bytes) => {
    const answer = await admin.call('/assets', {
      method: 'POST',
      headers: { 'x-immich-checksum': hashOf('sha1', bytes) },
    })
    // No form follows: that is wrong, unless nothing of it is wanted.
    assert.ok([200, 400, 415].includes(answer.status), `${answer.status} ${await answer.text()}`)
    return answer.status === 200
  },
  'a direct upload': async ({ admin }, bytes) => {
    const answer = await post(admin, '', announce(bytes, 'photo.jpg'))
    // A bucket that can't be used takes none.
    if (answer.status === 503) return false
    assert.ok(answer.ok, `${answer.status}`)
    return ((await answer.json()) as Upload).status === 'duplicate'
  },
}

for (const [door, isDuplicate] of Object.entries(DOORS)) {
  test(`right after a start ${door} finds no duplicate in a bucket that was not looked at yet`, async (t) => {
    const made = await offloaded(t)
    const { server, bytes } = made
    assert.equal(await isDuplicate(server, bytes), true)
    await putBackAfterPurge(made)
    startAnew(server)
    assert.equal(await isDuplicate(server, bytes), false)
  })

  test(`${door} finds no duplicate in a bucket that has been away since the start`, async (t) => {
    const made = await offloaded(t)
    const { server, bytes } = made
    await putBackAfterPurge(made)
    allFail(server)
    startAnew(server)
    await checkLocations(server.placement)
    assert.equal(await isDuplicate(server, bytes), false)
  })
}

test('what is sent while the bucket has been away since the start is kept, whatever the ledger says', async (t) => {
  const made = await offloaded(t)
  const { server, id, bytes } = made
  await putBackAfterPurge(made)
  const fault = allFail(server)
  startAnew(server)
  await checkLocations(server.placement)
  assert.equal((await server.admin.upload(bytes, 'photo.jpg')).id, id)
  assert.deepEqual(await placesOfAsset(server, id), ['local verified', 's3 verified'])
  fault.remove()
  assert.equal(await server.admin.sha256OfOriginal(id), hashOf('sha256', bytes))
})

test('a copy of the installation that has just started finds no duplicate in the bucket of the original', async (t) => {
  const { server, bytes } = await offloaded(t)
  nameHolder(server.placement.local, 'another disk')
  startAnew(server)
  for (const isDuplicate of Object.values(DOORS)) assert.equal(await isDuplicate(server, bytes), false)
})

test('a bucket that went away after this process had looked at it is believed, and asked for nothing', async (t) => {
  const { server, bytes } = await offloaded(t)
  startAnew(server)
  await checkLocations(server.placement)
  const fault = allFail(server)
  await checkLocations(server.placement)
  server.bucket.counts.reset()
  for (const door of ['the check of many', 'an announced checksum'])
    assert.equal(await DOORS[door]!(server, bytes), true, door)
  assert.equal(server.bucket.counts.total, 0)
  fault.remove()
})

test('what is sent again while the bucket is away from the start is kept once, and offloaded when it is back', async (t) => {
  const { server, id, bytes } = await offloaded(t)
  const fault = allFail(server)
  startAnew(server)
  await checkLocations(server.placement)
  for (let sent = 0; sent < 3; sent += 1) assert.equal((await server.admin.upload(bytes, 'photo.jpg')).id, id)
  assert.deepEqual(await placesOfAsset(server, id), ['local verified', 's3 verified'])
  fault.remove()
  await checkLocations(server.placement)
  await server.pool.query('update graphile_worker._private_jobs set run_at = now()')
  await server.runJobs()
  assert.deepEqual(await placesOfAsset(server, id), ['s3 verified'])
  assert.equal(await originalsIn(server), 1)
})
