/** A PostgreSQL of one lane's own, to be killed: with databases that are clones of one template. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { connectDatabase } from '../../../src/database/connect.ts'
import { startEmbeddedPostgres } from '../../../src/database/embedded/embedded.ts'
import { migrate } from '../../../src/database/migrate.ts'
import type { Actor } from '../../../src/library/access.ts'
import { silentLog } from '../../../src/log.ts'
import { memoryFolder } from '../../support/database/memory-folder.ts'
import { eventually } from '../../support/eventually.ts'
import { createTestUser } from '../../support/http/users.ts'

const TEMPLATE = 'matrix_template'
const BACK_WITHIN_MS = 60_000

/**
 * `backend`: kill -9 of the process of one connection, after which PostgreSQL ends all others at once and
 * recovers by its log. `postmaster`: kill -9 of the whole server, which is then started anew.
 */
export type PostgresKill = 'backend' | 'postmaster'

export type LanePostgres = {
  /** Of the users that every database has, the first one. */
  actor: Actor
  /** URL of a migrated database with two users, or of one without a table. */
  createDatabase(kind: 'migrated' | 'empty'): Promise<string>
  drop(url: string): Promise<void>
  /** Resolves when the signal is sent. */
  kill(how: PostgresKill, url: string): Promise<void>
  /** Resolves when it takes connections again after `kill`. */
  isBack(): Promise<void>
  close(): Promise<void>
}

export async function startLanePostgres(name: string): Promise<LanePostgres> {
  const dataDir = join(memoryFolder(), `glassine-${name}`)
  // Nothing is lost with a process that is killed, only with the power: fsync is not what is tested.
  const server = await startEmbeddedPostgres({ dataDir, log: silentLog, durable: false })
  const urlOf = (database: string) => {
    const url = new URL(server.url)
    url.pathname = `/${database}`
    return url.href
  }
  /** Is cut off by a kill as everybody is, which tells that it has happened. */
  let admin = await connect()
  let ended: Promise<unknown> | null = null

  async function connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: urlOf('postgres'), connectionTimeoutMillis: 5_000 })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  await admin.query(`drop database if exists ${TEMPLATE} with (force)`)
  await admin.query(`create database ${TEMPLATE}`)
  const { pool, db } = connectDatabase(urlOf(TEMPLATE), silentLog, { maxConnections: 3 })
  await migrate(pool, silentLog)
  const user = { email: 'anna@example.org', name: 'Anna', password: 'a long password' }
  const { id } = await createTestUser(db, { ...user, isAdmin: true })
  await createTestUser(db, { ...user, email: 'bert@example.org', name: 'Bert' })
  await pool.end()

  return {
    actor: { userId: id, email: user.email, name: user.name, isAdmin: true, sessionId: null, apiKey: null },
    async createDatabase(kind) {
      const database = `case_${randomBytes(6).toString('hex')}`
      const origin = kind === 'migrated' ? TEMPLATE : 'template0'
      await admin.query(`create database ${database} template ${origin} strategy file_copy`)
      return urlOf(database)
    },
    async drop(url) {
      await admin.query(`drop database if exists ${new URL(url).pathname.slice(1)} with (force)`)
    },
    async kill(how, url) {
      const { rows } = await admin.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = $1 and backend_type = 'client backend'
         order by state_change desc limit 1`,
        [new URL(url).pathname.slice(1)],
      )
      ended = once(admin, 'end')
      // Whoever has no connection at this moment loses the server all the same.
      if (how === 'backend' && rows[0]) process.kill(rows[0].pid, 'SIGKILL')
      else process.kill(server.pid, 'SIGKILL')
    },
    async isBack() {
      await ended
      ended = null
      admin = await eventually(connect, BACK_WITHIN_MS)
    },
    async close() {
      await admin.end()
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
