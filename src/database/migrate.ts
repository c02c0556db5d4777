import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type pg from 'pg'
import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'

/** Of the advisory lock; any number that nobody else uses in this database. */
export const MIGRATION_LOCK = 5_713_204_418
/**
 * The queue's schema is that of this package and version; recorded among our migrations when it is in place.
 */
export const QUEUE_SCHEMA = 'graphile-worker 0.18.0'
const FOLDER = new URL('./migrations/', import.meta.url)

export type Migration = { name: string; text: string; sha256: string }

/** The files of `migrations/`, in the order of their names. */
export async function readMigrations(folder: URL = FOLDER): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => /^\d{4}-[a-z0-9-]+\.sql$/.test(name)).sort()
  return Promise.all(
    names.map(async (name) => {
      const text = await readFile(new URL(name, folder), 'utf8')
      return {
        name: name.slice(0, -'.sql'.length),
        text,
        sha256: createHash('sha256').update(text).digest('hex'),
      }
    }),
  )
}

/**
 * Brings the database to what this code expects: our files, each in a transaction of its own, then the
 * queue's schema. Several pods may call it at once: an advisory lock lets one work and the others find
 * nothing left to do.
 * @throws AppError conflict when the database was migrated by a newer Glassine, or by other files of the same
 * names
 */
export async function migrate(pool: pg.Pool, log: Log, migrations?: Migration[]): Promise<void> {
  const wanted = migrations ?? (await readMigrations())
  const client = await pool.connect()
  let isBroken = false
  try {
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    try {
      await applyMissing(client, wanted, log)
      await migrateQueue(client, pool)
    } finally {
      await client.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK])
    }
  } catch (error) {
    isBroken = true // its session may still hold the lock: end it
    throw error
  } finally {
    client.release(isBroken)
  }
}

/** Whether any Glassine has ever migrated this database. */
export async function isSetUp(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ is: boolean }>(
    "select to_regclass('schema_migration') is not null as is",
  )
  return rows[0]!.is
}

/**
 * Applies these migrations, in the caller's transaction, to a database that has none: a restore brings it to
 * the state that a backup was made of, and fills it, or leaves nothing.
 */
export async function setUpWithin(client: pg.ClientBase, migrations: readonly Migration[]): Promise<void> {
  await client.query(MIGRATION_TABLE)
  for (const { name, text, sha256 } of migrations) {
    await client.query(text)
    await client.query('insert into schema_migration (name, sha256) values ($1, $2)', [name, sha256])
  }
}

const MIGRATION_TABLE = `create table if not exists schema_migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
  )`

async function applyMissing(client: pg.PoolClient, wanted: Migration[], log: Log): Promise<void> {
  await client.query(MIGRATION_TABLE)
  const { rows } = await client.query<{ name: string; sha256: string }>(
    'select name, sha256 from schema_migration',
  )
  const applied = new Map(rows.map((row) => [row.name, row.sha256]))

  let count = 0
  const ours = [...applied.keys()].filter((name) => /^\d{4}-/.test(name))
  const unknown = ours.filter((name) => !wanted.some((migration) => migration.name === name)).sort()
  if (unknown.length > 0) {
    throw new AppError(
      'conflict',
      `The database is newer than this Glassine: it has the migration ${unknown[0]}, which is not known here. ` +
        'Start the version that was last used with it, or a newer one.',
    )
  }
  for (const migration of wanted) {
    const found = applied.get(migration.name)
    if (found === migration.sha256) continue
    if (found !== undefined) {
      throw new AppError(
        'conflict',
        `The database was made by another text of the migration ${migration.name} than this Glassine's. ` +
          'Start the version that made it, or point database.url at an empty database.',
      )
    }
    const beganAt = performance.now()
    await client.query('begin')
    try {
      await client.query(migration.text)
      await client.query('insert into schema_migration (name, sha256) values ($1, $2)', [
        migration.name,
        migration.sha256,
      ])
      await client.query('commit')
    } catch (error) {
      await client.query('rollback')
      throw new Error(`migration ${migration.name}: ${(error as Error).message}`, { cause: error })
    }
    log.debug({ migration: migration.name, ms: Math.round(performance.now() - beganAt) }, 'migrated')
    count += 1
  }
  if (count > 0)
    log.info(
      { migrations: count },
      applied.size === 0 ? 'the database is set up' : 'the database is brought up to date',
    )
}

/** graphile-worker's own schema. Loading the package takes 100 ms, so not when there is nothing to do. */
async function migrateQueue(client: pg.PoolClient, pool: pg.Pool): Promise<void> {
  const { rowCount } = await client.query('select from schema_migration where name = $1', [QUEUE_SCHEMA])
  if (rowCount === 1) return
  await installQueue(pool)
  await client.query("insert into schema_migration (name, sha256) values ($1, '')", [QUEUE_SCHEMA])
}

/** graphile-worker's own schema, brought to this version of it; it commits by itself. */
export async function installQueue(pool: pg.Pool): Promise<void> {
  const { runMigrations, Logger } = await import('graphile-worker')
  await runMigrations({ pgPool: pool, logger: new Logger(() => () => undefined) })
}
