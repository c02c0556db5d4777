/**
 * The whole engine in this process: HTTP, PostgreSQL, jobs, a disk, and two strict S3 servers. Jobs run one
 * after another when a history says so, so that its seed decides the order.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { type App, buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { isAppError } from '../../src/errors.ts'
import { buildHttpServer } from '../../src/http/server.ts'
import { jobHandlers } from '../../src/jobs/index.ts'
import { silentLog } from '../../src/log.ts'
import { JOB_RULES, type JobName, type Jobs } from '../../src/queue/job-types.ts'
import { laterInMs } from '../../src/queue/retry-later.ts'
import { claimJobs, completeJob, failJob, postponeJob } from '../../src/queue/worker/claimed-job.ts'
import type { JobContext, JobHandlers } from '../../src/queue/worker/worker.ts'
import { isStorageError } from '../../src/storage/backend.ts'
import { ADMIN, type Client, connectClient } from '../support/client.ts'
import { createTestUser } from '../support/http/users.ts'
import { type TestDatabase, testDatabase } from '../support/postgres.ts'

const CREDENTIALS = { accessKeyId: 'histories', secretAccessKey: 'histories-secret' }
const BUCKET = 'photos'
const WORKER = 'histories'
const ALL_JOBS = Object.keys(JOB_RULES) as JobName[]
const LATER_MS = 24 * 3_600_000

/** `skewMs`: how far the clock of the server is ahead. */
export type Bucket = { id: string; server: StrictS3; clock: { skewMs: number } }
export type World = {
  database: TestDatabase
  buckets: readonly [Bucket, Bucket]
  app: App
  client: Client
  /** Ends the process's parts in order, and starts them again on the same folder and database. */
  restart(): Promise<void>
  /** Every job that is there, once, each also where it waits; what they say is in `said`. */
  runJobs(said: string[]): Promise<number>
  /** One job that recurs. */
  run(name: JobName): Promise<void>
  bytesAt(locationId: string, key: string): Promise<Buffer | null>
  /** Keys of ours at a bucket. */
  keysAt(bucket: Bucket): Promise<string[]>
  close(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-histories-'))
  const database = await testDatabase()
  await createTestUser(database.db, { ...ADMIN, isAdmin: true })
  await database.pool.query('update installation set created_at = now()')
  const buckets = [await openBucket('s3'), await openBucket('second')] as const
  const file = join(folder, 'glassine.yaml')
  await writeFile(file, configOf(database.url, buckets))
  const config = loadConfig({ GLASSINE_DATA: join(folder, 'data'), GLASSINE_CONFIG: file })
  let parts = await openParts(config)
  const find = (id: string) => buckets.find((bucket) => bucket.id === id)

  const world: World = {
    database,
    buckets,
    app: parts.app,
    client: parts.client,
    async restart() {
      await parts.close()
      parts = await openParts(config)
      Object.assign(world, { app: parts.app, client: parts.client })
    },
    async runJobs(said) {
      await database.pool.query(
        'update graphile_worker._private_jobs set run_at = now() where locked_at is null',
      )
      let count = 0
      for (;;) {
        const [job] = await claimJobs(world.app.db, WORKER, [{ names: ALL_JOBS, jobs: 1, avoid: [] }])
        if (!job) return count
        count += 1
        const message = await runClaimed(parts, job)
        if (message !== null) said.push(`${job.name}: ${message}`)
      }
    },
    run: (name) => call(parts.handlers, name, {}),
    async bytesAt(locationId, key) {
      const bucket = find(locationId)
      const read = bucket
        ? bucket.server.stored.bytes(key)
        : readFile(join(config.storage.local.mediaLocation, key))
      return read.catch((error: Error & { code?: string }) => {
        if (error.code === 'ENOENT' || error.message.startsWith('no object ')) return null
        throw error
      })
    },
    async keysAt({ server }) {
      return (await server.stored.objects())
        .map(({ key }) => key)
        .filter((key) => /^(users|backups)\//.test(key))
    },
    async close() {
      await parts.close()
      await database.drop()
      for (const { server } of buckets) await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
  return world
}

async function openBucket(id: string): Promise<Bucket> {
  const clock = { skewMs: 0 }
  const server = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: [BUCKET],
    clock: () => new Date(Date.now() + clock.skewMs),
  })
  return { id, server, clock }
}

function configOf(url: string, [first, second]: readonly [Bucket, Bucket]): string {
  const keys = `accessKeyId: ${CREDENTIALS.accessKeyId}, secretAccessKey: ${CREDENTIALS.secretAccessKey}`
  const bucketOf = ({ server }: Bucket) =>
    `{ endpoint: "${server.endpoint}", bucket: ${BUCKET}, region: us-east-1, requestTimeoutMs: 5000, ${keys} }`
  return `database: { url: "${url}" }
storage:
  s3: ${bucketOf(first)}
  buckets: { second: ${bucketOf(second)} }
  locations: { originals: [s3, second] }
  minCopies: { originals: 2, databaseBackups: 2 }
  classes: { originals: { rules: [{ olderThanDays: 1, class: STANDARD_IA }] } }
  removal: { waitSeconds: 0, lateRequestMinutes: 0 }
  outage: { coolDownMs: 500, failures: 50 }
  upload: { retryAttempts: 1, retryDelayMs: 5 }
`
}

type Parts = { app: App; client: Client; handlers: JobHandlers; close(): Promise<void> }

async function openParts(config: ReturnType<typeof loadConfig>): Promise<Parts> {
  const app = await buildApp(config, silentLog)
  // One look more makes it surer, and a pause of seconds nothing.
  Object.assign(app.placement.settings, { counterDoubtMs: 5 })
  const http = await buildHttpServer(app)
  const url = await http.listen({ host: '127.0.0.1', port: 0 })
  const client = await connectClient(url)
  return {
    app,
    client,
    handlers: jobHandlers(app),
    async close() {
      await http.close()
      await app.close()
    },
  }
}

function call<Name extends JobName>(handlers: JobHandlers, name: Name, payload: Jobs[Name]): Promise<void> {
  const context: JobContext = { signal: AbortSignal.timeout(120_000), attempt: 1 }
  return handlers[name](payload, context)
}

type Claimed = Awaited<ReturnType<typeof claimJobs>>[number]

/** What it failed with; null: it is done. @throws what no job may fail with */
async function runClaimed({ app, handlers }: Parts, job: Claimed): Promise<string | null> {
  try {
    await call(handlers, job.name, job.payload as never)
  } catch (error) {
    const { message } = error as Error
    if (laterInMs(error as Error) !== null) await postponeJob(app.db, WORKER, job, LATER_MS)
    else if (isExpected(error)) {
      const failure = { error: message, code: 'unavailable', delayMs: LATER_MS, isFinal: false }
      await failJob(app.db, WORKER, job, { ...failure, queue: JOB_RULES[job.name].queue })
    } else throw error
    return message
  }
  await completeJob(app.db, WORKER, job)
  return null
}

/** The errors that a job may end with, to be run again; anything else is a mistake. */
export function isExpected(error: unknown): boolean {
  const codes = ['unavailable', 'corrupt', 'conflict', 'last-copy', 'not-found', 'archived'] as const
  return (
    isStorageError(error) ||
    codes.some((code) => isAppError(error, code)) ||
    laterInMs(error as Error) !== null
  )
}
