/**
 * A bucket on a strict S3 server, probed, as a location of a placement; its requests can be counted and made
 * to fail.
 */
import { sql } from 'kysely'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { OperationName } from 'strict-s3/operation-names'
import type { StrictProfile } from 'strict-s3/profiles'
import type { Database } from '../../../src/database/connect.ts'
import { silentLog } from '../../../src/log.ts'
import type { Location } from '../../../src/placement/location.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { locationOfBackend } from '../placement.ts'
import { probeOnce } from './probe-once.ts'

export type ClassBucket = {
  server: StrictS3
  location: Location
  settings: S3TestSettings
  close(): Promise<void>
}
export type S3TestSettings = Parameters<typeof openS3Backend>[0]

const credentials = { accessKeyId: 'classes', secretAccessKey: 'classes-secret' }

export async function startClassBucket(
  profile: Partial<StrictProfile> = {},
  id = 'bucket',
): Promise<ClassBucket> {
  const server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'], profile })
  const address = { endpoint: server.endpoint, ...credentials, bucket: 'photos' }
  const settings: S3TestSettings = s3TestSettings(address, { prefix: '' })
  const backend = openS3Backend(settings, silentLog)
  backend.useFeatures((await probeOnce(profile, settings)).features)
  const location = locationOfBackend(id, 's3', backend)
  return { server, location, settings, close: () => server.close() }
}

/** Counts the requests of one operation that concern objects of ours, not markers and probes. */
export function countOf(server: StrictS3, operation: OperationName): { readonly hits: number } {
  return server.faults.add({ match: { operation, key: /^users\// }, fault: { kind: 'delay', ms: 0 } })
}

/** What the bucket holds of ours: classes by key. */
export async function heldClasses(server: StrictS3): Promise<Map<string, string>> {
  const objects = await server.stored.objects()
  return new Map(
    objects.filter(({ key }) => key.startsWith('users/')).map(({ key, storageClass }) => [key, storageClass]),
  )
}

/** As if its writer had been dead for long, and what is doomed had waited long enough. */
export async function passClassTime(db: Database): Promise<void> {
  await sql`update class_change set lease_expires_at = now() - interval '1 second',
    clear_after = least(clear_after, case when doomed_key is not null then now() - interval '1 second' end)`.execute(
    db,
  )
}
