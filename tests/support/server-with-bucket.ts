/**
 * The whole product for tests that break things: the real server as a process of its own, with a database of
 * its own, and a strict S3 server in this process whose requests can be counted and made to fail.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { type StrictS3, type StrictS3Options, startStrictS3 } from 'strict-s3'
import type { OperationName } from 'strict-s3/operation-names'
import type { StorageOverview } from '../../src/library/server/storage-overview.ts'
import type { LocationStatus } from '../../src/placement/reports/status.ts'
import { ADMIN, type Client, connectClient } from './client.ts'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { createTestUser } from './http/users.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'
import { type SpawnedServer, spawnServer } from './spawn-server.ts'

export const BUCKET = 'photos'
const CREDENTIALS = { accessKeyId: 'faults', secretAccessKey: 'faults-secret' }

export type Receipt = {
  sha256: string
  processing: { state: string; error: string | null }
  replicas: { location: string; key: string; state: string; proofLevel: number | null }[]
  history: { location: string; from: string | null; to: string | null }[]
}
export type Failure = { job: string; error: string }

export type ServerWithBucket = {
  /** Null: the server's own. */
  database: TestDatabase | null
  folder: string
  dataDir: string
  mediaLocation: string
  bucket: StrictS3
  /** The server of the last start, and a client that is logged in there. */
  server: SpawnedServer
  client: Client
  /**
   * Starts it (again) on the same folder and port; `storage`: other lines below that key of the configuration
   * from now on.
   */
  start(storage?: string): Promise<void>
  /** Ends everything and removes the folder. */
  close(): Promise<void>
}

/**
 * `mediaLocation` must exist when it is given; its default lies in the data folder. The database is one of
 * the run's PostgreSQL; with `postgres: 'embedded'` the server makes and starts its own, in the data folder,
 * which takes seconds: where that is what is tested.
 */
export async function startServerWithBucket(
  options: {
    buckets?: string[]
    postgres?: 'shared' | 'embedded'
    profile?: StrictS3Options['profile']
    mediaLocation?: string
    upload?: string
    /** `storage.s3.objectLock`, as YAML; the bucket gets Object Lock. */
    objectLock?: string
    /** `storage.s3.encryption`, as YAML. */
    encryption?: string
    /** More lines below `storage` in the configuration. */
    storage?: string
    /** Gives `storage.s3.publicEndpoint`; the bucket listens on this port of loopback. */
    publicEndpoint?: (port: number) => string
    requestTimeoutMs?: number
    /** `storage.outage`, as YAML. */
    outage?: string
    /** As of `spawnServer`. */
    isMemoryMeasured?: boolean
    /** Gives the address at which the server reaches the bucket, which listens on this port of loopback. */
    through?: (port: number) => Promise<string>
  } = {},
): Promise<ServerWithBucket> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-faults-'))
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: options.buckets ?? [BUCKET],
    objectLock: options.objectLock !== undefined,
    ...(options.profile ? { profile: options.profile } : {}),
  })
  const endpoint = (await options.through?.(bucket.port)) ?? bucket.endpoint
  let storage = options.storage ?? ''
  const database = options.postgres === 'embedded' ? null : await testDatabase()
  if (database !== null) {
    await createTestUser(database.db, { ...ADMIN, isAdmin: true })
    // The template may be days old, and an old installation without a backup makes one at once.
    await database.pool.query('update installation set created_at = now()')
  }
  const config = () => `${database ? `database: { url: "${database.url}" }\n` : ''}storage:
  local:
    mediaLocation: ${options.mediaLocation ?? join(dataDir, 'media')}
  s3:
    endpoint: ${endpoint}
    bucket: ${BUCKET}
    region: us-east-1
    accessKeyId: ${CREDENTIALS.accessKeyId}
    secretAccessKey: ${CREDENTIALS.secretAccessKey}
    requestTimeoutMs: ${options.requestTimeoutMs ?? 60_000}
${options.objectLock ? `    objectLock: ${options.objectLock}\n` : ''}${options.encryption ? `    encryption: ${options.encryption}\n` : ''}${options.publicEndpoint ? `    publicEndpoint: ${options.publicEndpoint(bucket.port)}\n` : ''}  upload: { retryDelayMs: 20${options.upload ? `, ${options.upload}` : ''} }
${options.outage ? `  outage: ${options.outage}\n` : ''}${storage.replaceAll(/^(?=.)/gm, '  ')}`
  const port = await freePort()
  let isRunning = false
  const stopServer = async () => {
    if (isRunning) await parts.server.stop()
    isRunning = false
  }
  database?.beforeDrop(stopServer)
  const parts = {
    database,
    folder,
    dataDir,
    mediaLocation: options.mediaLocation ?? join(dataDir, 'media'),
    bucket,
    async start(other) {
      storage = other ?? storage
      const { isMemoryMeasured = false } = options
      parts.server = await spawnServer({ dataDir, config: config(), port, isMemoryMeasured })
      isRunning = true
      // A session outlives a restart, and a log-in hashes a password, which is slow on purpose.
      parts.client ??= await connectClient(parts.server.url)
    },
    async close() {
      await stopServer()
      await database?.drop()
      await bucket.close()
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    },
  } as ServerWithBucket
  try {
    await parts.start()
  } catch (error) {
    await parts.close()
    throw error
  }
  return parts
}

