/**
 * The only place that knows environment variables and the configuration file. Everything else gets values as
 * arguments.
 */
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import type { z } from 'zod'
import { findClassMistakes } from './config/class-mistakes.ts'
import { findDeliveryMistakes } from './config/delivery.ts'
import {
  type BucketConfig,
  findKeyMistakes,
  type NamedBucketConfig,
  readEncryptions,
} from './config/encryption.ts'
import { exposedSecrets } from './config/exposed-secrets.ts'
import { interpolate } from './config/interpolate.ts'
import { belongsInBucket, findLocationMistakes, locationsOf } from './config/location-mistakes.ts'
import { ConfigError, closestName, type Mistake } from './config/mistakes.ts'
import { findNotificationMistakes } from './config/notification-mistakes.ts'
import { readPrices } from './config/prices.ts'
import { readYaml } from './config/read-yaml.ts'
import { type ConfigFile, FILE_SCHEMA, keysAt } from './config/schema.ts'
import type { NotificationSettings } from './library/notifications/settings.ts'
import type { BackupKeep } from './placement/backup-settings.ts'
import { forEachKindKey, type KindKey } from './placement/object-kinds.ts'
import type { ClassRules } from './placement/storage-classes.ts'
import type { PriceList } from './placement/storage-prices.ts'

/**
 * `local-first`: an upload is acknowledged when it is safe on the disk, and offloaded afterwards. `s3-first`:
 * it is acknowledged when the bucket has proven it.
 */
export type UploadStrategy = 'local-first' | 's3-first'

type Storage = ConfigFile['storage']

export type Config = {
  host: string
  port: number
  /** Addresses whose X-Forwarded-* headers are believed. */
  trustedProxies: string[]
  /** Where browsers find this server; null: wherever they ask. */
  publicUrl: string | null
  /** `everyHours` 0: none are made by themselves. */
  backups: { everyHours: number; keep: BackupKeep }
  /** When and how people are told; `afterHours`: see PlacementSettings, `troubleAfterMs`. */
  notifications: NotificationSettings & { afterHours: number }
  /** How long people stay logged in. */
  sessions: { idleDays: number; maxDays: number }
  /** Absolute. */
  dataDir: string
  /** The file that was read. */
  configFile: string | null
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** `url` null: the embedded PostgreSQL in `{dataDir}/postgres`. */
  database: { url: string | null; maxConnections: number }
  storage: {
    default: string[]
    /** Absolute. */
    local: { mediaLocation: string }
    /** The location `s3`. */
    s3: BucketConfig | null
    /** Further buckets, by the names that they have as locations. */
    buckets: Record<string, NamedBucketConfig>
    /** Folders beside the media location, by name; their paths are absolute. */
    folders: Storage['folders']
    /** `local`, `s3`, and names of `buckets` and `folders`: one at least. */
    locations: Record<KindKey, string[]>
    /** So many verified copies where files belong, before another is given up. */
    minCopies: Record<KindKey, number>
    /** Campaigns may be run, and a change of `locations` proposes one. */
    campaigns: boolean
    upload: {
      strategy: UploadStrategy
      direct: 'auto' | 'on' | 'off'
      deleteLocalAfterUpload: boolean
      holdHours: number
      retryAttempts: number
      retryDelayMs: number
      writeLeaseSeconds: number
    }
    /** See PlacementSettings: `removalWaitMs`, `lateRequestMs`. */
    removal: { waitSeconds: number; lateRequestMinutes: number }
    /** Another strategy for some of the users; null: none. */
    rollout: { strategy: UploadStrategy; percent: number; users: string[] } | null
    outage: { answerWithinMs: number; failures: number; coolDownMs: number }
    catalogue: { enabled: boolean; everyMinutes: number }
    listing: { everyHours: number }
    /** See PlacementSettings: `collectAgeMs`, `collectHoldMs`. */
    collect: { olderThanDays: number; holdDays: number }
    /** Bytes a month. */
    scrub: { diskBytes: number; bucketBytes: number }
    recall: { maxBytes: number }
    delivery: Storage['delivery']
    cdn: Storage['cdn']
    /** `maxBytes` 0: none. */
    cache: { maxBytes: number }
    /** Null: the ordinary class. */
    classes: Record<KindKey, ClassRules | null>
    /** Null: the list that comes with Glassine. */
    prices: PriceList | null
  }
  uploads: { maxBytes: number }
  /** What reading metadata again may cost each day: from buckets, and of what is restored for it. */
  reading: { dailyBytes: number; archivedDailyBytes: number }
  jobs: { processingConcurrency: number; storageConcurrency: number; videoConcurrency: number }
  /** `memory`: bytes for all decoders of pictures together; null: half of what the machine has. */
  media: { thumbnailPx: number; previewPx: number; colorspace: 'p3' | 'srgb'; memory: number | null }
  /** What is not a mistake, but not good either: sentences for the log. */
  warnings: string[]
  /** Something belongs in S3, and no bucket is configured. */
  demonstrationBucket: boolean
}

