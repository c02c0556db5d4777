import { type ControlledTransaction, Kysely, PostgresDialect, type Transaction } from 'kysely'
import pg from 'pg'
import type { Log } from '../log.ts'
import type { Schema } from './schema.ts'
import { openStatementNames, prepareRepeated } from './statements/prepare-repeated.ts'

export type Database = Kysely<Schema>
/** A transaction in progress; functions that must join their caller's work take this. */
export type Tx = Transaction<Schema> | ControlledTransaction<Schema>
/** Either: for reads that may run inside or outside a transaction. */
export type Queryable = Kysely<Schema>

const BIGINT_OID = 20
const TIMESTAMP_WITHOUT_ZONE_OID = 1114

/**
 * bigint as number (sizes in bytes stay below 2^53); wall-clock timestamps as text, since a Date would bend
 * them.
 */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === BIGINT_OID) return Number
    if (oid === TIMESTAMP_WITHOUT_ZONE_OID) return (text: string) => text
    return pg.types.getTypeParser(oid, format)
  }) as pg.CustomTypesConfig['getTypeParser'],
}

/**
 * What is acknowledged is committed, and on the disk. A server or a database may be set to commit later, for
 * speed; where that is right, a statement says so itself (`commit-later.ts`). Other values are about copies
 * of the database, which are the operator's to choose.
 */
const COMMIT_FOR_GOOD = `select set_config('synchronous_commit', 'on', false)
  where current_setting('synchronous_commit') = 'off'`

/** A pool and Kysely on top of it. A lost idle connection is logged, not thrown: the pool replaces it. */
export function connectDatabase(url: string, log: Log, options: { maxConnections?: number } = {}) {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.maxConnections ?? 20,
    connectionTimeoutMillis: 5_000,
    application_name: 'glassine',
    types,
    onConnect: async (client) => {
      await client.query(COMMIT_FOR_GOOD)
    },
  })
  pool.on('error', (error) => {
    if (!pool.ending) log.warn({ error: error.message }, 'an idle database connection was lost')
  })
  // One in use has no listener of the pool's: without this its loss between two queries would end the
  // process. The next query on it fails, which is how its user learns.
  const names = openStatementNames()
  pool.on('connect', (client) => {
    prepareRepeated(client, names)
    client.on('error', (error) => log.debug({ error: error.message }, 'a database connection was lost'))
  })
  const db: Database = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
  return { pool, db }
}
