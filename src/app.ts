/**
 * Config -> wired parts: a plain object, no container. The only place besides placement that knows the
 * storage backends.
 */
import { relative } from 'node:path'
import type pg from 'pg'
import { ConfigError, closestName } from './config/mistakes.ts'
import type { Config } from './config.ts'
import { holdsCluster, noInstallation, prepareDataFolder } from './data-folder.ts'
import { connectDatabase, type Database } from './database/connect.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './database/embedded/embedded.ts'
import { isSetUp, migrate } from './database/migrate.ts'
import {
  DEMONSTRATION_BUCKET,
  type DemonstrationBucket,
  openDemonstrationBucket,
} from './demonstration-bucket.ts'
import { AppError } from './errors.ts'
import { isOfUnendedUpload } from './library/direct-uploads/rows.ts'
import type { Log } from './log.ts'
import { type MediaTools, openMediaTools } from './media/processes/tools.ts'
import type { Delivery } from './placement/delivery-rules.ts'
import type { Location } from './placement/location.ts'
import { locationsWithReplicas, originsOf } from './placement/locations/known-locations.ts'
import { watchOutages } from './placement/locations/outages.ts'
import { forEachKind } from './placement/object-kinds.ts'
import { closePlacement, openPlacement } from './placement/open.ts'
import type { Placement } from './placement/placement.ts'
import type { Policy } from './placement/policy.ts'
import { type ClassPolicy, usesArchives } from './placement/storage-classes.ts'
import { closeToOthers } from './private-folders.ts'
import type { StorageBackend } from './storage/backend.ts'
import type { Cdn } from './storage/cdn/cdn.ts'
import { openDiskBackend } from './storage/disk/disk.ts'
import { type BreakerRules, createBreaker, DEFAULT_BREAKER_RULES } from './storage/guards/breaker.ts'
import { probeOnStall } from './storage/guards/probe-on-stall.ts'
import { withBreaker } from './storage/guards/with-breaker.ts'
import { withLimits } from './storage/guards/with-limits.ts'
import { withRetry } from './storage/guards/with-retry.ts'
import { identityOfS3 } from './storage/s3/identity.ts'
import { s3Providers } from './storage/s3/providers/provider-table.ts'
import { findS3Provider } from './storage/s3/providers/providers.ts'
import type { S3Settings } from './storage/s3/requests/client.ts'

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

/** Ids of the configured locations, as the ledger has them. */
const LOCAL = 'local'
const S3 = 's3'
const DEMONSTRATION = 'demonstration'
/** Of the bucket of an installation that is a copy; further copies of copies count on. */
const COPY_IDS = [S3, 's3-2', 's3-3', 's3-4', 's3-5', 's3-6', 's3-7', 's3-8', 's3-9']

/**
 * Starts what must run (the embedded PostgreSQL, the demonstration bucket), migrates the database and wires
 * the parts. What it started is ended again when a later step fails.
 * @throws AppError with a remedy: the database can't be reached, the mount of the media location is missing
 * ...
 */
