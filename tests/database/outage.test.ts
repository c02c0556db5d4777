import assert from 'node:assert/strict'
import { join } from 'node:path'
import test from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { connectDatabase, type Database } from '../../src/database/connect.ts'
import { isDatabaseOutage } from '../../src/database/outage.ts'
import { silentLog } from '../../src/log.ts'
import { freePort } from '../support/free-port.ts'
import { testDatabase } from '../support/postgres.ts'

const failureOf = (doing: Promise<unknown>) =>
  doing.then(
    () => assert.fail('it worked'),
    (error: unknown) => error,
  )
const ask = (db: Database) => sql`select 1`.execute(db)

test('what pg, its pool and the system say when PostgreSQL is away is an outage', async (t) => {
  const { url } = await testDatabase(t)
  const nobody = `postgres://nobody@127.0.0.1:${await freePort()}/nothing`
  const nowhere = `postgres:///nothing?host=${encodeURIComponent(join(import.meta.dirname, 'no-such-folder'))}`
  for (const away of [nobody, nowhere]) {
    const { pool, db } = connectDatabase(away, silentLog)
    assert.ok(isDatabaseOutage(await failureOf(ask(db))), away)
    await pool.end()
  }

  const { pool, db } = connectDatabase(url, silentLog, { maxConnections: 1 })
  const ended = await failureOf(sql`select pg_terminate_backend(pg_backend_pid())`.execute(db))
  assert.ok(isDatabaseOutage(ended), String(ended))
  const client = await pool.connect()
  pool.options.connectionTimeoutMillis = 20
  const late = await failureOf(ask(db))
  assert.ok(isDatabaseOutage(late), String(late))
  client.release()
  await pool.end()
  const over = await failureOf(ask(db))
  assert.ok(isDatabaseOutage(over), String(over))

  const lone = new pg.Client({ connectionString: url })
  lone.on('error', () => undefined)
  await lone.connect()
  const sleeping = failureOf(lone.query('select pg_sleep(60)'))
  ;(lone as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
  const cut = await sleeping
  assert.ok(isDatabaseOutage(cut), String(cut))
})

test('what says something about the statement, or about another file, is none', async (t) => {
  const { db } = await testDatabase(t)
  for (const wrong of [sql`select nonsense`, sql`select 1 / 0`, sql`insert into album_user default values`])
    assert.equal(isDatabaseOutage(await failureOf(wrong.execute(db))), false)
  const ofAFile = Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' })
  assert.equal(isDatabaseOutage(ofAFile), false)
  assert.equal(isDatabaseOutage(new Error('the connection pool of somebody has a timeout')), false)
  assert.equal(isDatabaseOutage('57P01'), false)
  const ofState = (code: string) => isDatabaseOutage(Object.assign(new Error('x'), { code }))
  assert.deepEqual(['57P03', '53300', '53100', '40P01', '08006'].map(ofState), [true, true, true, true, true])
  assert.deepEqual(['57014', '23505', '42P01'].map(ofState), [false, false, false])
})
