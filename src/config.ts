/**
 * The only place that knows environment variables and the configuration file. Everything else gets values as arguments.
 */
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { findClassMistakes } from './config/class-mistakes.ts'
import { findDeliveryMistakes } from './config/delivery.ts'
import { interpolate } from './config/interpolate.ts'
import { ConfigError, closestName, type Mistake } from './config/mistakes.ts'
import { readPrices } from './config/prices.ts'
import { type ConfigFile, FILE_SCHEMA, keysAt } from './config/schema.ts'
import type { ClassRules } from './placement/storage-classes.ts'
import type { PriceList } from './placement/storage-prices.ts'

/** Where the files of a kind belong. */
export type Place = 'local' | 's3'
/** `local-first`: an upload is acknowledged when it is safe on the disk, offloaded afterwards. `s3-first`: when the bucket has proven it. */
export type UploadStrategy = 'local-first' | 's3-first'

/** How the bytes of a kind reach clients. */
export type Way = 'proxy' | 'redirect' | 'cdn'

/** What belongs to the type is set, the rest is null. */
export type CdnConfig = {
  type: 'cloudfront' | 'hmac'
  baseUrl: string
  keyPairId: string | null
  /** PEM. */
  privateKey: string | null
  policy: 'canned' | 'custom' | null
  cookieDomain: string | null
  secret: string | null
}

export type S3Config = {
  /** Null: the service of AWS in that region. */
  endpoint: string | null
  /** Where clients reach the service; null: at the endpoint. */
  publicEndpoint: string | null
  bucket: string
  region: string
  /** Both null: the default credential chain of AWS (environment, profile, role). */
  accessKeyId: string | null
  secretAccessKey: string | null
  /** Empty, or ends with `/`. */
  prefix: string
  /** Null: what the provider is known to need. */
  forcePathStyle: boolean | null
  /** `auto`: told from the endpoint. */
  provider: string
  maxConnections: number
  requestTimeoutMs: number
  connectTimeoutMs: number
}

export type Config = {
  host: string
  port: number
  /** Addresses whose X-Forwarded-* headers are believed. */
  trustedProxies: string[]
  /** Absolute. */
  dataDir: string
  /** The file that was read. */
  configFile: string | null
  logLevel: 'debug' | 'info' | 'warn' | 'error'
  /** `url` null: the embedded PostgreSQL in `{dataDir}/postgres`. */
  database: { url: string | null; maxConnections: number }
  storage: {
    default: Place
    /** Absolute. */
    local: { mediaLocation: string }
    s3: S3Config | null
    locations: Record<
      | 'originals'
      | 'thumbnails'
      | 'previews'
      | 'fullsize'
      | 'encodedVideos'
      | 'sidecars'
      | 'profileImages'
      | 'personFaces'
      | 'databaseBackups',
      Place
    >
    upload: {
      strategy: UploadStrategy
      direct: 'auto' | 'on' | 'off'
      deleteLocalAfterUpload: boolean
      holdHours: number
      retryAttempts: number
      retryDelayMs: number
      writeLeaseSeconds: number
    }
    /** Another strategy for some of the users; null: none. */
    rollout: { strategy: UploadStrategy; percent: number; users: string[] } | null
    outage: { answerWithinMs: number; failures: number; coolDownMs: number }
    recall: { maxBytes: number }
    delivery: Record<'originals' | 'previews' | 'encodedVideos', Way> & {
      immichClients: 'proxy' | 'same'
      signedForMinutes: number
    }
    cdn: CdnConfig | null
    /** `maxBytes` 0: none. */
    cache: { maxBytes: number }
    /** Null: the ordinary class. */
    classes: Record<keyof ConfigFile['storage']['classes'], ClassRules | null>
    /** Null: the list that comes with Glassine. */
    prices: PriceList | null
  }
  uploads: { maxBytes: number }
  jobs: { processingConcurrency: number; storageConcurrency: number; videoConcurrency: number }
  media: { thumbnailPx: number; previewPx: number }
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

  let prices: PriceList | null = null
  const parsed = FILE_SCHEMA.safeParse(withEnvironment(value, env))
  if (!parsed.success) {
    // A variable that is missing was reported already; that its place is now empty is no second mistake.
    const reported = new Set(mistakes.map((mistake) => mistake.path.join('.')))
    for (const mistake of parsed.error.issues.flatMap((issue) => toMistakes(issue, value))) {
      if (!reported.has(mistake.path.join('.'))) mistakes.push(mistake)
    }
  } else {
    mistakes.push(...findContradictions(parsed.data), ...findClassMistakes(parsed.data.storage))
    const pricesFile = parsed.data.storage.pricesFile
    if (pricesFile !== null) prices = readPrices(resolve(pricesFile), mistakes)
  }
  if (mistakes.length > 0 || !parsed.success) throw new ConfigError(file ?? 'the configuration', mistakes)
  return toConfig(parsed.data, prices, resolve(env.GLASSINE_DATA || DEFAULT_DATA), file)
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
  const document = parseDocument(readFileSync(file, 'utf8'), { prettyErrors: false, uniqueKeys: true })
  if (document.errors.length > 0) {
    const mistakes = document.errors.map((error) => {
      const line =
        error.pos[0] === undefined ? '' : `line ${lineOf(readFileSync(file, 'utf8'), error.pos[0])}: `
      return {
        path: [],
        wrong: `${line}not YAML (${error.code})`,
        right: 'indent with spaces and quote unusual text',
      }
    })
    throw new ConfigError(file, mistakes)
  }
  const content: unknown = document.toJS() ?? {}
  return { file, document: content, mistakes: [] }
}

