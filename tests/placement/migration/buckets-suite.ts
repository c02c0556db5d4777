/** Campaigns between two buckets and a real disk, whoever serves the buckets. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { probeLocation } from '../../../src/placement/locations/locations.ts'
import { rollBackCampaign } from '../../../src/placement/migration/actions.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { ask, upToHold, work } from '../../support/campaign.ts'
import { ingestBytes, locationOfBackend, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

/** One that goes in parts, one that goes whole, and one without a byte. */
const SIZES = [11 * 1024 * 1024, 200_000, 0]

export function bucketsSuite(settingsOf: (which: 'first' | 'second') => Promise<S3Settings>): void {
  test('files of all sizes go from bucket to bucket and to the disk, and back', async (t) => {
    const database = await testDatabase()
    const extra = []
    for (const id of ['first', 'second'] as const) {
      const settings = await settingsOf(id)
      const location = locationOfBackend(id, 's3', openS3Backend(settings, silentLog))
      extra.push({ ...location, probe: () => probeS3(settings, silentLog) })
    }
    const rig = await testPlacement(database.db, {
      remotes: [],
      originals: ['first'],
      extra,
      settings: { campaigns: true },
    })
    t.after(async () => {
      await rig.close()
      await database.drop()
    })
    const { placement } = rig
    for (const { id } of extra) await probeLocation(placement, id)
    const files = new Map<string, Buffer>()
    for (const size of SIZES) {
      const bytes = randomBytes(size)
      const objectId = await ingestBytes(placement, bytes)
      await replicateObject(placement, { objectId, to: 'first' })
      await evictReplica(placement, { objectId, from: 'local' })
      files.set(objectId, bytes)
    }
    const requireAt = async (where: string[]) => {
      for (const [id, bytes] of files) {
        assert.deepEqual(
          await placesOf(database.db, id),
          where.map((one) => `${one} verified`),
        )
        assert.ok((await buffer(await (await findServable(placement, id)).open())).equals(bytes))
      }
    }

    const there = await upToHold(placement, { fromIds: ['first'], toIds: ['second'] })
    await requireAt(['first', 'second'])
    for (const id of files.keys()) {
      const { object, replicas } = (await loadObject(database.db, id))!
      assert.equal(object.readFirst, 'second')
      assert.ok(replicas.every(({ proofLevel }) => (proofLevel ?? 0) >= 3))
    }
    assert.equal(await ask(placement, there, 'reclaim'), 'done')
    await requireAt(['second'])

    const home = await upToHold(placement, { fromIds: ['second'], toIds: ['local'] })
    await requireAt(['local', 'second'])
    await rollBackCampaign(placement, home, 'test')
    assert.equal(await work(placement, home), 'rolled-back')
    for (const objectId of files.keys()) await evictReplica(placement, { objectId, from: 'local' })
    await requireAt(['second'])
  })
}
