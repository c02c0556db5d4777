/**
 * The whole HTTP server in this process: real routes, real PostgreSQL, real placement on a disk in a
 * temporary folder and on a bucket in memory, whose calls can be made to fail. Jobs run when a test says so.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { buildHttpServer } from '../../src/http/server.ts'
import { jobHandlers } from '../../src/jobs/index.ts'
import type { SessionLimits } from '../../src/library/credentials/sessions.ts'
import type { NotificationSettings } from '../../src/library/notifications/settings.ts'
import type { ReadingBudget } from '../../src/library/processing/reading-budget.ts'
import type { UploadRules } from '../../src/library/uploads/upload-strategy.ts'
import { type Log, silentLog } from '../../src/log.ts'
import { type MediaTools, openMediaTools } from '../../src/media/processes/tools.ts'
import { DEFAULT_KEEP } from '../../src/placement/backup-settings.ts'
import type { Delivery } from '../../src/placement/delivery-rules.ts'
import type { Location } from '../../src/placement/location.ts'
import type { Placement, PlacementSettings } from '../../src/placement/placement.ts'
import type { ClassPolicy } from '../../src/placement/storage-classes.ts'
import { startWorker } from '../../src/queue/worker/worker.ts'
import { ADMIN, type Client, connectClient } from './client.ts'
import { createTestUser } from './http/users.ts'
import { testPlacement } from './placement.ts'
import { type TestDatabase, testDatabase } from './postgres.ts'

export type TestServer = TestDatabase & {
  url: string
  app: FastifyInstance
  placement: Placement
  /** The media volume and the other places, with calls that can be made to fail. */
  disk: Awaited<ReturnType<typeof testPlacement>>['disk']
  remotes: Awaited<ReturnType<typeof testPlacement>>['remotes']
  mediaLocation: string
  /** The administrator, logged in. */
  admin: Client
  /** Another user, logged in. */
  newUser(name: string, options?: { quotaBytes?: number }): Promise<Client & { userId: string }>
  /** Runs a worker until nothing is due any more. */
  runJobs(): Promise<void>
}

export type TestServerOptions = {
  remotes?: string[]
  originals?: string[]
  settings?: Partial<PlacementSettings>
  extra?: Location[]
  delivery?: Delivery
  classes?: ClassPolicy
  now?: () => Date
  maxUploadBytes?: number
  /** Absent: local-first for all. */
  uploads?: UploadRules
  log?: Log
  publicUrl?: string
  trustedProxies?: string[]
  sessions?: SessionLimits
  reading?: ReadingBudget
  notifications?: NotificationSettings
  /** Absent: none are made. */
  backupsEveryMs?: number
  /** For all decoders of pictures together. */
  decoderMemoryBytes?: number
}

const PASSWORD = 'a long password'

/** Of all servers of a file that want nothing else of it: each decoder costs a second of CPU to start. */
let sharedTools: MediaTools | undefined
after(() => sharedTools?.close())

/** No program of it starts before it is needed. */
function toolsFor(t: TestContext, { log, decoderMemoryBytes: memoryBytes }: TestServerOptions): MediaTools {
  const isOrdinary = log === undefined && memoryBytes === undefined
  if (isOrdinary && sharedTools !== undefined) return sharedTools
  const tools = openMediaTools({ log: log ?? silentLog, threads: 1, memoryBytes: memoryBytes ?? null })
  if (isOrdinary) sharedTools = tools
  else t.after(() => tools.close())
  return tools
}

export async function startTestServer(t: TestContext, options: TestServerOptions = {}): Promise<TestServer> {
  const log = options.log ?? silentLog
  // Not with `t`: the database goes last, after what uses it.
  const database = await testDatabase()
  const backupFolder = await mkdtemp(join(tmpdir(), 'glassine-backup-key-'))
  const placed = await testPlacement(database.db, {
    ...options,
    ...(options.backupsEveryMs !== undefined && {
      backups: {
        pool: database.pool,
        keyFile: join(backupFolder, 'backup-key.txt'),
        everyMs: options.backupsEveryMs,
        keep: DEFAULT_KEEP,
      },
    }),
  })
  const mediaTools = toolsFor(t, options)
  const parts = {
    config: {
      uploads: { maxBytes: options.maxUploadBytes ?? 1024 ** 4 },
      publicUrl: options.publicUrl ?? null,
      trustedProxies: options.trustedProxies ?? [],
      ...(options.sessions && { sessions: options.sessions }),
      ...(options.reading && { reading: options.reading }),
      ...(options.notifications && { notifications: options.notifications }),
      ...(options.uploads && { storage: options.uploads }),
      media: { thumbnailPx: 250, previewPx: 1440 },
    },
    log,
    db: database.db,
    pool: database.pool,
    placement: placed.placement,
    mediaTools,
  }
  await createTestUser(database.db, { ...ADMIN, isAdmin: true })
  const app = await buildHttpServer(parts)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(async () => {
    await app.close()
    await placed.close()
    await rm(backupFolder, { recursive: true })
    await database.drop()
  })

  // Jobs in their short back-off are waited for, holds of hours are not. One that runs counts also when
  // another of its key was enqueued meanwhile: then the queue gives it no more attempts.
  const isWorkDue = async () => {
    const { rowCount } = await database.pool.query(`select from graphile_worker.jobs
      where locked_at is not null
        or (attempts < max_attempts and run_at < now() + interval '3 seconds'
          and (flags ?| array(select queue from paused_queue)) is not true)
      limit 1`)
    return rowCount !== 0
  }
  const runJobs = async () => {
    if (!(await isWorkDue())) return
    const worker = await startWorker({
      pool: database.pool,
      db: database.db,
      handlers: jobHandlers(parts),
      concurrency: { processing: 2, video: 1, storage: 4 },
      backOff: { quickTries: 3, quickDelayMs: 50 },
      log,
      // It is notified of new jobs and knows of its own back-offs; a look at all lanes costs as much as a
      // job.
      pollMs: 500,
      recurring: [],
    })
    try {
      while (await isWorkDue()) await sleep(25)
    } finally {
      await worker.stop(10_000)
    }
  }

  return {
    ...database,
    url,
    app,
    placement: placed.placement,
    disk: placed.disk,
    remotes: placed.remotes,
    mediaLocation: placed.mediaLocation,
    admin: await connectClient(url),
    runJobs,
    async newUser(name, user = {}) {
      const email = `${name}@example.org`
      const { id } = await createTestUser(database.db, { email, name, password: PASSWORD, ...user })
      return { ...(await connectClient(url, { email, password: PASSWORD })), userId: id }
    },
  }
}
