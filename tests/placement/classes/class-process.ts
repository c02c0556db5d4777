/**
 * Changes the class of one object, or sweeps, in a process of its own, to be killed. argv: JSON of where
 * everything is.
 */
import { connectDatabase } from '../../../src/database/connect.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { openPlacement } from '../../../src/placement/open.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { locationOfBackend, policyOf } from '../../support/placement.ts'

const { databaseUrl, mediaLocation, settings, features, objectId, classes, aheadMs, does } = JSON.parse(
  process.argv[2] ?? '',
)
const { db } = connectDatabase(databaseUrl, silentLog)
const backend = openS3Backend(settings, silentLog)
backend.useFeatures(features)
const placement = await openPlacement({
  db,
  log: silentLog,
  locations: [
    locationOfBackend('local', 'disk', openDiskBackend({ root: mediaLocation, log: silentLog })),
    locationOfBackend('bucket', 's3', backend),
  ],
  localId: 'local',
  mediaLocation,
  policy: policyOf(['bucket']),
  isAwaited: isOfUnendedUpload,
  classes,
  settings: { removalWaitMs: 0, lateRequestMs: 0 },
  now: () => new Date(Date.now() + aheadMs),
})
if (does === 'sweep') await sweepPlacement(placement)
else await changeClass(placement, { objectId, at: 'bucket' })
process.exit(0)
