/**
 * A migrated database of its own for whoever asks, on one real PostgreSQL that the whole test run shares.
 *
 * `tests/run.ts` starts the server and passes its URL on; a test file that runs alone starts it itself, or
 * finds the one that another file started. The first to need it makes the template, named by a digest of the
 * migrations; everybody gets a clone (about 30 ms).
 */
import { randomBytes } from 'node:crypto'
import { after, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { connectDatabase, type Database } from '../../src/database/connect.ts'
import type { EmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { migrate } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { startTestPostgres, TEST_POSTGRES_VARIABLE, templateName } from './database/shared-postgres.ts'

export type TestDatabase = {
  url: string
  db: Database
  pool: pg.Pool
  /** Ends the pool and drops the database, whoever is still connected. */
  drop(): Promise<void>
  /**
   * Runs `stop` before the database is dropped: the last registered first. (`t.after` runs the first first.)
   */
  beforeDrop(stop: () => Promise<unknown>): void
}

let server: Promise<{ adminUrl: string; template: string }> | undefined
let ownServer: EmbeddedPostgres | undefined
/** For all databases of the process: a connection costs PostgreSQL 25 ms of a processor. */
let admins: pg.Pool | undefined
const dropAfterFile: (() => Promise<void>)[] = []

// At the top level of the module, so that it is the file's hook and not that of the test which asked first.
after(async () => {
  await Promise.all(dropAfterFile.map((drop) => drop()))
  await ownServer?.stop()
})

async function prepareServer() {
  let url = process.env[TEST_POSTGRES_VARIABLE]
  if (url === undefined) {
    ownServer = await startTestPostgres()
    url = ownServer.url
  }
  const adminUrl = urlOf(url, 'postgres')
  return { adminUrl, template: await ensureTemplate(adminUrl) }
}

async function ensureTemplate(adminUrl: string): Promise<string> {
  const template = await templateName()
  // A connection of its own, for the lock goes with it.
  await asAdmin(adminUrl, async (admin) => {
    await admin.query('select pg_advisory_lock(1)')
    const { rowCount } = await admin.query('select from pg_database where datname = $1', [template])
    if (rowCount === 1) return
    // Under another name first: a run that is killed here must not leave half a template under the real one.
    const unfinished = `${template}_unfinished`
    await admin.query(`drop database if exists ${unfinished} with (force)`)
    await admin.query(`create database ${unfinished}`)
    const { pool } = connectDatabase(urlOf(adminUrl, unfinished), silentLog, { maxConnections: 3 })
    await migrate(pool, silentLog)
    await pool.end()
    await admin.query(`alter database ${unfinished} rename to ${template}`)
  })
  return template
}

/** As `testDatabase`, without any table in it. */
export function emptyDatabase(t?: TestContext): Promise<TestDatabase> {
  return createDatabase(t, 10, 'template0')
}

/**
 * A fresh, migrated database. Dropped by `drop()`, or by itself after the test `t`, or, called outside of a
 * test, after the file.
 */
export function testDatabase(
  t?: TestContext,
  options: { maxConnections?: number } = {},
): Promise<TestDatabase> {
  return createDatabase(t, options.maxConnections ?? 10)
}

/** How long sessions may take to end by themselves. */
const LEAVE_MS = 500

/**
 * The end of a pool does not wait for its sockets. A session that is ended by force meanwhile is an error of
 * its pool, which nobody expects any more, and which fails the file.
 */
async function untilLeft(admin: pg.Pool, database: string): Promise<void> {
  const until = Date.now() + LEAVE_MS
  while (Date.now() < until) {
    const { rowCount } = await admin.query('select from pg_stat_activity where datname = $1', [database])
    if (rowCount === 0) return
    await sleep(5)
  }
}

async function createDatabase(
  t: TestContext | undefined,
  maxConnections: number,
  origin?: string,
): Promise<TestDatabase> {
  server ??= prepareServer()
  const { adminUrl, template } = await server
  const name = `test_${process.pid}_${randomBytes(6).toString('hex')}`
  const admin = adminsOf(adminUrl)
  await admin.query(`create database ${name} template ${origin ?? template} strategy file_copy`)
  const url = urlOf(adminUrl, name)
  const { pool, db } = connectDatabase(url, silentLog, { maxConnections })

  const stops: (() => Promise<unknown>)[] = []
  let dropped: Promise<void> | undefined
  const drop = () => {
    dropped ??= (async () => {
      for (const stop of stops.reverse()) await stop()
      const ended = pool.end()
      // A connection that somebody still holds would let this wait for ever; dropping ends it.
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 500).unref())])
      await untilLeft(admin, name)
      await admin.query(`drop database if exists ${name} with (force)`)
    })()
    return dropped
  }
  const beforeDrop = (stop: () => Promise<unknown>) => void stops.push(stop)
  if (t === undefined) dropAfterFile.push(drop)
  else t.after(drop)
  return { url, db, pool, drop, beforeDrop }
}

function urlOf(url: string, database: string): string {
  const other = new URL(url)
  other.pathname = `/${database}`
  return other.href
}

/** Its connections keep no process alive, and end with it. */
function adminsOf(url: string): pg.Pool {
  if (admins === undefined) {
    admins = new pg.Pool({ connectionString: url, max: 2, idleTimeoutMillis: 0, allowExitOnIdle: true })
    // One that lies idle when the server is stopped at the end of a file. The next query tells what is wrong.
    admins.on('error', () => undefined)
  }
  return admins
}

async function asAdmin<T>(url: string, use: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.end()
  }
}
