/**
 * The bucket for people who have none yet: our strict S3 server on a folder of the data directory, on
 * loopback. Glassine uses it like any other S3 service, so that offload, proof and ranges really run from the
 * first minute.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findProcess } from './database/embedded/process-identity.ts'
import { AppError } from './errors.ts'
import type { Log } from './log.ts'

export const DEMONSTRATION_BUCKET = 'demonstration'

export type DemonstrationBucket = {
  endpoint: string
  folder: string
  accessKeyId: string
  secretAccessKey: string
  close(): Promise<void>
}

/**
 * `demonstration-bucket.json`, readable by its owner alone. `server` is the process that serves the folder,
 * and which folder that is: a copy of a running installation holds a copy of this file, and must not use the
 * bucket of its original.
 */
type Remembered = {
  accessKeyId: string
  secretAccessKey: string
  port: number
  server: { pid: number; startedAt: string; folder: string } | null
}

/**
 * Starts the bucket, or, where another process of this data directory serves it already, says where that is.
 */
export async function openDemonstrationBucket(dataDir: string, log: Log): Promise<DemonstrationBucket> {
  const folder = join(dataDir, 'demonstration-bucket')
  const file = join(dataDir, 'demonstration-bucket.json')
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await mkdir(folder, { recursive: true })
  const identity = await identityOf(folder)
  const remembered = await read(file)
  const { accessKeyId, secretAccessKey } = remembered

  if (await isServing(remembered.server, identity)) {
    const endpoint = `http://127.0.0.1:${remembered.port}`
    return { endpoint, folder, accessKeyId, secretAccessKey, close: async () => undefined }
  }
  const { startStrictS3 } = await import('strict-s3')
  const start = (port: number) =>
    startStrictS3({
      store: { kind: 'folder', path: folder },
      credentials: { accessKeyId, secretAccessKey },
      buckets: [DEMONSTRATION_BUCKET],
      // Pages of any address of this machine; presigned URLs limit what they may do.
      cors: [
        {
          id: undefined,
          allowedOrigins: ['*'],
          allowedMethods: ['GET', 'HEAD', 'PUT'],
          allowedHeaders: ['*'],
          exposeHeaders: ['ETag', 'Content-Length', 'Content-Range', 'Accept-Ranges'],
          maxAgeSeconds: 3600,
        },
      ],
      host: '127.0.0.1',
      port,
      onInternalError: (error, request) =>
        log.error({ err: error, ...request }, 'the demonstration bucket failed'),
    })
  // The port of the last time, so that a worker of another process finds it again after a restart of this
  // one.
  const server = await start(remembered.port).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE' && remembered.port !== 0) return start(0)
    throw new AppError('unavailable', `The demonstration bucket does not start: ${error.message}`, {
      cause: error,
    })
  })
  const self = await findProcess(process.pid)
  const own = { accessKeyId, secretAccessKey, port: server.port }
  const ours = { pid: process.pid, startedAt: self?.startedAt ?? '', folder: identity }
  await write(file, { ...own, server: ours })
  return {
    endpoint: server.endpoint,
    folder,
    accessKeyId,
    secretAccessKey,
    async close() {
      await server.close()
      // A data folder that was replaced meanwhile has a file of its own, or is about to be given one.
      if ((await identityOf(folder).catch(nowhere)) === identity) await write(file, { ...own, server: null })
    },
  }
}

/** As the configuration would describe it. */
export function demonstrationSettings(bucket: DemonstrationBucket) {
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

/** By whatever path it is reached; a copy has another one, a snapshot another device. */
async function identityOf(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true })
  return `${dev}:${ino}`
}

function nowhere(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
  throw error
}

async function isServing(server: Remembered['server'], folder: string): Promise<boolean> {
  if (server === null || server.pid === process.pid || server.folder !== folder) return false
  const found = await findProcess(server.pid)
  return found !== null && found.startedAt === server.startedAt
}

async function read(file: string): Promise<Remembered> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Remembered
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const fresh = {
      accessKeyId: randomBytes(10).toString('hex').toUpperCase(),
      secretAccessKey: randomBytes(30).toString('base64url'),
      port: 0,
      server: null,
    }
    await write(file, fresh)
    return fresh
  }
}

async function write(file: string, content: Remembered): Promise<void> {
  await writeFile(`${file}.unfinished`, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 })
  await rename(`${file}.unfinished`, file)
}
