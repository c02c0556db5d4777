import { Kysely, PostgresDialect } from 'kysely'
import type pg from 'pg'
import { becomeInstallation } from '../../../database/backups/installation.ts'
import { assertEmptyDatabase } from '../../../database/backups/load-backup.ts'
import {
  installQueue,
  MIGRATION_LOCK,
  migrate,
  readMigrations,
  setUpWithin,
} from '../../../database/migrate.ts'
import type { Schema } from '../../../database/schema.ts'
import type { Log } from '../../../log.ts'
import { isBeingRebuilt } from '../../../placement/catalogue/adoption-state.ts'
import { noteCatalogueAdoption } from './adopt-catalogue.ts'

/**
 * Sets an empty database up as that of the installation (null: a new one), with the job that brings back what
 * its catalogue says; that waits until the locations were taken over. In one transaction: killed at any
 * point, it leaves an empty database, or one of which `isRebuildUnderWay` is true. @throws AppError conflict
 * where the database holds anything
 */
export async function beginRebuild(pool: pg.Pool, installation: string | null, log: Log): Promise<void> {
  await assertEmptyDatabase(pool)
  // It commits by itself; a queue without jobs counts as nothing.
  await installQueue(pool)
  const migrations = await readMigrations()
  const client = await pool.connect()
  let isDone = false
  try {
    await client.query('begin')
    await client.query('set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0')
    // A server that starts meanwhile waits, and finds a database that is set up.
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await assertEmptyDatabase(client)
    await setUpWithin(client, migrations)
    const db = databaseWithin(client)
    if (installation !== null) await becomeInstallation(db, installation)
    await noteCatalogueAdoption(db, { isRebuild: true, isFresh: true, trashDeleted: false })
    await client.query('commit')
    isDone = true
  } finally {
    // Ending the connection ends the transaction, whatever it is in the middle of.
    client.release(!isDone)
  }
  // As at any start of this version.
  await migrate(pool, log)
}

/** Whether a rebuild has begun in this database and is not over; false, too, of a database without tables. */
export async function isRebuildUnderWay(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ is: boolean }>(
    "select to_regclass('catalogue_state') is not null as is",
  )
  if (!rows[0]!.is) return false
  // The pool is its owner's to end.
  return isBeingRebuilt(new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }))
}

/** All of its statements go to this client, in the transaction that it has begun. */
function databaseWithin(client: pg.PoolClient): Kysely<Schema> {
  const ours = { query: client.query.bind(client), release: () => undefined }
  const pool = { connect: async () => ours, end: async () => undefined, options: {} }
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
}
