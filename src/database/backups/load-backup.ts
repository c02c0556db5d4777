/** Puts a backup into an empty database: all of it in one transaction, or nothing. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { AppError } from '../../errors.ts'
import { installQueue, MIGRATION_LOCK, type Migration, readMigrations, setUpWithin } from '../migrate.ts'
import { type BackupHeader, type BackupSection, damaged, quoteName, sectionLine } from './format.ts'
import { type BackupPart, readBackup } from './read-backup.ts'
import { columnsOf } from './write-backup.ts'

/**
 * Anything that was made in it. The queue's schema, which is empty after a restore was cut short, is none.
 */
const THINGS = `select relname as name from pg_class
  where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
    and not exists (select from pg_depend where objid = pg_class.oid and deptype = 'e')
  order by relname <> 'schema_migration', relname limit 5`

/** @throws AppError conflict where the database holds anything */
export async function assertEmptyDatabase(client: pg.ClientBase | pg.Pool): Promise<void> {
  const { rows } = await client.query<{ name: string }>(THINGS)
  if (rows.length === 0) return
  const names = rows.map(({ name }) => name)
  throw new AppError(
    'conflict',
    names[0] === 'schema_migration'
      ? 'There is an installation in this database already, and a backup is restored into an empty one only. Nothing was changed.'
      : `The database holds ${names.join(', ')}, and a backup is restored into an empty one only. Nothing was changed.`,
  )
}

/**
 * The migrations of the backed up database, as this version has them.
 * @throws AppError conflict where it is newer, or was made by other files of the same names
 */
export async function migrationsOf(header: BackupHeader): Promise<Migration[]> {
  const known = new Map((await readMigrations()).map((migration) => [migration.name, migration]))
  return header.migrations.map(({ name, sha256 }) => {
    const migration = known.get(name)
    if (migration === undefined)
      throw new AppError(
        'conflict',
        `This backup was made by a newer Glassine (${header.glassine}): it has the migration ${name}, which is not known here. ` +
          'Install that version, or a newer one.',
      )
    if (migration.sha256 !== sha256)
      throw new AppError(
        'conflict',
        `This backup was made with another text of the migration ${name}. Install the version that made it (${header.glassine}).`,
      )
    return migration
  })
}

type LoadOptions = {
  sections: readonly BackupSection[]
  onTable?: ((name: string) => void) | undefined
  /** What else must be right, or done, for the restore to count; when it throws, nothing of it stays. */
  beforeCommit?: ((client: pg.ClientBase) => Promise<void>) | undefined
}

/**
 * Loads a backup. A kill at any point leaves an empty database, and the same call can be made again. Later
 * migrations are left to the next start.
 * @throws AppError conflict where the database is not empty or the backup is of a newer Glassine; corrupt
 */
export async function loadBackup(
  pool: pg.Pool,
  source: AsyncIterable<Buffer>,
  options: LoadOptions,
): Promise<BackupHeader> {
  await assertEmptyDatabase(pool)
  const hadQueue = await hasQueue(pool)
  // It commits by itself; a schema without jobs counts as nothing.
  await installQueue(pool)
  const client = await pool.connect()
  let isDone = false
  try {
    const header = await loadWithin(client, source, options)
    isDone = true
    return header
  } finally {
    // Ending the connection ends the transaction, whatever it is in the middle of.
    client.release(!isDone)
    if (!isDone && !hadQueue) await dropQueue(pool)
  }
}

/**
 * Takes back what `installQueue` has made. Not where a server has set the database up meanwhile: then the
 * queue is that server's, with all of its jobs. The lock keeps it from doing so while this looks.
 */
async function dropQueue(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  let isOver = false
  try {
    await client.query('begin')
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    const { rows } = await client.query(THINGS)
    if (rows.length === 0) await client.query('drop schema if exists graphile_worker cascade')
    await client.query('commit')
    isOver = true
  } finally {
    client.release(!isOver)
  }
}

async function hasQueue(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ has: boolean }>(
    "select exists (select from pg_namespace where nspname = 'graphile_worker') as has",
  )
  return rows[0]!.has
}