export async function buildApp(config: Config, log: Log, options: OpenOptions = {}): Promise<App> {
  if (config.storage.s3 !== null) requireProvider(config.storage.s3)
  await using cleanup = new AsyncDisposableStack()
  const database = await openDatabase(config, log, options)
  cleanup.defer(() => database.close())
  const { db, pool } = database

  for (const warning of config.warnings) log.warn({}, warning)
  const { dataDir, storage } = config
  const folders = { dataDir, mediaLocation: storage.local.mediaLocation }
  await closeToOthers(folders, log, database.isOfAnotherUser)

  const { demonstrationBucket, locations, bucket } = await openLocations(config, db, log)
  if (demonstrationBucket !== null) cleanup.defer(() => demonstrationBucket.close())
  const placement = await openPlacement({
    db,
    log,
    locations,
    localId: LOCAL,
    mediaLocation: config.storage.local.mediaLocation,
    policy: policyOf(config, bucket),
    classes: classesOf(config),
    ...(config.storage.prices && { prices: config.storage.prices }),
    settings: {
      holdMs: config.storage.upload.holdHours * 3_600_000,
      listingIntervalMs: config.storage.listing.everyHours * 3_600_000,
      writeLeaseMs: config.storage.upload.writeLeaseSeconds * 1_000,
      deleteLocalAfterUpload: config.storage.upload.deleteLocalAfterUpload,
      removalWaitMs: config.storage.removal.waitSeconds * 1_000,
      lateRequestMs: config.storage.removal.lateRequestMinutes * 60_000,
      recallMaxBytes: config.storage.recall.maxBytes,
      answerWithinMs: config.storage.outage.answerWithinMs,
      cacheMaxBytes: config.storage.cache.maxBytes,
    },
    delivery: await deliveryOf(config, bucket),
    isAwaited: isOfUnendedUpload,
  })
  cleanup.defer(() => closePlacement(placement))
  const outages = watchOutages(placement)
  cleanup.defer(() => outages.close())
  const mediaTools = openMediaTools({
    log,
    threads: config.jobs.processingConcurrency,
    encodings: config.jobs.videoConcurrency,
    memoryBytes: config.media.memory,
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
  /** The embedded PostgreSQL runs as another user, since it does not run as root. */
  isOfAnotherUser: boolean
  pool: pg.Pool
  close(): Promise<void>
  /**
   * The milliseconds within which `close` must be over: the embedded PostgreSQL, which is last, gets what is
   * left.
   */
  finishWithin(withinMs: number): void
  kill(): void
}

/** `mustExist`: nothing is made where there is no installation yet, and nothing is migrated. */
export type OpenOptions = { mustExist?: boolean }

/**
 * The database alone, migrated: enough for commands that touch no file.
 * @throws AppError not-found: there is no installation, and it `mustExist`
 */
export async function openDatabase(
  config: Config,
  log: Log,
  { mustExist = false }: OpenOptions = {},
): Promise<OpenDatabase> {
  const isEmbedded = config.database.url === null
  if (mustExist && isEmbedded && !(await holdsCluster(config.dataDir)))
    throw noInstallation(fromHere(config.dataDir), 'set GLASSINE_DATA to its data folder')
  await prepareDataFolder(config.dataDir)
  await using cleanup = new AsyncDisposableStack()
  let finishAt = Number.POSITIVE_INFINITY
  let embedded: EmbeddedPostgres | undefined
  if (isEmbedded) {
    const started = await startEmbeddedPostgres({ dataDir: config.dataDir, log, onMoved: endProcess })
    embedded = started
    cleanup.defer(() => started.stop(Math.min(8_000, Math.max(1_000, finishAt - performance.now()))))
  }
  const url = config.database.url ?? embedded?.url ?? ''
  const { pool, db } = connectDatabase(url, log, { maxConnections: config.database.maxConnections })
  cleanup.defer(() => endPool(pool))
  const prepare = async () => {
    if (mustExist && !isEmbedded && !(await isSetUp(pool)))
      throw noInstallation(
        'the database of database.url',
        'correct it, or set GLASSINE_CONFIG to the file with the right one',
      )
    await migrate(pool, log)
  }
  await prepare().catch((error: Error & { code?: string }) => {
    if (error instanceof AppError || isEmbedded) throw error
    throw new AppError('unavailable', `database.url: PostgreSQL can't be used: ${describe(error)}`, {
      cause: error,
    })
  })
  const parts = cleanup.move()
  return {
    db,
    pool,
    isOfAnotherUser: embedded?.isOfAnotherUser ?? false,
    close: () => parts.disposeAsync(),
    finishWithin(withinMs) {
      finishAt = performance.now() + withinMs
    },
    kill: () => embedded?.kill(),
  }
}

/** As an error that nobody caught (bin/lifecycle.ts): in good order, with an exit code that says so. */
function endProcess(error: AppError): void {
  setImmediate(() => {
    throw error
  })
}

/** `./data` where that is shorter: as people would type it. */
function fromHere(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') || short === '' ? path : `./${short}`
}

/** A connection that is still in use must not keep the process alive. */
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
): Promise<{ demonstrationBucket: DemonstrationBucket | null; locations: Location[]; bucket: string }> {
  const locations = [openLocalLocation(config, log)]
  const retry = {
    attempts: config.storage.upload.retryAttempts + 1,
    delayMs: config.storage.upload.retryDelayMs,
  }
  const outage = { ...DEFAULT_BREAKER_RULES, ...config.storage.outage }
  const manner = { retry, outage, usesArchives: false }
  const holdsReplicas = await locationsWithReplicas(db)
  const bucket = await bucketIdOf(config, db, holdsReplicas)
  if (config.storage.s3 !== null) {
    const ours = { ...manner, usesArchives: usesArchives(classesOf(config)) }
    for (const [id, origin] of await originsOf(db)) {
      const settings = { ...config.storage.s3, ...origin }
      const { openBrowserProbe: _, ...original } = await openBucket(id, settings, manner, log)
      locations.push({ ...original, isReadOnly: true })
    }
    locations.push(await openBucket(bucket, config.storage.s3, ours, log))
  }

  let demonstrationBucket: DemonstrationBucket | null = null
  if ((config.demonstrationBucket && bucket === DEMONSTRATION) || holdsReplicas.has(DEMONSTRATION)) {
    demonstrationBucket = await openDemonstrationBucket(config.dataDir, log)
    locations.push(await openBucket(DEMONSTRATION, demonstrationSettings(demonstrationBucket), manner, log))
  }
  for (const id of holdsReplicas) {
    if (locations.some((location) => location.id === id)) continue
    log.error(
      { location: id },
      `a location holds files but is not configured: they cannot be read${bucket === LOCAL ? ', and new files stay on this disk' : ''}. Configure it again`,
    )
  }
  return { demonstrationBucket, locations, bucket }
}

/**
 * Where what belongs into the bucket goes: its id in the ledger, which in a copy of an installation differs
 * from the original's. Who has a bucket and forgot to name it, in the configuration of one worker for
 * instance, wants no originals in the demonstration bucket, which may lie in a container: they stay here.
 */
async function bucketIdOf(
  { storage }: Config,
  db: Database,
  holdsReplicas: ReadonlySet<string>,
): Promise<string> {
  if (storage.s3 === null) return COPY_IDS.some((id) => holdsReplicas.has(id)) ? LOCAL : DEMONSTRATION
  const origins = await originsOf(db)
  const id = COPY_IDS.find((one) => !origins.has(one))
  if (id === undefined)
    throw new AppError('conflict', 'this is a copy of a copy, nine times over: copy an original')
  return id
}

function openLocalLocation(config: Config, log: Log): Location {
  const root = config.storage.local.mediaLocation
  const backend = openDiskBackend({ root, log })
  return {
    id: LOCAL,
    kind: 'disk',
    label: root,
    // The marker inside says which folder it is; its path may change, as it does when a container mounts it
    // elsewhere.
    identity: 'the media location',
    isDemonstration: false,
    backend,
    probe: async (options) => {
      const { probeDisk } = await import('./storage/disk/probe.ts')
      return probeDisk(root, backend.features, options)
    },
  }
}

/**
 * Checks of the configuration that are possible only here, where both the file and the providers are known.
 */
function requireProvider({ provider }: S3Settings): void {
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

/** Loads the AWS SDK only where a bucket is used, because loading it takes longer than anything else. */
async function openBucket(
  id: string,
  settings: S3Settings,
  {
    retry,
    outage,
    usesArchives,
  }: { retry: { attempts: number; delayMs: number }; outage: BreakerRules; usesArchives: boolean },
  log: Log,
): Promise<Location> {
  const { openS3Backend } = await import('./storage/s3/s3.ts')
  // Half of the connections for people who look at originals, so that no offload makes them wait.
  const share = (part: number) => Math.max(1, Math.floor(settings.maxConnections * part))
  const limits = { reads: share(0.5), writes: share(0.3), others: share(0.2) }
  const isDemonstration = id === DEMONSTRATION
  const breaker = createBreaker(
    isDemonstration ? 'the demonstration bucket' : `bucket ${settings.bucket}`,
    outage,
  )
  // The breaker is under the limits (see there), the retries are above both: each try may be refused, and a
  // refusal ends the retries.
  const silence = {
    answerWithinMs: outage.answerWithinMs,
    onSilence: probeOnStall(breaker, (signal) => bare.readMarker({ signal })),
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
    // The port of the demonstration bucket may change, and there is one such bucket for each data folder.
    identity: isDemonstration ? 'the demonstration bucket' : identityOfS3(settings),
    isDemonstration,
    hasPublicAddress: settings.publicEndpoint != null,
    provider: findS3Provider(settings.provider, settings.endpoint).name,
    backend,
    breaker,
    probe: async (options) => {
      breaker.assertNotBlocked()
      const { probeS3 } = await import('./storage/s3/probe/probe.ts')
      return probeS3(settings, log, { ...options, usesArchives })
    },
    openBrowserProbe: async () => {
      breaker.assertNotBlocked()
      const { openS3BrowserProbe } = await import('./storage/s3/probe/browser-probe.ts')
      return openS3BrowserProbe(settings, log)
    },
  }
}

function demonstrationSettings(bucket: DemonstrationBucket): S3Settings {
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
  const kinds = forEachKind(({ configKey }) => classes[configKey])
  return Object.fromEntries(Object.entries(kinds).filter(([, rules]) => rules !== null))
}

function policyOf({ storage: { locations } }: Config, bucket: string): Policy {
  return forEachKind(({ configKey }) => [locations[configKey] === 'local' ? LOCAL : bucket])
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
