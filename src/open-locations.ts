/** Configuration -> locations: the disk, buckets and folders, each with what guards it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, closestName, type Mistake } from './config/mistakes.ts'
import type { Config } from './config.ts'
import { bucketOf, type ConfiguredBucket, classesOf, idsOf, ownClassesOf } from './configured-buckets.ts'
import type { Database } from './database/connect.ts'
import {
  type DemonstrationBucket,
  demonstrationSettings,
  openDemonstrationBucket,
} from './demonstration-bucket.ts'
import { AppError } from './errors.ts'
import type { Log } from './log.ts'
import { partsOfKey } from './placement/keys.ts'
import type { Location } from './placement/location.ts'
import { locationsWithReplicas, onlyThere, originsOf } from './placement/locations/known-locations.ts'
import { forEachKind } from './placement/object-kinds.ts'
import { usesArchives } from './placement/storage-classes.ts'
import { type PriceList, readPrice, SHIPPED_PRICES } from './placement/storage-prices.ts'
import { type StorageBackend, StorageError } from './storage/backend.ts'
import { openDiskBackend } from './storage/disk/disk.ts'
import { type BreakerRules, createBreaker, DEFAULT_BREAKER_RULES } from './storage/guards/breaker.ts'
import { countUses } from './storage/guards/count-uses.ts'
import { probeOnStall } from './storage/guards/probe-on-stall.ts'
import { withBreaker } from './storage/guards/with-breaker.ts'
import { withCallLimit } from './storage/guards/with-call-limit.ts'
import { withLimits } from './storage/guards/with-limits.ts'
import { withRetry } from './storage/guards/with-retry.ts'
import { withoutWrites } from './storage/guards/without-writes.ts'
import { identityOfS3 } from './storage/s3/identity.ts'
import { s3Providers } from './storage/s3/providers/provider-table.ts'
import { findS3Provider } from './storage/s3/providers/providers.ts'
import type { S3ObjectLock, S3Settings } from './storage/s3/requests/client.ts'
import { describeEncryption } from './storage/s3/requests/encryption.ts'

/** Names of locations that the operator has not chosen; the ledger has them as ids. */
export const LOCAL = 'local'
export const S3 = 's3'
const DEMONSTRATION = 'demonstration'
/** As the configuration describes a bucket. */
type BucketSettings = Omit<S3Settings, 'objectLock'> & {
  objectLock?: NonNullable<Config['storage']['s3']>['objectLock']
}

type Manner = { retry: { attempts: number; delayMs: number }; outage: BreakerRules; usesArchives: boolean }
export type OpenLocations = {
  demonstrationBucket: DemonstrationBucket | null
  locations: Location[]
  /** By id: what each was opened by, to be compared at a reload. It holds secrets. */
  openedBy: ReadonlyMap<string, string>
  /**
   * The id in the ledger of a name of the configuration: in a copy of an installation, that of a bucket
   * differs from the original's.
   */
  idOf(name: string): string
}

/**
 * Opens all that are configured, and those of originals that this installation is a copy of. `before`, at a
 * reload: what is described as it was stays open, the same object.
 * @throws AppError invalid where a reload would begin the demonstration bucket
 */
