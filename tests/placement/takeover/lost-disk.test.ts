/** The disk of the media location is lost for good; the database and the bucket are there. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { test } from 'node:test'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../../src/placement/takeover/adoption.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { ingestBytes, locationOfBackend, policyOf } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()

test('A7: with an empty disk in place of the lost one, the originals in the bucket are read again', async (t) => {
  const bytes = randomBytes(10_000)
  const inBucket = await rig.ingestOffloaded(bytes)
  const lost = await ingestBytes(rig.placement, randomBytes(1_000), { kind: 'thumbnail' })
  const { mediaLocation } = rig
  await rename(mediaLocation, `${mediaLocation}.lost`)
  await mkdir(mediaLocation)
  const start = () =>
    openPlacement({
      db: rig.db,
      log: silentLog,
      locations: [
        locationOfBackend('local', 'disk', openDiskBackend({ root: mediaLocation, log: silentLog })),
        locationOfBackend('s3', 'memory', rig.s3().backend),
      ],
      localId: 'local',
      mediaLocation,
      policy: policyOf(['s3']),
      isAwaited: isOfUnendedUpload,
      settings: { removalWaitMs: 0, lateRequestMs: 0, counterDoubtMs: 0 },
    })

  // Nobody can tell it from a mount that is missing, so the message says what to do where it is lost.
  const refusal: Error = await start().then(
    () => assert.fail('it starts beside a missing mount'),
    (error: Error) => error,
  )
  const [, marker, file] = /If .* lost for good, write (\S+) into (\S+)/.exec(refusal.message) ?? []
  assert.ok(marker && file, refusal.message)
  assert.equal(marker, (await readFile(join(`${mediaLocation}.lost`, file), 'utf8')).trim())
  await writeFile(join(mediaLocation, file), `${marker}\n`)

  const placement = await start()
  t.after(() => closePlacement(placement))
  const read = async () => buffer(await (await findServable(placement, inBucket)).open())
  assert.deepEqual(await read(), bytes)
  await beginAdoption(placement, 'local', 'test')
  const report = await adoptLocation(placement, { locationId: 'local' })
  assert.equal(report?.missing.count, 1)
  assert.deepEqual(await rig.places(lost), ['local suspect'])
  assert.deepEqual(await read(), bytes)
  const fresh = await ingestBytes(placement, randomBytes(1_000))
  assert.deepEqual(await rig.places(fresh), ['local verified'])
})