const DEFAULT_FILE = 'glassine.yaml'
const DEFAULT_DATA = 'data'
/** A quarter of it is what may be fetched at a time, and one reading brings in an eighth. */
const SMALLEST_CACHE_BYTES = 256 * 2 ** 20

/**
 * Reads the file and the GLASSINE_* variables, which win over it.
 * @throws ConfigError with every mistake: its path, what is wrong, what would be right; never a value
 */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const { file, document, mistakes: readMistakes } = readFile(env)
  const { value, mistakes } = interpolate(document, env)
  mistakes.unshift(...readMistakes)

  const dataDir = resolve(env.GLASSINE_DATA || DEFAULT_DATA)
  const given = withEnvironment(value, env)
  const parsed = FILE_SCHEMA.safeParse(given)
  const issues = parsed.success ? [] : parsed.error.issues
  // A missing variable was reported already; that its value is now empty is not a second mistake.
  const reported = new Set(mistakes.map((mistake) => mistake.path.join('.')))
  const add = (found: readonly Mistake[]) =>
    mistakes.push(...found.filter((mistake) => !reported.has(mistake.path.join('.'))))
  add(issues.flatMap((issue) => toMistakes(issue, given, env)))
  // Contradictions are looked for among values that are right by themselves, so that all mistakes are
  // reported at once.
  const rest = parsed.success ? parsed.data : parseWithout(given, issues)
  if (rest !== null) {
    const areRight = (...sections: string[]) => !issues.some(({ path }) => sections.includes(String(path[1])))
    add(findContradictions(rest, areRight))
    if (!issues.some(({ path }) => path[0] === 'notifications'))
      add(findNotificationMistakes(rest.notifications))
    const mediaLocation = resolve(rest.storage.local.mediaLocation ?? `${dataDir}/media`)
    add(findLocationMistakes(rest.storage, mediaLocation, areRight))
    if (areRight('delivery', 'upload', 's3', 'buckets', 'locations', 'default'))
      add(findKeyMistakes(rest.storage))
    if (areRight('classes', 'locations', 'default', 'buckets')) add(findClassMistakes(rest.storage))
  }
  const encrypted = rest === null ? null : readEncryptions(rest.storage)
  if (encrypted) add(encrypted.mistakes)
  const pricesFile = rest?.storage.pricesFile ?? null
  const prices = pricesFile === null ? null : readPrices(resolve(pricesFile), mistakes)
  if (mistakes.length > 0 || !parsed.success || encrypted === null)
    throw new ConfigError(file ?? 'the configuration', mistakes)
  const config = toConfig(parsed.data, encrypted, prices, dataDir, file)
  return { ...config, warnings: exposedSecrets(file, document) }
}

function readFile(env: NodeJS.ProcessEnv): { file: string | null; document: unknown; mistakes: Mistake[] } {
  const named = env.GLASSINE_CONFIG
  const file = resolve(named || DEFAULT_FILE)
  if (!existsSync(file)) {
    if (!named) return { file: null, document: {}, mistakes: [] }
    const mistake = {
      path: ['GLASSINE_CONFIG'],
      wrong: `there is no file ${file}`,
      right: 'name one that exists',
    }
    throw new ConfigError('the environment', [mistake])
  }
  return { file, ...readYaml(file) }
}

/** GLASSINE_HOST and GLASSINE_PORT win over the file. */
function withEnvironment(value: unknown, env: NodeJS.ProcessEnv): unknown {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return value
  const given = {
    ...(env.GLASSINE_HOST ? { host: env.GLASSINE_HOST } : {}),
    ...(env.GLASSINE_PORT ? { port: env.GLASSINE_PORT } : {}),
  }
  if (Object.keys(given).length === 0) return value
  const file = value as { server?: object | null }
  return { ...file, server: { ...file.server, ...given } }
}

/**
 * The document without the wrong values, which then have their defaults, and without the sections that are
 * incomplete then; null where that is not enough.
 */
function parseWithout(given: unknown, issues: readonly z.core.$ZodIssue[]): ConfigFile | null {
  const rest = withoutValues(given, issues)
  const parsed = FILE_SCHEMA.safeParse(rest)
  if (parsed.success) return parsed.data
  const sections = parsed.error.issues.map((issue) => ({ ...issue, path: issue.path.slice(0, 2) }))
  return FILE_SCHEMA.safeParse(withoutValues(rest, sections)).data ?? null
}

function withoutValues(given: unknown, issues: readonly z.core.$ZodIssue[]): unknown {
  const rest = structuredClone(given)
  for (const issue of issues) {
    const keys = issue.code === 'unrecognized_keys' ? issue.keys : [issue.path.at(-1)]
    const holder = valueAt(rest, issue.code === 'unrecognized_keys' ? issue.path : issue.path.slice(0, -1))
    if (holder === null || typeof holder !== 'object') continue
    for (const key of keys) if (key !== undefined) delete (holder as Record<PropertyKey, unknown>)[key]
  }
  return rest
}