export async function openLocations(
  config: Config,
  db: Database,
  log: Log,
  before?: OpenLocations,
): Promise<OpenLocations> {
  const { storage } = config
  const locations: Location[] = []
  const openedBy = new Map<string, string>()
  await using opened = new AsyncDisposableStack()
  const add = async (id: string, by: unknown, open: () => Location | Promise<Location>) => {
    const description = JSON.stringify(by)
    const isSame = before?.openedBy.get(id) === description
    const same = isSame ? before?.locations.find((one) => one.id === id) : undefined
    const made = same ?? (await open())
    // The media location is there for as long as the process.
    const location = same || id === LOCAL ? made : { ...made, ...countUses(made.backend) }
    if (same === undefined) opened.defer(() => location.backend.close())
    locations.push(location)
    openedBy.set(id, description)
  }
  await add(LOCAL, storage.local, () => openLocalLocation(config, log))
  const retry = { attempts: storage.upload.retryAttempts + 1, delayMs: storage.upload.retryDelayMs }
  const outage = { ...DEFAULT_BREAKER_RULES, ...storage.outage }
  const manner = { retry, outage, usesArchives: false }
  const [holdsReplicas, origins] = [await locationsWithReplicas(db), await originsOf(db)]
  const ids = new Map([[LOCAL, LOCAL]])

  const buckets = Object.entries({ ...(storage.s3 !== null && { [S3]: storage.s3 }), ...storage.buckets })
  const classes = classesOf(config)
  for (const [name, settings] of buckets) {
    for (const id of idsOf(name)) {
      const origin = origins.get(id)
      if (origin === undefined) continue
      const there = { ...bucketOf(settings), ...origin, objectLock: null }
      await add(id, [there, manner, 'original'], async () => {
        const original = await openBucket(id, there, manner, log)
        return { ...asReadOnly(original), isOfOriginal: true }
      })
    }
    const id = idsOf(name).find((one) => !origins.has(one))
    if (id === undefined)
      throw new AppError('conflict', 'this is a copy of a copy, nine times over: copy an original')
    const ours = { ...manner, usesArchives: usesArchives(ownClassesOf(settings) ?? classes) }
    await add(id, [settings, ours], () => openBucketAs(id, settings, ours, log))
    ids.set(name, id)
  }
  for (const [name, folder] of Object.entries(storage.folders)) {
    await add(name, [folder, manner], () => openFolderAs(name, folder, manner, log))
    ids.set(name, name)
  }

  if (!ids.has(S3)) ids.set(S3, bucketOfNone(holdsReplicas))
  const isDemonstrationUsed = config.demonstrationBucket && ids.get(S3) === DEMONSTRATION
  let demonstrationBucket = before?.demonstrationBucket ?? null
  if (isDemonstrationUsed || holdsReplicas.has(DEMONSTRATION)) {
    if (before && demonstrationBucket === null)
      throw new AppError(
        'invalid',
        'files would belong in the demonstration bucket, which begins at a start only: restart, or describe a bucket in storage.s3',
      )
    demonstrationBucket ??= await openDemonstrationBucket(config.dataDir, log)
    const settings = demonstrationSettings(demonstrationBucket)
    await add(DEMONSTRATION, [settings, manner], () => openBucket(DEMONSTRATION, settings, manner, log))
  }
  const missing = [...holdsReplicas].filter((id) => !locations.some((location) => location.id === id))
  const { count } = missing.length === 0 ? { count: 0 } : await onlyThere(db, missing)
  for (const id of missing) {
    const isHere = config.demonstrationBucket && ids.get(S3) === LOCAL
    log.error(
      { location: id, onlyCopies: count },
      `a location holds files but is not configured: they cannot be read${isHere ? ', and new files stay on this disk' : ''}. ` +
        `${count} files have no verified copy at a location that is configured. Configure it again`,
    )
  }
  opened.move()
  return { demonstrationBucket, locations, openedBy, idOf: (name) => ids.get(name)! }
}

/**
 * The configured places without a ledger, for who has lost it, by their names. Nothing is made that is not
 * there.
 */
export async function openLocationsAlone(
  config: Config,
  log: Log,
): Promise<{ locations: Map<string, Location>; close(): Promise<void> }> {
  requireProviders(config)
  const { storage, dataDir } = config
  await using cleanup = new AsyncDisposableStack()
  const retry = { attempts: storage.upload.retryAttempts + 1, delayMs: storage.upload.retryDelayMs }
  const manner = { retry, outage: { ...DEFAULT_BREAKER_RULES, ...storage.outage }, usesArchives: false }
  const locations = new Map([[LOCAL, openLocalLocation(config, log)]])
  const buckets = Object.entries({ ...(storage.s3 !== null && { [S3]: storage.s3 }), ...storage.buckets })
  for (const [name, settings] of buckets) locations.set(name, await openBucketAs(name, settings, manner, log))
  for (const [name, folder] of Object.entries(storage.folders))
    locations.set(name, openFolderAs(name, folder, manner, log))
  if (existsSync(join(dataDir, 'demonstration-bucket.json'))) {
    const bucket = await openDemonstrationBucket(dataDir, log)
    cleanup.defer(() => bucket.close())
    locations.set(DEMONSTRATION, await openBucket(DEMONSTRATION, demonstrationSettings(bucket), manner, log))
  }
  for (const { backend } of locations.values()) cleanup.defer(() => backend.close())
  const parts = cleanup.move()
  return { locations, close: () => parts.disposeAsync() }
}

