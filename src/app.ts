/** Config -> wired parts: a plain object, no container. The only place besides placement that knows the storage backends. */
import { mkdir } from 'node:fs/promises'
import type pg from 'pg'
import { ConfigError, closestName } from './config/mistakes.ts'
import type { CdnConfig, Config, Place, S3Config } from './config.ts'
import { connectDatabase, type Database } from './database/connect.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './database/embedded.ts'
import { migrate } from './database/migrate.ts'
import type { ObjectKind } from './database/schema.ts'
import {
  DEMONSTRATION_BUCKET,
  type DemonstrationBucket,
  openDemonstrationBucket,
} from './demonstration-bucket.ts'
import { AppError } from './errors.ts'
import type { Log } from './log.ts'
import { type MediaTools, openMediaTools } from './media/tools.ts'
import type { Delivery } from './placement/deliver.ts'
import { closePlacement, openPlacement } from './placement/open.ts'
import { watchOutages } from './placement/outages.ts'
import type { Location, Placement } from './placement/placement.ts'
import type { Policy } from './placement/policy.ts'
import { type ClassPolicy, type ClassRules, usesArchives } from './placement/storage-classes.ts'
import type { StorageBackend } from './storage/backend.ts'
import { type BreakerRules, createBreaker, DEFAULT_BREAKER_RULES } from './storage/breaker.ts'
import type { Cdn } from './storage/cdn.ts'
import { openDiskBackend } from './storage/disk.ts'
import { s3Providers } from './storage/s3-provider-table.ts'
import { findS3Provider } from './storage/s3-providers.ts'
import { secondOpinion } from './storage/second-opinion.ts'
import { withBreaker } from './storage/with-breaker.ts'
import { withLimits } from './storage/with-limits.ts'
import { withRetry } from './storage/with-retry.ts'

export type App = {
  config: Config
  log: Log
  db: Database
  pool: pg.Pool
  placement: Placement
  mediaTools: MediaTools
  /** Null where every location of the policy is configured. */
  demonstrationBucket: DemonstrationBucket | null
  /** Ends everything that `buildApp` started, at most `withinMs` (8 s). */
  close(withinMs?: number): Promise<void>
  /** Ends the embedded PostgreSQL at once, for a second signal; it recovers at the next start. */
  kill(): void
}

/** Ids of the configured places, as they stand in the ledger. */
const LOCAL = 'local'
const S3 = 's3'
const DEMONSTRATION = 'demonstration'

/**
 * Starts what must run (the embedded PostgreSQL, the demonstration bucket), migrates the database and wires the parts.
 * What it started is ended again when a later step fails.
 * @throws AppError with a remedy: the database can't be reached, the mount of the media location is missing ...
 */
