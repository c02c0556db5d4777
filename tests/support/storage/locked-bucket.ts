/** A placement whose originals belong in a bucket with Object Lock, and what a stranger does there. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import type { ClassPolicy } from '../../../src/placement/storage-classes.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { ingestBytes, locationOfBackend, placesOf, testPlacement } from '../placement.ts'
import { testDatabase } from '../postgres.ts'

const credentials = { accessKeyId: 'locks', secretAccessKey: 'locks-secret' }
export const LOCK_DAYS = 30
export const DAY_MS = 24 * 3_600_000

/** A placement whose originals belong in a locked bucket; `pass` moves the clock of both. */
export async function startLockedBucket(
  t: TestContext,
  { singlePutBytes = 1_000_000, classes }: { singlePutBytes?: number; classes?: ClassPolicy } = {},
) {
  let aheadMs = 0
  let serverBehindMs = 0
  const now = () => new Date(Date.now() + aheadMs)
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials,
    buckets: ['photos'],
    objectLock: true,
    clock: () => new Date(now().getTime() - serverBehindMs),
  })
  const settings = {
    ...s3TestSettings({ endpoint: server.endpoint, ...credentials, bucket: 'photos' }, { prefix: '' }),
    singlePutBytes,
    partBytes: 5 * 2 ** 20,
    objectLock: {
      mode: 'GOVERNANCE' as const,
      daysOf: (key: string) => (key.includes('/original.') ? LOCK_DAYS : null),
    },
  }
  const report = await probeS3(settings, silentLog)
  assert.deepEqual(
    report.findings.filter(({ ok, critical }) => !ok && critical),
    [],
  )
  const backend = openS3Backend(settings, silentLog)
  backend.useFeatures(report.features)
  const location = {
    ...locationOfBackend('bucket', 's3', backend),
    lock: { mode: 'governance' as const, days: { original: LOCK_DAYS } },
  }
  const database = await testDatabase()
  const rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['bucket'],
    extra: [location],
    now,
    ...(classes && { classes }),
  })
  t.after(async () => {
    await rig.close()
    await backend.close()
    await server.close()
    await database.drop()
  })
  await checkLocations(rig.placement)
  const { placement } = rig
  return {
    server,
    location,
    placement,
    settings,
    db: database.db,
    pool: database.pool,
    now,
    async offload(bytes = randomBytes(3_000)) {
      const objectId = await ingestBytes(placement, bytes)
      await replicateObject(placement, { objectId, to: 'bucket' })
      await evictReplica(placement, { objectId, from: 'local' })
      return objectId
    },
    async pass(days: number) {
      aheadMs += days * DAY_MS
      // The backend learns the service's clock from an answer.
      await backend.readMarker().catch(() => undefined)
    },
    async letServerBeBehind(ms: number) {
      serverBehindMs = ms
      await backend.readMarker().catch(() => undefined)
    },
    lockOf: async () => (await ofOurs(server))[0]!.version.retention,
    places: (objectId: string) => placesOf(database.db, objectId),
  }
}

export const ofOurs = async (server: StrictS3) =>
  (await server.stored.versions()).filter(({ key }) => key.startsWith('users/'))

/** As somebody with stolen keys does it. */
export async function hide(server: StrictS3, key: string): Promise<void> {
  const client = strangerAt(server)
  await client.send(new DeleteObjectCommand({ Bucket: 'photos', Key: key }))
  client.destroy()
}

/** A new version with other bytes, as of somebody with stolen keys. */
export async function replace(
  server: StrictS3,
  key: string,
  { bytes, lockedUntil }: { bytes: Buffer; lockedUntil?: Date },
): Promise<void> {
  const client = strangerAt(server)
  const lock = lockedUntil && {
    ObjectLockMode: 'GOVERNANCE' as const,
    ObjectLockRetainUntilDate: lockedUntil,
  }
  await client.send(new PutObjectCommand({ Bucket: 'photos', Key: key, Body: bytes, ...lock }))
  client.destroy()
}

function strangerAt({ endpoint }: StrictS3): S3Client {
  return new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
}