function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length
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

function toMistakes(issue: z.core.$ZodIssue, document: unknown): Mistake[] {
  const path = issue.path.map(String)
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
  const isMissing = valueAt(document, issue.path) === undefined
  return [{ path, wrong: isMissing ? 'this is missing' : 'this value does not fit', right: issue.message }]
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key]
  return value
}

function findContradictions({ storage }: ConfigFile): Mistake[] {
  const mistakes: Mistake[] = []
  if (storage.s3 !== null && (storage.s3.accessKeyId === null) !== (storage.s3.secretAccessKey === null)) {
    const missing = storage.s3.accessKeyId === null ? 'accessKeyId' : 'secretAccessKey'
    mistakes.push({
      path: ['storage', 's3', missing],
      wrong: 'only one of accessKeyId and secretAccessKey is set',
      right: 'set both, or neither for the default credential chain of AWS',
    })
  }
  const originals = storage.locations.originals ?? storage.default
  for (const key of ['upload', 'rollout'] as const) {
    if (storage[key]?.strategy !== 's3-first' || originals === 's3') continue
    mistakes.push({
      path: ['storage', key, 'strategy'],
      wrong: 'originals belong at local, so that there is no bucket for them to go to first',
      right: 'write local-first, or set storage.locations.originals to s3',
    })
  }
  mistakes.push(...findDeliveryMistakes(storage))
  if (storage.cache.maxBytes > 0 && storage.cache.maxBytes < SMALLEST_CACHE_BYTES) {
    mistakes.push({
      path: ['storage', 'cache', 'maxBytes'],
      wrong: 'so small a cache holds next to nothing',
      right: 'write 256 MiB or more, or 0 for none',
    })
  }
  return mistakes
}

function toConfig(
  file: ConfigFile,
  prices: PriceList | null,
  dataDir: string,
  configFile: string | null,
): Config {
  const { storage } = file
  const locations = { ...storage.locations, originals: storage.locations.originals ?? storage.default }
  return {
    host: file.server.host,
    port: file.server.port,
    trustedProxies: file.server.trustedProxies,
    dataDir,
    configFile,
    logLevel: file.logLevel,
    database: file.database,
    storage: {
      ...storage,
      local: { mediaLocation: resolve(storage.local.mediaLocation ?? `${dataDir}/media`) },
      locations,
      prices,
    },
    uploads: file.uploads,
    jobs: {
      ...file.jobs,
      // One core stays for requests.
      processingConcurrency: file.jobs.processingConcurrency ?? Math.max(1, availableParallelism() - 1),
    },
    media: file.media,
    demonstrationBucket: storage.s3 === null && Object.values(locations).includes('s3'),
  }
}