async function loadWithin(
  client: pg.PoolClient,
  source: AsyncIterable<Buffer>,
  options: LoadOptions,
): Promise<BackupHeader> {
  const parts = readBackup(source)
  try {
    const first = await parts.next()
    if (first.done || first.value.is !== 'header') throw damaged('it has no header')
    const { header } = first.value
    const migrations = await migrationsOf(header)
    await client.query('begin')
    await client.query('set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0')
    await client.query("set local datestyle = 'ISO, MDY'")
    // A server that starts meanwhile waits, and finds a database that is set up.
    await client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    await assertEmptyDatabase(client)
    await setUpWithin(client, migrations)
    await fill(client, header, parts, options)
    await options.beforeCommit?.(client)
    await client.query('commit')
    return header
  } finally {
    await parts.return(undefined)
  }
}

async function fill(
  client: pg.PoolClient,
  header: BackupHeader,
  parts: AsyncGenerator<BackupPart>,
  { sections, onTable }: LoadOptions,
): Promise<void> {
  const special = new Map(sections.map((section) => [section.name, section]))
  const tables = header.tables.map(({ name }) => name).filter((name) => !special.has(name))
  const foreignKeys = await dropForeignKeys(client)
  for (const table of tables) {
    await assertColumns(client, header, table)
    await client.query(`alter table ${quoteName(table)} disable trigger user`)
  }
  // Rows that a migration has made are in the backup, too.
  await client.query(`truncate ${tables.map(quoteName).join(', ')}`)
  for (const section of sections) await client.query(section.prepare)

  for (;;) {
    const part = await parts.next()
    // The generator has thrown where anything is missing, or differs from the digest.
    if (part.done || part.value.is === 'totals') break
    if (part.value.is !== 'begin') throw damaged('its rows come in no order')
    const { table } = part.value
    onTable?.(table.name)
    const copy = client.query(copyFrom(sectionLine(table).replace(/;$/, '')))
    await pipeline(Readable.from(rowsOf(parts), { objectMode: false }), copy)
    if (copy.rowCount !== table.rows)
      throw damaged(`${table.name} took ${copy.rowCount} rows instead of ${table.rows}`)
  }
  for (const section of sections)
    if (header.tables.some(({ name }) => name === section.name)) await client.query(section.finish)

  for (const { table, column, last, isCalled } of header.sequences)
    await client.query('select setval(pg_get_serial_sequence($1, $2)::regclass, $3::bigint, $4)', [
      quoteName(table),
      column,
      last,
      isCalled,
    ])
  for (const table of tables) await client.query(`alter table ${quoteName(table)} enable trigger user`)
  // Each looks at all rows.
  for (const { table, name, definition } of foreignKeys)
    await client.query(`alter table ${quoteName(table)} add constraint ${quoteName(name)} ${definition}`)
}

/** The rows of one section, up to its end. */
async function* rowsOf(parts: AsyncGenerator<BackupPart>): AsyncGenerator<Buffer> {
  for (;;) {
    const part = await parts.next()
    if (part.done) throw damaged('it ends early')
    if (part.value.is === 'end') return
    if (part.value.is === 'rows') yield part.value.rows
  }
}

type ForeignKey = { table: string; name: string; definition: string }

/**
 * Tables refer to each other in circles, so that no order of loading satisfies them; and only a superuser may
 * switch the triggers off that check them.
 */
async function dropForeignKeys(client: pg.PoolClient): Promise<ForeignKey[]> {
  const { rows } = await client.query<ForeignKey>(
    `select relname as table, conname as name, pg_get_constraintdef(pg_constraint.oid) as definition
     from pg_constraint join pg_class on pg_class.oid = conrelid
     where contype = 'f' and connamespace = current_schema()::regnamespace order by 1, 2`,
  )
  for (const { table, name } of rows)
    await client.query(`alter table ${quoteName(table)} drop constraint ${quoteName(name)}`)
  return rows
}

/** A table that lacks a column of the backup, or has one more, was made by other migrations. */
async function assertColumns(client: pg.PoolClient, header: BackupHeader, table: string): Promise<void> {
  const wanted = header.tables.find(({ name }) => name === table)!.columns
  const found = await columnsOf(client, table)
  if ([...wanted].sort().join() !== [...found].sort().join())
    throw new AppError(
      'conflict',
      `The table ${table} of the backup has other columns than this version makes`,
    )
}