export const statusOf = (client: Client) => client.json<StorageOverview>('/storage/status')
export const receiptOf = (client: Client, assetId: string) =>
  client.json<Receipt>(`/storage/receipts/${assetId}`)
export const probeNow = (client: Client) => client.json<StorageOverview>('/storage/probe', { method: 'POST' })

export async function failuresOf(client: Client): Promise<Failure[]> {
  return (await client.json<{ failures: Failure[] }>('/storage/failures')).failures
}

export async function bucketStatus(client: Client): Promise<LocationStatus> {
  const { locations } = await statusOf(client)
  return locations.find(({ id }) => id === 's3')!
}

/** The bucket has been looked at once, so that what is counted from now on is not the first probe's. */
export async function probed(client: Client): Promise<void> {
  await eventually(async () => {
    const { lastProbeAt, health } = await bucketStatus(client)
    if (lastProbeAt === null || health !== 'healthy') throw new Error(`not probed yet: ${health}`)
  }, 30_000)
}

/**
 * Every original is in the bucket alone. Returns how long that took, in milliseconds; nothing may be at risk
 * meanwhile.
 */
export async function drained(client: Client, limitMs: number): Promise<number> {
  const begunAt = Date.now()
  await eventually(async () => {
    const { originals } = await statusOf(client)
    if (originals.atRisk.count > 0) throw new Error(`at risk: ${JSON.stringify(originals)}`)
    if (originals.offloaded.count !== originals.total.count)
      throw new Error(`not drained: ${JSON.stringify(originals)}`)
  }, limitMs)
  return Date.now() - begunAt
}

/** Counts the requests of one operation that concern objects of ours, not markers and probes. */
export function countRequests(bucket: StrictS3, operation: OperationName): { readonly hits: number } {
  return bucket.faults.add({ match: { operation, key: /^users\// }, fault: { kind: 'delay', ms: 0 } })
}

/** Keys of objects of ours in the bucket. */
export async function heldKeys(bucket: StrictS3, name = BUCKET): Promise<string[]> {
  return (await bucket.stored.objects(name)).map(({ key }) => key).filter((key) => key.startsWith('users/'))
}

/** What lies in the staging folder. */
export async function staged(mediaLocation: string): Promise<string[]> {
  return readdir(join(mediaLocation, 'staging')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}

/** A small photo, different at every call. */
export async function photo(width = 64): Promise<Buffer> {
  const noise = randomBytes(width * 48 * 3)
  return sharp(noise, { raw: { width, height: 48, channels: 3 } })
    .jpeg()
    .toBuffer()
}
