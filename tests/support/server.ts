/**
 * The whole HTTP server in this process: real routes, real PostgreSQL, real placement on a disk in a temporary folder and
 * on a bucket in memory, whose calls can be made to fail. Jobs run when a test says so.
 */

import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { buildHttpServer } from '../../src/http/server.ts'
import { jobHandlers } from '../../src/jobs/index.ts'
import type { UploadRules } from '../../src/library/upload-strategy.ts'
import { createUser } from '../../src/library/users.ts'
import { type Log, silentLog } from '../../src/log.ts'
import { openMediaTools } from '../../src/media/tools.ts'
import type { Delivery } from '../../src/placement/deliver.ts'
import type { Location, Placement, PlacementSettings } from '../../src/placement/placement.ts'
import type { ClassPolicy } from '../../src/placement/storage-classes.ts'
import { startWorker } from '../../src/queue/worker.ts'
import { type Client, connectClient } from './client.ts'
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
}

const PASSWORD = 'a long password'

export async function startTestServer(t: TestContext, options: TestServerOptions = {}): Promise<TestServer> {
  const log = options.log ?? silentLog
  // Not with `t`: the database goes last, after what uses it.
  const database = await testDatabase()
  const placed = await testPlacement(database.db, options)
  // No program of it starts before it is needed.
  const mediaTools = openMediaTools({ log, threads: 1 })
  const parts = {
    config: {
      uploads: { maxBytes: options.maxUploadBytes ?? 1024 ** 4 },
      ...(options.uploads && { storage: options.uploads }),
      media: { thumbnailPx: 250, previewPx: 1440 },
    },
    log,
    db: database.db,
    pool: database.pool,
    placement: placed.placement,
    mediaTools,
  }
  const app = await buildHttpServer(parts)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.after(async () => {
    await app.close()
    await mediaTools.close()
    await placed.close()
    await database.drop()
  })

  const runJobs = async () => {
    const worker = await startWorker({
      pool: database.pool,
      db: database.db,
      handlers: jobHandlers(parts),
      concurrency: { processing: 2, video: 1, storage: 4 },
      backOff: { quickTries: 3, quickDelayMs: 50 },
      log,
      pollMs: 50,
      recurring: [],
    })
    try {
      // Jobs in their short back-off are waited for, holds of hours are not.
      for (;;) {
        const { rowCount } = await database.pool.query(`select from graphile_worker.jobs
          where attempts < max_attempts and (flags ?| array(select queue from paused_queue)) is not true and (locked_at is not null or run_at < now() + interval '3 seconds')`)
        if (rowCount === 0) break
        await sleep(25)
      }
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
      const { id } = await createUser(database.db, { email, name, password: PASSWORD, ...user })
      return { ...(await connectClient(url, { email, password: PASSWORD })), userId: id }
    },
  }
}
