/**
 * A replica that came into the ledger after this process started, but before an adoption that another process
 * made: between the two another ledger used the place, and may have sent its deletion.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { ageLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { confirmLocation, lookAtLocation } from '../../../src/placement/locations/locations.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { restoreSnapshot, takeSnapshot } from '../../support/database/ledger-snapshot.ts'
import { ingestBytes, locationOfBackend, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const HOUR_MS = 3_600_000
let database: Awaited<ReturnType<typeof testDatabase>>
let copy: Awaited<ReturnType<typeof testDatabase>>
let rig: Awaited<ReturnType<typeof testPlacement>>
const opened: Placement[] = []
const folders: string[] = []

beforeEach(async () => {
  database = await testDatabase()
  copy = await testDatabase()
  // Our ledger keeps all waits, as in production.
  rig = await testPlacement(database.db, { settings: { removalWaitMs: 90_000, lateRequestMs: HOUR_MS } })
})
afterEach(async () => {
  for (const placement of opened.splice(0)) await closePlacement(placement)
  await rig.close()
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
  await database.drop()
  await copy.drop()
})

async function start(db = database.db, media = rig.mediaLocation, originals = ['s3'], waits = true) {
  const placement = await openPlacement({
    db,
    log: silentLog,
    locations: [
      locationOfBackend('local', 'disk', openDiskBackend({ root: media, log: silentLog })),
      locationOfBackend('s3', 'memory', rig.remotes.get('s3')!.backend),
    ],
    localId: 'local',
    mediaLocation: media,
    policy: policyOf(originals),
    isAwaited: isOfUnendedUpload,
    settings: {
      counterDoubtMs: 0,
      removalWaitMs: waits ? 90_000 : 0,
      lateRequestMs: waits ? HOUR_MS : 0,
    },
  })
  opened.push(placement)
  return placement
}

/** The counter, as before any write. */
async function advance(placement: Placement): Promise<void> {
  await database.pool.query(`update location_counter set advanced_at = now() - interval '5 minutes'`)
  ageLooks(placement, 5 * 60_000)
  await confirmLocation(placement, placement.locations.get('s3')!)
}

test('A: what is younger than this start and older than an adoption is not relied on: its deletion may be on its way', async () => {
  const server1 = rig.placement
  const bytes = randomBytes(1_000)
  // After the start of server 1, and acknowledged.
  const id = await ingestBytes(server1, bytes)
  await replicateObject(server1, { objectId: id, to: 's3' })

  // The installation is copied, and goes on.
  const folder = await mkdtemp(join(tmpdir(), 'glassine-copy-'))
  folders.push(folder)
  await cp(rig.mediaLocation, join(folder, 'media'), { recursive: true, preserveTimestamps: true })
  await restoreSnapshot(copy.pool, await takeSnapshot(database.pool))
  const server2 = await start()
  const s3 = server2.locations.get('s3')!
  await advance(server2)

  // The copy is started, and by mistake takes the bucket over. Its originals belong on its disk. Its own
  // waits are over.
  const wrong = await start(copy.db, join(folder, 'media'), ['local'], false)
  await assert.rejects(lookAtLocation(wrong, wrong.locations.get('s3')!), { code: 'conflict' })
  await beginAdoption(wrong, 's3', 'test')
  await adoptLocation(wrong, { locationId: 's3' })
  const { backend } = rig.remotes.get('s3')!
  const remove = backend.delete
  let late: (() => Promise<void>) | undefined
  backend.delete = async (permit) => {
    late = () => remove.call(backend, permit)
    throw new StorageError('unavailable', 'killed before the answer')
  }
  await assert.rejects(evictReplica(wrong, { objectId: id, from: 's3' }), /killed before/)
  backend.delete = remove
  assert.ok(late)
  await closePlacement(wrong)
  opened.splice(opened.indexOf(wrong), 1)

  // Server 2 of the original notices, and the administrator takes the place over there.
  await assert.rejects(lookAtLocation(server2, s3), { code: 'conflict' })
  await beginAdoption(server2, 's3', 'test')
  await adoptLocation(server2, { locationId: 's3' })

  // Server 1 was suspended meanwhile, and wakes.
  ageLooks(server1, 10 * 60_000)
  await assert.rejects(evictReplica(server1, { objectId: id, from: 'local' }), RetryLater)
  await late()
  assert.deepEqual(await buffer(await (await findServable(server2, id)).open()), bytes)
})
