/**
 * Config -> wired parts: a plain object, no container. The only place besides placement that knows the
 * storage backends.
 */
import { join } from 'node:path'
import type pg from 'pg'
import { closeWhenUnused } from './close-when-unused.ts'
import { keysForRestart, RELOADED } from './config/changed-keys.ts'
import type { Config } from './config.ts'
import { classesOf } from './configured-buckets.ts'
import { KEY_FILE_NAME } from './database/backups/key-file.ts'
import type { Database } from './database/connect.ts'
import type { DemonstrationBucket } from './demonstration-bucket.ts'
import { AppError } from './errors.ts'
import { isOfUnendedUpload } from './library/direct-uploads/rows.ts'
import type { Log } from './log.ts'
import { type MediaTools, openMediaTools } from './media/processes/tools.ts'
import { type OpenOptions, openDatabase } from './open-database.ts'
import { LOCAL, openLocations, requireProviders, S3 } from './open-locations.ts'
import type { BackupSettings } from './placement/backup-settings.ts'
import type { Delivery } from './placement/delivery-rules.ts'
import type { Location } from './placement/location.ts'
import { watchOutages } from './placement/locations/outages.ts'
import { forEachKind } from './placement/object-kinds.ts'
import { closePlacement, openPlacement, reconfigurePlacement } from './placement/open.ts'
import type { Placement } from './placement/placement.ts'
import type { MinCopies, Policy } from './placement/policy.ts'
import { closeToOthers } from './private-folders.ts'
import type { ReloadOutcome } from './queue/worker/reload-requests.ts'
import type { Cdn } from './storage/cdn/cdn.ts'

export type App = {
  config: Config
  log: Log
  db: Database
  pool: pg.Pool
  placement: Placement
  mediaTools: MediaTools
  /** Null where every location of the policy is configured. */
  demonstrationBucket: DemonstrationBucket | null
  /**
   * Goes on with the locations and the rules of placement of another configuration (`RELOADED`), and names
   * the other keys that have changed. One at a time.
   * @throws AppError or ConfigError, and nothing has changed
   */
  reload(next: Config): Promise<ReloadOutcome>
  /** Ends everything that `buildApp` started, at most `withinMs` (8 s). */
  close(withinMs?: number): Promise<void>
  /** Ends the embedded PostgreSQL at once, for a second signal; it recovers at the next start. */
  kill(): void
}

/**
 * Starts what must run (the embedded PostgreSQL, the demonstration bucket), migrates the database and wires
 * the parts. What it started is ended again when a later step fails.
 * @throws AppError with a remedy: the database can't be reached, the mount of the media location is missing
 * ...
 */
export async function buildApp(config: Config, log: Log, options: OpenOptions = {}): Promise<App> {
  requireProviders(config)
  await using cleanup = new AsyncDisposableStack()
  const database = await openDatabase(config, log, options)
  cleanup.defer(() => database.close())
  const { db, pool } = database

  for (const warning of config.warnings) log.warn({}, warning)
  const { dataDir, storage } = config
  const folders = { dataDir, mediaLocation: storage.local.mediaLocation }
  await closeToOthers(folders, log, database.isOfAnotherUser)

  let opened = await openLocations(config, db, log)
  const { demonstrationBucket, locations, idOf } = opened
  if (demonstrationBucket !== null) cleanup.defer(() => demonstrationBucket.close())
  const placement = await openPlacement({
    db,
    log,
    locations,
    localId: LOCAL,
    mediaLocation: config.storage.local.mediaLocation,
    policy: policyOf(config, idOf),
    minCopies: minCopiesOf(config),
    classes: classesOf(config),
    ...(config.storage.prices && { prices: config.storage.prices }),
    settings: {
      ...scrubSettingsOf(config),
      ...campaignSettingsOf(config),
      troubleAfterMs: config.notifications.afterHours * 3_600_000,
      holdMs: config.storage.upload.holdHours * 3_600_000,
      listingIntervalMs: config.storage.listing.everyHours * 3_600_000,
      collectAgeMs: config.storage.collect.olderThanDays * 86_400_000,
      collectHoldMs: config.storage.collect.holdDays * 86_400_000,
      writeLeaseMs: config.storage.upload.writeLeaseSeconds * 1_000,
      deleteLocalAfterUpload: config.storage.upload.deleteLocalAfterUpload,
      removalWaitMs: config.storage.removal.waitSeconds * 1_000,
      lateRequestMs: config.storage.removal.lateRequestMinutes * 60_000,
      recallMaxBytes: config.storage.recall.maxBytes,
      answerWithinMs: config.storage.outage.answerWithinMs,
      cacheMaxBytes: config.storage.cache.maxBytes,
      catalogueEveryMs: config.storage.catalogue.enabled ? config.storage.catalogue.everyMinutes * 60_000 : 0,
    },
    delivery: await deliveryOf(config, idOf(S3)),
    backups: backupsOf(config, pool),
    isAwaited: isOfUnendedUpload,
  })
  cleanup.defer(() => closePlacement(placement))
  let outages = watchOutages(placement)
  cleanup.defer(() => outages.close())
  const leaving = closeWhenUnused(log)
  cleanup.defer(() => leaving.close())
  const mediaTools = openMediaTools({
    log,
    threads: config.jobs.processingConcurrency,
    encodings: config.jobs.videoConcurrency,
    memoryBytes: config.media.memory,
  })
  cleanup.defer(() => mediaTools.close())

  async function reload(next: Config): Promise<ReloadOutcome> {
    const inForce = withReloaded(config, next)
    requireProviders(inForce)
    assertNoRestartFirst(inForce)
    const before = opened
    const now = await openLocations(inForce, db, log, before)
    const done = await reconfigurePlacement(placement, {
      locations: now.locations,
      policy: policyOf(inForce, now.idOf),
      minCopies: minCopiesOf(inForce),
      classes: classesOf(inForce),
      delivery: { ...placement.delivery, cdn: (await deliveryOf(inForce, now.idOf(S3))).cdn },
      settings: { ...scrubSettingsOf(inForce), campaigns: inForce.storage.campaigns },
    }).catch(async (error: unknown) => {
      for (const one of now.locations) if (!before.locations.includes(one)) await one.backend.close()
      throw error
    })
    opened = now
    Object.assign(config.storage, inForce.storage)
    config.demonstrationBucket = inForce.demonstrationBucket
    for (const one of done.left) leaving.add(one)
    await outages.close()
    outages = watchOutages(placement)
    const ids = (given: readonly Location[]) => given.map(({ id }) => id)
    return {
      isReloaded: true,
      problem: null,
      added: ids(done.added),
      changed: ids(done.changed),
      removed: ids(done.left).filter((id) => !placement.locations.has(id)),
      troubles: done.troubles,
      needsRestart: keysForRestart(config, next),
    }
  }

  const parts = cleanup.move()
  let closed: Promise<void> | undefined
  return {
    config,
    reload,
    log,
    db,
    pool,
    placement,
    mediaTools,
    demonstrationBucket,
    close(withinMs = 8_000) {
      database.finishWithin(withinMs)
      closed ??= parts.disposeAsync()
      return closed
    },
    kill: () => database.kill(),
  }
}