export async function buildApp(config: Config, log: Log): Promise<App> {
  if (config.storage.s3 !== null) demandProvider(config.storage.s3)
  await using cleanup = new AsyncDisposableStack()
  const database = await openDatabase(config, log)
  cleanup.defer(() => database.close())
  const { db, pool } = database

  const { demonstrationBucket, locations } = await openLocations(config, db, log)
  if (demonstrationBucket !== null) cleanup.defer(() => demonstrationBucket.close())
  const placement = await openPlacement({
    db,
    log,
    locations,
    localId: LOCAL,
    mediaLocation: config.storage.local.mediaLocation,
    policy: policyOf(config),
    classes: classesOf(config),
    ...(config.storage.prices && { prices: config.storage.prices }),
    settings: {
      holdMs: config.storage.upload.holdHours * 3_600_000,
      writeLeaseMs: config.storage.upload.writeLeaseSeconds * 1_000,
      deleteLocalAfterUpload: config.storage.upload.deleteLocalAfterUpload,
      recallMaxBytes: config.storage.recall.maxBytes,
      answerWithinMs: config.storage.outage.answerWithinMs,
      cacheMaxBytes: config.storage.cache.maxBytes,
    },
    delivery: await deliveryOf(config),
  })
  cleanup.defer(() => closePlacement(placement))
  const outages = watchOutages(placement)
  cleanup.defer(() => outages.close())
  const mediaTools = openMediaTools({
    log,
    threads: config.jobs.processingConcurrency,
    encodings: config.jobs.videoConcurrency,
  })
  cleanup.defer(() => mediaTools.close())

  const parts = cleanup.move()
  let closed: Promise<void> | undefined
  return {
    config,
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

export type OpenDatabase = {
  db: Database
  pool: pg.Pool
  close(): Promise<void>
  /** `close` is to be over in so many milliseconds from now: the embedded PostgreSQL, which is last, gets what is left. */
  finishWithin(withinMs: number): void
  kill(): void
}

/** The database alone, migrated: enough for commands that touch no file. */
export async function openDatabase(config: Config, log: Log): Promise<OpenDatabase> {
  await using cleanup = new AsyncDisposableStack()
  let finishAt = Number.POSITIVE_INFINITY
  let embedded: EmbeddedPostgres | undefined
  if (config.database.url === null) {
    const started = await startEmbeddedPostgres({ dataDir: config.dataDir, log })
    embedded = started
    cleanup.defer(() => started.stop(Math.min(8_000, Math.max(1_000, finishAt - performance.now()))))
  }
  const url = config.database.url ?? embedded?.url ?? ''
  const { pool, db } = connectDatabase(url, log, { maxConnections: config.database.maxConnections })
  cleanup.defer(() => endPool(pool))
  await migrate(pool, log).catch((error: Error & { code?: string }) => {
    if (error instanceof AppError || config.database.url === null) throw error
    throw new AppError('unavailable', `database.url: PostgreSQL can't be used: ${describe(error)}`, {
      cause: error,
    })
  })
  const parts = cleanup.move()
  return {
    db,
    pool,
    close: () => parts.disposeAsync(),
    finishWithin(withinMs) {
      finishAt = performance.now() + withinMs
    },
    kill: () => embedded?.kill(),
  }
}

/** A connection that somebody still holds must not keep the process alive. */
async function endPool(pool: pg.Pool): Promise<void> {
  await Promise.race([pool.end(), new Promise((resolve) => setTimeout(resolve, 500).unref())])
}

/** Connection errors of Node hold one message per address, and none of their own. */
function describe(error: Error & { code?: string }): string {
  return error.message || error.code || error.name
}

async function openLocations(
  config: Config,
  db: Database,
  log: Log,
): Promise<{ demonstrationBucket: DemonstrationBucket | null; locations: Location[] }> {
  await mkdir(config.dataDir, { recursive: true })
  const locations = [openLocalLocation(config, log)]
  const retry = {
    attempts: config.storage.upload.retryAttempts + 1,
    delayMs: config.storage.upload.retryDelayMs,
  }
  const outage = { ...DEFAULT_BREAKER_RULES, ...config.storage.outage }
  const manner = { retry, outage, usesArchives: false }
  if (config.storage.s3 !== null)
    locations.push(
      await openBucket(
        S3,
        config.storage.s3,
        { ...manner, usesArchives: usesArchives(classesOf(config)) },
        log,
      ),
    )

  let demonstrationBucket: DemonstrationBucket | null = null
  const holdsReplicas = await locationsWithReplicas(db)
  if (config.demonstrationBucket || holdsReplicas.has(DEMONSTRATION)) {
    demonstrationBucket = await openDemonstrationBucket(config.dataDir, log)
    locations.push(await openBucket(DEMONSTRATION, demonstrationSettings(demonstrationBucket), manner, log))
  }
  for (const id of holdsReplicas) {
    if (locations.some((location) => location.id === id)) continue
    log.error(
      { location: id },
      'a location holds files but is not configured: they can not be read. Configure it again',
    )
  }
  return { demonstrationBucket, locations }
}

/** Asked per location: to look at every replica of a million photos would take longer than the whole start. */
async function locationsWithReplicas(db: Database): Promise<Set<string>> {
  const rows = await db
    .selectFrom('location')
    .select('id')
    .where(({ exists, selectFrom }) =>
      exists(selectFrom('replica').select('object_id').whereRef('location_id', '=', 'location.id')),
    )
    .execute()
  return new Set(rows.map((row) => row.id))
}

function openLocalLocation(config: Config, log: Log): Location {
  const root = config.storage.local.mediaLocation
  const backend = openDiskBackend({ root, log })
  return {
    id: LOCAL,
    kind: 'disk',
    label: root,
    // The marker inside says which folder it is; its path may change, as it does when a container mounts it elsewhere.
    identity: 'the media location',
    isDemonstration: false,
    backend,
    probe: async (options) => {
      const { probeDisk } = await import('./storage/disk-probe.ts')
      return probeDisk(root, backend.features, options)
    },
  }
}

/** What only this place can check of the configuration: it alone knows both the file and the providers. */
function demandProvider({ provider }: S3Config): void {
  const names = s3Providers.map(({ name }) => name)
  if (provider === 'auto' || names.includes(provider)) return
  const meant = closestName(provider, names)
  throw new ConfigError('the configuration', [
    {
      path: ['storage', 's3', 'provider'],
      wrong:
        meant === null ? 'this is no provider that is known' : `this is no provider; ${meant} may be meant`,
      right: `write auto, or one of ${names.filter((name) => name !== DEMONSTRATION).join(', ')}`,
    },
  ])
}

/** Loads the AWS SDK, which takes longest of all: only where a bucket is used. */
async function openBucket(
  id: typeof S3 | typeof DEMONSTRATION,
  settings: S3Config,
  {
    retry,
    outage,
    usesArchives,
  }: { retry: { attempts: number; delayMs: number }; outage: BreakerRules; usesArchives: boolean },
  log: Log,
): Promise<Location> {
  const { openS3Backend } = await import('./storage/s3.ts')
  // Half of the connections for people who look at originals, so that no offload makes them wait.
  const share = (part: number) => Math.max(1, Math.floor(settings.maxConnections * part))
  const limits = { reads: share(0.5), writes: share(0.3), others: share(0.2) }
  const isDemonstration = id === DEMONSTRATION
  const breaker = createBreaker(
    isDemonstration ? 'the demonstration bucket' : `bucket ${settings.bucket}`,
    outage,
  )
  // The breaker under the limits (see there), the tries above both: each is a call that may be refused, and a refusal ends them.
  const silence = {
    answerWithinMs: outage.answerWithinMs,
    onSilence: secondOpinion(breaker, (signal) => bare.readMarker({ signal })),
  }
  const bare: StorageBackend = openS3Backend({ ...settings, silence }, log)
  const guarded = withBreaker(bare, breaker)
  const backend = withRetry(withLimits(guarded, limits), { ...retry, log })
  const where = `${settings.bucket}/${settings.prefix}`
  return {
    id,
    kind: 's3',
    label: isDemonstration
      ? 'demonstration bucket'
      : `${where} at ${settings.endpoint ?? `AWS ${settings.region}`}`,
    // Of the demonstration bucket the port may change, and there is one per data folder.
    identity: isDemonstration
      ? 'the demonstration bucket'
      : `${settings.endpoint ?? `aws:${settings.region}`} ${where}`,
    isDemonstration,
    hasPublicAddress: settings.publicEndpoint !== null,
    provider: findS3Provider(settings.provider, settings.endpoint).name,
    backend,
    breaker,
    probe: async (options) => {
      breaker.assertNotBlocked()
      const { probeS3 } = await import('./storage/s3-probe.ts')
      return probeS3(settings, log, { ...options, usesArchives })
    },
    openBrowserProbe: async () => {
      breaker.assertNotBlocked()
      const { openS3BrowserProbe } = await import('./storage/s3-browser-probe.ts')
      return openS3BrowserProbe(settings, log)
    },
  }
}

function demonstrationSettings(bucket: DemonstrationBucket): S3Config {
  return {
    endpoint: bucket.endpoint,
    publicEndpoint: null,
    bucket: DEMONSTRATION_BUCKET,
    region: 'us-east-1',
    accessKeyId: bucket.accessKeyId,
    secretAccessKey: bucket.secretAccessKey,
    prefix: '',
    forcePathStyle: true,
    provider: 'demonstration',
    maxConnections: 50,
    requestTimeoutMs: 60_000,
    connectTimeoutMs: 5_000,
  }
}

function classesOf({ storage: { classes } }: Config): ClassPolicy {
  const kinds: Record<ObjectKind, ClassRules | null> = {
    original: classes.originals,
    sidecar: classes.sidecars,
    thumbnail: classes.thumbnails,
    preview: classes.previews,
    fullsize: classes.fullsize,
    'encoded-video': classes.encodedVideos,
    'profile-image': classes.profileImages,
    'person-face': classes.personFaces,
    'database-backup': classes.databaseBackups,
  }
  return Object.fromEntries(Object.entries(kinds).filter(([, rules]) => rules !== null))
}

function policyOf({ storage }: Config): Policy {
  const bucket = storage.s3 === null ? DEMONSTRATION : S3
  const at = (place: Place) => [place === 'local' ? LOCAL : bucket]
  const { locations } = storage
  return {
    original: at(locations.originals),
    sidecar: at(locations.sidecars),
    thumbnail: at(locations.thumbnails),
    preview: at(locations.previews),
    fullsize: at(locations.fullsize),
    'encoded-video': at(locations.encodedVideos),
    'profile-image': at(locations.profileImages),
    'person-face': at(locations.personFaces),
    'database-backup': at(locations.databaseBackups),
  }
}

async function deliveryOf({ storage }: Config): Promise<Delivery> {
  const { originals, previews, encodedVideos, immichClients, signedForMinutes } = storage.delivery
  return {
    ways: {
      original: originals,
      thumbnail: previews,
      preview: previews,
      fullsize: previews,
      'profile-image': previews,
      'person-face': previews,
      'encoded-video': encodedVideos,
    },
    immichClients,
    windowMs: signedForMinutes * 60_000,
    cdn: storage.cdn && { locationId: S3, cdn: await openCdn(storage.cdn, storage.s3?.prefix ?? '') },
  }
}

async function openCdn(cdn: CdnConfig, keyPrefix: string): Promise<Cdn> {
  const { baseUrl, keyPairId, privateKey, policy, cookieDomain, secret } = cdn
  if (cdn.type === 'hmac') {
    const { openHmacCdn } = await import('./storage/cdn-hmac.ts')
    return openHmacCdn({ baseUrl, keyPrefix, secret: secret! })
  }
  const { openCloudFront } = await import('./storage/cdn-cloudfront.ts')
  const key = { keyPairId: keyPairId!, privateKey: privateKey! }
  return openCloudFront({ baseUrl, keyPrefix, ...key, policy: policy ?? 'canned', cookieDomain })
}