async function openBucketAs(
  id: string,
  settings: ConfiguredBucket,
  manner: Manner,
  log: Log,
): Promise<Location> {
  const classes = ownClassesOf(settings)
  const bucket = {
    ...(await openBucket(id, bucketOf(settings), manner, log)),
    ...(classes && { classes }),
    ...(settings.scrub && { scrub: settings.scrub }),
  }
  return settings.readOnly ? asReadOnly(bucket) : bucket
}

function openFolderAs(
  id: string,
  folder: Config['storage']['folders'][string],
  manner: Manner,
  log: Log,
): Location {
  const opened = openFolder(id, folder, manner, log)
  return folder.readOnly ? asReadOnly(opened) : opened
}

/** With a backend that refuses writes, and without probes, which write. */
export function asReadOnly({ openBrowserProbe: _, backend, ...location }: Location): Location {
  return {
    ...location,
    isReadOnly: true,
    backend: withoutWrites(backend, location.label),
    probe: async () => {
      throw new StorageError('denied', `${location.label} is read-only, and a probe would write there`)
    },
  }
}

/**
 * Who has a bucket or a folder and forgot to name it, in the configuration of one worker for instance,
 * wants no originals in the demonstration bucket, which may lie in a container: they stay here.
 */
function bucketOfNone(holdsReplicas: ReadonlySet<string>): string {
  return [...holdsReplicas].some((id) => id !== LOCAL && id !== DEMONSTRATION) ? LOCAL : DEMONSTRATION
}

function openLocalLocation(config: Config, log: Log): Location {
  const root = config.storage.local.mediaLocation
  const backend = openDiskBackend({ root, log, makesRoot: true })
  return {
    id: LOCAL,
    kind: 'disk',
    label: root,
    // The marker inside says which folder it is; its path may change, as it does when a container mounts it
    // elsewhere.
    identity: 'the media location',
    isDemonstration: false,
    backend,
    space: () => backend.localFiles.space(),
    probe: async (options) => {
      const { probeDisk } = await import('./storage/disk/probe.ts')
      return probeDisk(root, backend.features, options)
    },
  }
}

/**
 * A check of the configuration that is possible only here, where both the file and the providers are known.
 * @throws ConfigError
 */
export function requireProviders({ storage: { s3, buckets, prices } }: Config): void {
  const all = [
    ...(s3 === null ? [] : [{ path: ['storage', 's3'], bucket: s3 }]),
    ...Object.entries(buckets).map(([name, bucket]) => ({ path: ['storage', 'buckets', name], bucket })),
  ]
  const mistakes = all.flatMap(({ path, bucket }) => [
    ...findUnknownProvider(path, bucket),
    ...findUnknownPrice(path, bucket, prices ?? SHIPPED_PRICES),
  ])
  if (mistakes.length > 0) throw new ConfigError('the configuration', mistakes)
}

function findUnknownPrice(path: string[], bucket: ConfiguredBucket, prices: PriceList): Mistake[] {
  if (bucket.scrub?.money == null) return []
  const { name } = findS3Provider(bucket.provider, bucket.endpoint)
  if (readPrice(prices, { provider: name }, { storageClass: null, bytes: 0 }) !== null) return []
  return [
    {
      path: [...path, 'scrub', 'money'],
      wrong: `no price is known for reading at the provider ${name}`,
      right: 'write bytes instead, or a price list with its reading in storage.pricesFile',
    },
  ]
}

function findUnknownProvider(path: string[], { provider }: Pick<S3Settings, 'provider'>): Mistake[] {
  const names = s3Providers.map(({ name }) => name)
  if (provider === 'auto' || names.includes(provider)) return []
  const meant = closestName(provider, names)
  return [
    {
      path: [...path, 'provider'],
      wrong:
        meant === null ? 'this is no provider that is known' : `this is no provider; ${meant} may be meant`,
      right: `write auto, or one of ${names.filter((name) => name !== DEMONSTRATION).join(', ')}`,
    },
  ]
}