/** By the path of the key that each wins over. */
const VARIABLES: Record<string, string> = { 'server.host': 'GLASSINE_HOST', 'server.port': 'GLASSINE_PORT' }

function toMistakes(issue: z.core.$ZodIssue, document: unknown, env: NodeJS.ProcessEnv): Mistake[] {
  const path = issue.path.map(String)
  const variable = VARIABLES[path.join('.')]
  // The file is not where it would be looked for.
  if (variable !== undefined && env[variable])
    return [{ path: [variable], wrong: 'this value does not fit', right: issue.message }]
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(issue.path) ?? []
    return issue.keys.map((key) => {
      const meant = closestName(key, known)
      return {
        path: [...path, key],
        wrong: 'there is no such key',
        right: meant !== null ? `did you mean ${meant}?` : `the keys here are ${known.join(', ')}`,
      }
    })
  }
  if (issue.code === 'invalid_type' && issue.expected === 'object') {
    const known = keysAt(issue.path) ?? []
    return [{ path, wrong: 'this must hold keys', right: `the keys here are ${known.join(', ')}` }]
  }
  if (issue.code === 'invalid_key')
    return [{ path, wrong: 'this name does not fit', right: issue.issues[0]?.message ?? issue.message }]
  const isMissing = valueAt(document, issue.path) === undefined
  return [{ path, wrong: isMissing ? 'this is missing' : 'this value does not fit', right: issue.message }]
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key]
  return value
}

/** @param areRight whether nothing was wrong by itself in these sections of `storage` */
function findContradictions(
  { storage }: ConfigFile,
  areRight: (...sections: string[]) => boolean,
): Mistake[] {
  const mistakes: Mistake[] = []
  const buckets = [
    ...(areRight('s3') && storage.s3 !== null ? [{ path: ['storage', 's3'], bucket: storage.s3 }] : []),
    ...(areRight('buckets') ? Object.entries(storage.buckets) : []).map(([name, bucket]) => ({
      path: ['storage', 'buckets', name],
      bucket,
    })),
  ]
  for (const { path, bucket } of buckets) {
    if ((bucket.accessKeyId === null) === (bucket.secretAccessKey === null)) continue
    mistakes.push({
      path: [...path, bucket.accessKeyId === null ? 'accessKeyId' : 'secretAccessKey'],
      wrong: 'only one of accessKeyId and secretAccessKey is set',
      right: 'set both, or neither for the default credential chain of AWS',
    })
  }
  for (const key of ['upload', 'rollout'] as const) {
    if (!areRight('locations', 'default', 'buckets')) continue
    if (storage[key]?.strategy !== 's3-first' || belongsInBucket(storage, 'originals')) continue
    mistakes.push({
      path: ['storage', key, 'strategy'],
      wrong: 'originals belong in no bucket, so there is none that could take them first',
      right: 'write local-first, or name a bucket in storage.locations.originals',
    })
  }
  if (areRight('delivery', 'cdn', 's3', 'buckets', 'locations', 'default'))
    mistakes.push(...findDeliveryMistakes(storage))
  if (storage.cache.maxBytes > 0 && storage.cache.maxBytes < SMALLEST_CACHE_BYTES) {
    mistakes.push({
      path: ['storage', 'cache', 'maxBytes'],
      wrong: 'such a small cache is of no use',
      right: 'write 256 MiB or more, or 0 for none',
    })
  }
  return mistakes
}

function toConfig(
  file: ConfigFile,
  { s3, buckets }: Pick<Config['storage'], 's3' | 'buckets'>,
  prices: PriceList | null,
  dataDir: string,
  configFile: string | null,
): Omit<Config, 'warnings'> {
  const { storage } = file
  const locations = locationsOf(storage)
  return {
    host: file.server.host,
    port: file.server.port,
    trustedProxies: file.server.trustedProxies,
    publicUrl: file.server.publicUrl,
    sessions: file.sessions,
    notifications: { ...file.notifications, publicUrl: file.server.publicUrl },
    backups: file.backups,
    dataDir,
    configFile,
    logLevel: file.logLevel,
    database: file.database,
    storage: {
      ...storage,
      s3,
      buckets,
      local: { mediaLocation: resolve(storage.local.mediaLocation ?? `${dataDir}/media`) },
      folders: Object.fromEntries(
        Object.entries(storage.folders).map(([name, folder]) => [
          name,
          { ...folder, path: resolve(folder.path) },
        ]),
      ),
      locations,
      minCopies: forEachKindKey(
        ({ configKey }) => storage.minCopies[configKey] ?? locations[configKey].length,
      ),
      prices,
    },
    uploads: file.uploads,
    reading: file.reading,
    jobs: {
      ...file.jobs,
      // All cores: media processes have a lower priority than the server.
      processingConcurrency: file.jobs.processingConcurrency ?? availableParallelism(),
    },
    media: file.media,
    demonstrationBucket:
      storage.s3 === null && Object.values(locations).some((names) => names.includes('s3')),
  }
}
