/**
 * An installation of the matrix: placement on a database, a folder and a bucket that were there before this
 * process and stay after it. The process that is killed and the one that recovers open it in the same way.
 */
import { join } from 'node:path'
import type pg from 'pg'
import { connectDatabase, type Database } from '../../../src/database/connect.ts'
import type { Actor } from '../../../src/library/access.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { type Log, silentLog } from '../../../src/log.ts'
import type { Location } from '../../../src/placement/location.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import type { ClassPolicy } from '../../../src/placement/storage-classes.ts'
import type { Features } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { locationOfBackend, policyOf } from '../../support/placement.ts'

export const BUCKET = 's3'

/** What a scenario wants otherwise than `hybrid`. */
export type SiteOptions = {
  /** Where originals belong; absent: in the bucket. */
  originals?: string[]
  classes?: ClassPolicy
  /** As at a bucket that overwrites what is there: files go past the server in parts only. */
  putsOverwrite?: boolean
  /** Campaigns may be run. */
  campaigns?: boolean
  /** By how much placement's clock is ahead. */
  aheadMs?: number
}
/** All of it is JSON: it goes to another process. */
export type SiteSetup = {
  databaseUrl: string
  /** The data folder; media lie in `media` below it. */
  folder: string
  settings: S3Settings
  features: Features
  actor: Actor
  options: SiteOptions
}
export type Site = {
  setup: SiteSetup
  db: Database
  pool: pg.Pool
  placement: Placement
  mediaLocation: string
  close(): Promise<void>
}

export const mediaOf = ({ folder }: SiteSetup): string => join(folder, 'media')
export const keyFileOf = ({ folder }: SiteSetup): string => join(folder, 'backup-key.txt')

/** As a command opens them that has no ledger. */
export function openLocationsOf(
  setup: SiteSetup,
  log: Log = silentLog,
): { local: Location; bucket: Location } {
  const backend = openS3Backend(setup.settings, log)
  backend.useFeatures(
    setup.options.putsOverwrite ? { ...setup.features, conditionalPut: false } : setup.features,
  )
  return {
    local: locationOfBackend('local', 'disk', openDiskBackend({ root: mediaOf(setup), log })),
    bucket: locationOfBackend(BUCKET, 's3', backend),
  }
}

/** `moreAheadMs`: as if that much later. */
export async function openSite(setup: SiteSetup, { moreAheadMs = 0, log = silentLog } = {}): Promise<Site> {
  const { db, pool } = connectDatabase(setup.databaseUrl, log, { maxConnections: 6 })
  const { local, bucket } = openLocationsOf(setup, log)
  const { originals = [BUCKET], classes, campaigns = false, aheadMs = 0 } = setup.options
  const placement = await openPlacement({
    db,
    log,
    locations: [local, bucket],
    localId: 'local',
    mediaLocation: mediaOf(setup),
    policy: { ...policyOf(originals), 'database-backup': [BUCKET] },
    isAwaited: isOfUnendedUpload,
    ...(classes && { classes }),
    backups: {
      pool,
      keyFile: keyFileOf(setup),
      everyMs: 24 * 3_600_000,
      keep: { daily: 1, weekly: 0, monthly: 0 },
    },
    // The bucket has answered all that a killed process asked before anything is opened anew.
    // A machine that an installation is brought back to asks at once whether the old one is gone.
    settings: {
      removalWaitMs: 0,
      lateRequestMs: 0,
      counterDoubtMs: 0,
      idleAdvanceMs: 0,
      collectAgeMs: 0,
      campaigns,
    },
    now: () => new Date(Date.now() + aheadMs + moreAheadMs),
  })
  return {
    setup,
    db,
    pool,
    placement,
    mediaLocation: mediaOf(setup),
    async close() {
      await closePlacement(placement)
      // Its connections may hang in a PostgreSQL that was killed.
      await Promise.race([pool.end(), new Promise((resolve) => setTimeout(resolve, 2_000).unref())])
    },
  }
}