/** A folder beside the media location, on another disk or a share of the network, which may be away. */
function openFolder(
  id: string,
  { path: root, onAnotherMachine }: Config['storage']['folders'][string],
  { retry, outage }: Manner,
  log: Log,
): Location {
  const { localFiles, ...files } = openDiskBackend({ root, log, makesRoot: false })
  const breaker = createBreaker(`folder ${root}`, outage)
  // At most 12 of the 16 threads of `bin/glassine` hang with it: 3 calls, a write, and a read of each stream.
  const limits = { reads: 8, writes: 1, others: 3 }
  const called = withCallLimit(files, 3)
  let asking: ReturnType<typeof localFiles.space> | null = null
  return {
    id,
    kind: 'disk',
    label: root,
    identity: `the folder ${id}`,
    isDemonstration: false,
    isOnAnotherMachine: onAnotherMachine,
    // Without paths: its files are read through what guards them.
    backend: withRetry(withLimits(withBreaker(called, breaker), limits), { ...retry, log }),
    breaker,
    space: async () => {
      breaker.assertAdmits()
      // One call, however many ask while the folder hangs.
      asking ??= localFiles.space().finally(() => {
        asking = null
      })
      return orNoAnswer(asking, SPACE_PATIENCE_MS)
    },
    probe: async (options) => {
      breaker.assertNotBlocked()
      const { probeDisk } = await import('./storage/disk/probe.ts')
      return probeDisk(root, files.features, options)
    },
  }
}

/** How long a status waits for a number that it can do without. */
const SPACE_PATIENCE_MS = 2_000

/** @throws StorageError unavailable after `ms` without an answer */
async function orNoAnswer<T>(answer: Promise<T>, ms: number): Promise<T> {
  const patience = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => patience.reject(new StorageError('unavailable', `no answer for ${ms} ms`)),
    ms,
  )
  return Promise.race([answer, patience.promise]).finally(() => clearTimeout(timer))
}

/** Loads the AWS SDK only where a bucket is used, because loading it takes longer than anything else. */
async function openBucket(
  id: string,
  { objectLock, ...bucket }: BucketSettings,
  { retry, outage, usesArchives }: Manner,
  log: Log,
): Promise<Location> {
  const { openS3Backend } = await import('./storage/s3/s3.ts')
  const lock = objectLock == null ? null : lockOf(objectLock)
  const settings: S3Settings = { ...bucket, objectLock: lock && s3LockOf(lock) }
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
  const encryption = describeEncryption(settings.encryption)
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
    ...(encryption !== null && { encryption }),
    ...(settings.encryption?.type === 'sse-kms' && { isKeyElsewhere: true }),
    hasPublicAddress: settings.publicEndpoint != null,
    provider: findS3Provider(settings.provider, settings.endpoint).name,
    ...(lock && { lock }),
    backend,
    breaker,
    probe: async (options) => {
      breaker.assertNotBlocked()
      const { probeS3 } = await import('./storage/s3/probe/probe.ts')
      return probeS3(settings, log, { ...options, usesArchives })
    },
    // Browsers are given no URL where each request needs a key of ours.
    ...(backend.presign && {
      openBrowserProbe: async () => {
        breaker.assertNotBlocked()
        const { openS3BrowserProbe } = await import('./storage/s3/probe/browser-probe.ts')
        return openS3BrowserProbe(settings, log)
      },
    }),
  }
}

function lockOf({
  mode,
  retentionDays,
}: NonNullable<BucketSettings['objectLock']>): NonNullable<Location['lock']> {
  const days = Object.entries(forEachKind(({ configKey }) => retentionDays[configKey]))
  return { mode, days: Object.fromEntries(days.filter(([, count]) => count !== null)) }
}

/** The kind of a file stands in its key. */
function s3LockOf({ mode, days }: NonNullable<Location['lock']>): S3ObjectLock {
  return {
    mode: mode === 'governance' ? 'GOVERNANCE' : 'COMPLIANCE',
    daysOf: (key) => days[partsOfKey(key)?.kind as keyof typeof days] ?? null,
  }
}
