import type pg from 'pg'

/** All rows of a database at one moment, as JSON, by table: what a backup of PostgreSQL holds. */
export type LedgerSnapshot = Map<string, string>

/** Jobs are left out: of a restored database they are old, and the sweeps ask again for what is due. */
export async function takeSnapshot(pool: pg.Pool): Promise<LedgerSnapshot> {
  const snapshot: LedgerSnapshot = new Map()
  const client = await pool.connect()
  try {
    await client.query('begin isolation level repeatable read read only')
    for (const table of await tablesOf(client)) {
      const { rows } = await client.query<{ all: string }>(
        `select coalesce(json_agg(t), '[]')::text as all from ${table} t`,
      )
      snapshot.set(table, rows[0]!.all)
    }
    await client.query('commit')
  } finally {
    client.release()
  }
  return snapshot
}

/** Puts a snapshot back, into the same database or another one, past all triggers, as a restore does. */
export async function restoreSnapshot(pool: pg.Pool, snapshot: LedgerSnapshot): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('set local session_replication_role = replica')
    for (const table of snapshot.keys()) await client.query(`delete from ${table}`)
    for (const [table, rows] of snapshot) {
      const { rows: columns } = await client.query<{ names: string }>(
        `select string_agg(quote_ident(attname), ', ') as names from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
        [table],
      )
      await client.query(
        `insert into ${table} (${columns[0]!.names}) overriding system value
         select ${columns[0]!.names} from json_populate_recordset(null::${table}, $1::json)`,
        [rows],
      )
      await resetSequences(client, table)
    }
    const { rows: counters } = await client.query<{ table: string; column: string }>(
      `select quote_ident(table_name) as table, quote_ident(column_name) as column from information_schema.columns
       where table_schema = 'public' and is_identity = 'YES'`,
    )
    for (const { table, column } of counters)
      await client.query(
        `select setval(pg_get_serial_sequence('${table}', '${column}'), coalesce(max(${column}), 0) + 1, false) from ${table}`,
      )
    await client.query('commit')
    await client.query('delete from graphile_worker._private_jobs')
  } finally {
    client.release()
  }
}

/** They go on behind the rows, of which another database may have had none. */
async function resetSequences(client: pg.PoolClient, table: string): Promise<void> {
  const { rows } = await client.query<{ name: string; sequence: string }>(
    `select quote_ident(attname) as name, pg_get_serial_sequence($1, attname) as sequence from pg_attribute
     where attrelid = $1::regclass and attnum > 0 and not attisdropped and attidentity <> ''`,
    [table],
  )
  for (const { name, sequence } of rows)
    await client.query(
      `select setval($1::regclass, (select coalesce(max(${name}), 0) + 1 from ${table}), false)`,
      [sequence],
    )
}

async function tablesOf(client: pg.PoolClient): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(table_name) as name from information_schema.tables
     where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> 'schema_migration' order by 1`,
  )
  return rows.map(({ name }) => name)
}
