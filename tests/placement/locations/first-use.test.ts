/** A place that is used for the first time: its marker is ours, whatever happens while it is written. */
import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { confirmLocation, locationOf, lookAtLocation } from '../../../src/placement/locations/locations.ts'
import { ledgerStatuses } from '../../../src/placement/takeover/ledger-status.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { type MemoryBackend, openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const bucket = () => locationOf(rig.placement, 's3')
const conflict = async () => (await ledgerStatuses(rig.placement)).get('s3')!.conflict
const rowOf = () =>
  rig.db
    .selectFrom('location')
    .select(['marker', 'next_marker', 'identity'])
    .where('id', '=', 's3')
    .executeTakeFirst()

/** What the bucket holds: nothing, and the ledger knows nothing of it either. */
let held: MemoryBackend
beforeEach(async () => {
  held = openMemoryBackend()
  const { backend } = rig.s3()
  backend.readMarker = () => held.readMarker()
  backend.writeMarker = (id) => held.writeMarker(id)
  backend.readCounter = () => held.readCounter()
  backend.writeCounter = (text, expected) => held.writeCounter(text, expected)
  await rig.pool.query(`delete from location_counter where location_id = 's3'`)
  await rig.pool.query(`delete from location where id = 's3'`)
  forgetLooks(rig.placement)
})

/** The next marker is written, and then `after` happens. */
function afterNextMarker(after: () => Promise<void>): void {
  const { backend } = rig.s3()
  backend.writeMarker = async (id) => {
    backend.writeMarker = (other) => held.writeMarker(other)
    await held.writeMarker(id)
    await after()
  }
}

const loseAnswer = () =>
  afterNextMarker(async () => {
    throw new StorageError('unavailable', 'no answer')
  })

test('a marker whose answer was lost is ours at the next look', async () => {
  loseAnswer()
  await assert.rejects(confirmLocation(rig.placement, bucket()), /no answer/)
  const written = await held.readMarker()
  assert.notEqual(written, null)
  await confirmLocation(rig.placement, bucket())
  assert.equal(await held.readMarker(), written)
  assert.deepEqual(await rowOf(), { marker: written, next_marker: null, identity: bucket().identity })
  assert.equal(await conflict(), null)
})

test('a process of ours that starts while another one writes the marker finds no other ledger', async () => {
  const markers: (string | undefined)[] = []
  afterNextMarker(async () => {
    const other = await testPlacement(rig.db, {
      remotes: [],
      extra: [locationOfBackend('s3', 'memory', held)],
      mediaLocation: rig.placement.mediaLocation,
    })
    try {
      await confirmLocation(other.placement, locationOf(other.placement, 's3'))
      markers.push((await rowOf())?.marker ?? undefined)
    } finally {
      await other.close()
    }
  })
  await confirmLocation(rig.placement, bucket())
  assert.equal(await conflict(), null)
  assert.deepEqual(markers, [await held.readMarker()])
  assert.deepEqual(await rowOf(), {
    marker: await held.readMarker(),
    next_marker: null,
    identity: bucket().identity,
  })
})

test('a check that comes while this process writes the marker finds no other ledger', async () => {
  afterNextMarker(() => lookAtLocation(rig.placement, bucket()))
  await confirmLocation(rig.placement, bucket())
  assert.equal(await conflict(), null)
})

test('a process of an older configuration works at no address but that of the ledger', async () => {
  const { backend } = rig.s3()
  const there = openMemoryBackend()
  let looks = 0
  backend.readMarker = async () => {
    looks += 1
    // The second look comes after the intent.
    if (looks !== 2) return held.readMarker()
    // The operator has corrected the address; the server with the right one comes first.
    const corrected = await testPlacement(rig.db, {
      remotes: [],
      extra: [{ ...locationOfBackend('s3', 'memory', there), identity: 'the right address' }],
      mediaLocation: rig.placement.mediaLocation,
    })
    await confirmLocation(corrected.placement, locationOf(corrected.placement, 's3'))
    await corrected.close()
    return null
  }
  await assert.rejects(confirmLocation(rig.placement, bucket()), { code: 'conflict' })
  assert.deepEqual(await rowOf(), {
    marker: await there.readMarker(),
    next_marker: null,
    identity: 'the right address',
  })
  assert.equal(await held.readCounter(), null, 'no counter was begun at the other address')
})

test('a marker that was intended for another address is none of ours here', async () => {
  loseAnswer()
  await assert.rejects(confirmLocation(rig.placement, bucket()), /no answer/)
  bucket().identity = 'another place'
  await assert.rejects(confirmLocation(rig.placement, bucket()), { code: 'conflict' })
  assert.equal(await conflict(), 'another-ledger')
})

test('a copy of the database that has the same intent finds that the place was used since', async () => {
  loseAnswer()
  await assert.rejects(confirmLocation(rig.placement, bucket()), /no answer/)
  const copied = (await rowOf())!
  await confirmLocation(rig.placement, bucket())
  // The copy goes on where the original was at the moment of the copy.
  await rig.pool.query(`delete from location_counter where location_id = 's3'`)
  await rig.pool.query(`update location set marker = null, next_marker = $1 where id = 's3'`, [
    copied.next_marker,
  ])
  forgetLooks(rig.placement)
  await assert.rejects(confirmLocation(rig.placement, bucket()), { code: 'conflict' })
  assert.equal(await conflict(), 'another-ledger')
})