/** What the configuration says of backups; `pool` reads the database for them. */
function backupsOf({ dataDir, backups }: Config, pool: pg.Pool): BackupSettings {
  const { everyHours, keep } = backups
  return { pool, keyFile: join(dataDir, KEY_FILE_NAME), everyMs: everyHours * 3_600_000, keep }
}

function policyOf({ storage: { locations } }: Config, idOf: (name: string) => string): Policy {
  // Twice the same where the bucket that is meant is away and its files stay on the disk.
  return forEachKind(({ configKey }) => [...new Set(locations[configKey].map(idOf))])
}

function minCopiesOf({ storage }: Config): MinCopies {
  return forEachKind(({ configKey }) => storage.minCopies[configKey])
}

function campaignSettingsOf({ storage: { campaigns, rollout } }: Config) {
  return { campaigns, rollout }
}

function scrubSettingsOf({ storage: { scrub } }: Config) {
  return { scrubDiskBytes: scrub.diskBytes, scrubBucketBytes: scrub.bucketBytes }
}

/** What is in force after a reload: the rest stays as it was at the start. */
function withReloaded(config: Config, next: Config): Config {
  const reloaded = Object.fromEntries(RELOADED.map((key) => [key, next.storage[key]]))
  return {
    ...config,
    demonstrationBucket: next.demonstrationBucket,
    storage: { ...config.storage, ...reloaded },
  }
}

/**
 * The new file fits by itself, but not with what stays in force until a restart.
 * @throws AppError invalid
 */
function assertNoRestartFirst({ storage }: Config): void {
  const { s3, buckets, locations, upload, rollout, cdn } = storage
  const needsBucket = [upload.strategy, rollout?.strategy].includes('s3-first')
  const hasBucket = locations.originals.some((name) => name === S3 || name in buckets)
  if ((needsBucket && !hasBucket) || (cdn !== null && s3 === null))
    throw new AppError(
      'invalid',
      `${cdn !== null && s3 === null ? 'storage.cdn' : 'the upload strategy s3-first'} is in force until a restart, and its bucket would be gone: restart instead`,
    )
}

async function deliveryOf({ storage }: Config, bucket: string): Promise<Delivery> {
  const { immichClients, signedForMinutes } = storage.delivery
  return {
    // What no client gets by itself goes through the server, if at all.
    modes: forEachKind(({ deliveryKey }) => (deliveryKey === null ? 'proxy' : storage.delivery[deliveryKey])),
    immichClients,
    windowMs: signedForMinutes * 60_000,
    cdn: storage.cdn && { locationId: bucket, cdn: await openCdn(storage.cdn, storage.s3?.prefix ?? '') },
  }
}

async function openCdn(cdn: NonNullable<Config['storage']['cdn']>, keyPrefix: string): Promise<Cdn> {
  const { baseUrl, keyPairId, privateKey, policy, cookieDomain, secret } = cdn
  if (cdn.type === 'hmac') {
    const { openHmacCdn } = await import('./storage/cdn/hmac.ts')
    return openHmacCdn({ baseUrl, keyPrefix, secret: secret! })
  }
  const { openCloudFront } = await import('./storage/cdn/cloudfront.ts')
  const key = { keyPairId: keyPairId!, privateKey: privateKey! }
  return openCloudFront({ baseUrl, keyPrefix, ...key, policy: policy ?? 'canned', cookieDomain })
}
