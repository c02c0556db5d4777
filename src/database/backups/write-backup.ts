/** Writes the database out as one consistent state, while everything goes on. */
import { createHash } from 'node:crypto'
import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { AppError } from '../../errors.ts'
import {
  BACKUP_FORMAT,
  type BackupHeader,
  type BackupSection,
  HEADER_BEGIN,
  quoteName,
  ROWS_END,
  sectionLine,
  TOTALS_BEGIN,
} from './format.ts'
import { backedUpTables } from './tables.ts'

/** Rows are gathered to pieces of this size: PostgreSQL sends them one by one. */
const PIECE_BYTES = 64 * 1024

type Options = {
  /** Glassine's own. */
  version: string
  sections: readonly BackupSection[]
  /** Called with the header, before any row is read. */
  onHeader?: (header: BackupHeader) => void
  signal?: AbortSignal | undefined
}

/**
 * The bytes of a backup, see `format.ts`. Everything is read in one transaction that sees one moment of the
 * database; a connection of the pool is held until the end. Memory does not grow with the database.
 */
export async function* writeBackup(pool: pg.Pool, options: Options): AsyncGenerator<Buffer> {
  const client = await pool.connect()
  let isOver = false
  try {
    await client.query('begin isolation level repeatable read, read only')
    // A large table takes longer than any statement of the program, and the disk may make it wait.
    await client.query('set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0')
    // Names of types and the like are then the same for every reader; times carry their zone.
    await client.query(
      "set local datestyle = 'ISO, MDY'; set local timezone = 'UTC'; set local intervalstyle = 'postgres'",
    )
    await client.query("set local bytea_output = 'hex'; set local extra_float_digits = 1")
    yield* writeWithin(client, options)
    await client.query('commit')
    isOver = true
  } finally {
    // Cut short, it may be in the middle of a COPY: only the end of the connection ends that.
    client.release(!isOver)
  }
}

async function* writeWithin(
  client: pg.PoolClient,
  { version, sections, onHeader, signal }: Options,
): AsyncGenerator<Buffer> {
  const { header, parts } = await describeDatabase(client, version, sections)
  onHeader?.(header)
  const sha256 = createHash('sha256')
  let bytes = 0
  let rows = 0
  const counted = (piece: Buffer) => {
    sha256.update(piece)
    bytes += piece.length
    return piece
  }
  yield counted(Buffer.from(`${HEADER_BEGIN}${JSON.stringify(header)}\n`))
  for (const part of parts) {
    yield counted(Buffer.from(`${sectionLine(part)}\n`))
    const copy = client.query(copyTo(`copy ${part.source} to stdout`))
    for await (const piece of gathered(copy)) {
      signal?.throwIfAborted()
      yield counted(piece)
    }
    if (copy.rowCount !== part.rows)
      throw new AppError('corrupt', `${part.name}: ${part.rows} rows were counted, and ${copy.rowCount} read`)
    rows += part.rows
    yield counted(Buffer.from(ROWS_END))
  }
  yield Buffer.from(`${TOTALS_BEGIN}${JSON.stringify({ bytes, sha256: sha256.digest('hex'), rows })}\n`)
}

async function* gathered(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pieces: Buffer[] = []
  let size = 0
  for await (const piece of source) {
    pieces.push(piece)
    size += piece.length
    if (size < PIECE_BYTES) continue
    yield Buffer.concat(pieces)
    pieces = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(pieces)
}

type Part = { name: string; columns: string[]; rows: number; source: string }

async function describeDatabase(
  client: pg.PoolClient,
  version: string,
  sections: readonly BackupSection[],
): Promise<{ header: BackupHeader; parts: Part[] }> {
  const parts: Part[] = []
  for (const name of backedUpTables()) {
    const columns = await columnsOf(client, name)
    const source = `${quoteName(name)} (${columns.map(quoteName).join(',')})`
    parts.push({ name, columns, rows: await countOf(client, quoteName(name)), source })
  }
  for (const { name, columns, select } of sections) {
    const rows = await countOf(client, `(${select}) as section`)
    parts.push({ name, columns: [...columns], rows, source: `(${select})` })
  }
  const { rows: migrations } = await client.query<{ name: string; sha256: string }>(
    String.raw`select name, sha256 from schema_migration where name ~ '^\d{4}-' order by name collate "C"`,
  )
  const { rows: facts } = await client.query<{ takenAt: Date; installation: string; postgres: string }>(
    `select now() as "takenAt", id as installation, current_setting('server_version') as postgres
     from installation`,
  )
  const { takenAt, installation, postgres } = facts[0]!
  const header = {
    format: BACKUP_FORMAT,
    takenAt: takenAt.toISOString(),
    installation,
    glassine: version,
    postgres,
    migrations,
    tables: parts.map(({ name, columns, rows }) => ({ name, columns, rows })),
    sequences: await sequencesOf(client),
  }
  return { header, parts }
}

async function countOf(client: pg.PoolClient, source: string): Promise<number> {
  const { rows } = await client.query<{ count: string }>(`select count(*)::text as count from ${source}`)
  return Number(rows[0]!.count)
}

/** Those that hold a value of their own; a computed one is computed again. */
export async function columnsOf(client: pg.ClientBase, table: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select attname as name from pg_attribute
     where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attgenerated = '' order by attnum`,
    [quoteName(table)],
  )
  if (rows.length === 0) throw new AppError('conflict', `The database has no table ${table}`)
  return rows.map(({ name }) => name)
}

/**
 * Sequences belong to no transaction: read after its first statement, each has come at least as far as the
 * rows that it sees.
 */
async function sequencesOf(client: pg.PoolClient): Promise<BackupHeader['sequences']> {
  const { rows: found } = await client.query<{ table: string; column: string; sequence: string }>(
    `select tables.relname as table, attname as column, sequences.relname as sequence
     from pg_depend join pg_class sequences on sequences.oid = objid and sequences.relkind = 'S'
     join pg_class tables on tables.oid = refobjid
     join pg_attribute on attrelid = tables.oid and attnum = refobjsubid
     where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass and deptype in ('a', 'i')
       and tables.relname = any($1) and tables.relnamespace = current_schema()::regnamespace
     order by 1, 2`,
    [backedUpTables()],
  )
  const sequences: BackupHeader['sequences'] = []
  for (const { table, column, sequence } of found) {
    const { rows } = await client.query<{ last: string; isCalled: boolean }>(
      `select last_value::text as last, is_called as "isCalled" from ${quoteName(sequence)}`,
    )
    sequences.push({ table, column, ...rows[0]! })
  }
  return sequences
}
