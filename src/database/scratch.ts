/** A database beside ours that is there for one use. */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { connectDatabase, type Database } from './connect.ts'

const NAME_BEGIN = 'glassine_drill_'
const IN_USE = '55006'
const NOT_ALLOWED = '42501'

/**
 * Makes an empty database on the same PostgreSQL, and removes it afterwards; and any that a killed process
 * has left. @throws AppError conflict where the role of `database.url` may make none
 */
export async function withScratchDatabase<T>(
  pool: pg.Pool,
  log: Log,
  use: (scratch: { pool: pg.Pool; db: Database }) => Promise<T>,
): Promise<T> {
  await removeLeftOvers(pool)
  const name = `${NAME_BEGIN}${randomBytes(8).toString('hex')}`
  await pool.query(`create database ${name} template template0`).catch((error: Error & { code?: string }) => {
    if (error.code !== NOT_ALLOWED) throw error
    throw new AppError(
      'conflict',
      'database.url: its role may make no database, and a drill needs one of its own: alter role ... createdb',
      { cause: error },
    )
  })
  try {
    const url = new URL(pool.options.connectionString ?? '')
    url.pathname = `/${name}`
    const scratch = connectDatabase(url.href, log, { maxConnections: 4 })
    try {
      return await use(scratch)
    } finally {
      await scratch.pool.end()
    }
  } finally {
    await pool.query(`drop database ${name} with (force)`)
  }
}

async function removeLeftOvers(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string }>(
    `select datname as name from pg_database where datname ~ '^${NAME_BEGIN}[0-9a-f]{16}$'
       and datdba = (select oid from pg_roles where rolname = current_user)`,
  )
  for (const { name } of rows)
    await pool.query(`drop database if exists ${name}`).catch((error: Error & { code?: string }) => {
      // Of a drill that is under way.
      if (error.code !== IN_USE) throw error
    })
}
