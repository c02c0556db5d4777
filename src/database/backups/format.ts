/**
 * What a backup of the database looks like inside, before it is compressed and encrypted (`seal.ts`): text
 * that psql could run, so that `age -d | gunzip` opens a backup without Glassine.
 *
 *     -- Glassine database backup {header}
 *     copy "album" ("id","name") from stdin;
 *     (rows in PostgreSQL's text format of COPY)
 *     \.
 *     -- end {totals}
 *
 * The header says what follows; the last line has a digest of everything before it, so that a backup which
 * ends early or was changed is noticed.
 */
import { z } from 'zod'
import { AppError } from '../../errors.ts'

/** Of this layout. A reader refuses a higher one. */
export const BACKUP_FORMAT = 1

export const HEADER_BEGIN = '-- Glassine database backup '
export const TOTALS_BEGIN = '-- end '
/** Ends the rows of a section; no row of COPY's text format looks like it. */
export const ROWS_END = '\\.\n'

const count = z.int().min(0)
const headerSchema = z.object({
  format: z.int().min(1),
  takenAt: z.iso.datetime(),
  installation: z.uuid(),
  /** The version that made it. */
  glassine: z.string(),
  /** The version of PostgreSQL that it was made of. */
  postgres: z.string(),
  /** Names and digests, in the order in which they are applied. */
  migrations: z.array(z.object({ name: z.string(), sha256: z.string() })).min(1),
  /** Sections in their order: tables, and what is not put back as it is (`BackupSection`). */
  tables: z.array(z.object({ name: z.string(), columns: z.array(z.string()).min(1), rows: count })),
  sequences: z.array(
    z.object({ table: z.string(), column: z.string(), last: z.string(), isCalled: z.boolean() }),
  ),
})
const totalsSchema = z.object({ bytes: count, sha256: z.hex().length(64), rows: count })

export type BackupHeader = z.output<typeof headerSchema>
/** `bytes` and `sha256` of everything before the last line; `rows` of all sections together. */
export type BackupTotals = z.output<typeof totalsSchema>

/**
 * Rows that are not the rows of one of our tables. They are loaded into a temporary table of the section's
 * name, and `finish` puts them where they belong.
 */
export type BackupSection = {
  name: string
  columns: readonly string[]
  /** A query, for `copy (...) to stdout`. */
  select: string
  /** Makes the temporary table. */
  prepare: string
  finish: string
}

/** The newest migration that the backed up database had. */
export function newestMigration({ migrations }: Pick<BackupHeader, 'migrations'>): string {
  return migrations.at(-1)!.name
}

/** Rows of all sections. */
export function countRows({ tables }: Pick<BackupHeader, 'tables'>): number {
  return tables.reduce((sum, { rows }) => sum + rows, 0)
}

/** @throws AppError conflict for a backup of a newer Glassine, corrupt for what is none */
export function parseHeader(line: string): BackupHeader {
  const value = parseLine(line, HEADER_BEGIN)
  const format = z.object({ format: z.int() }).safeParse(value)
  if (format.success && format.data.format > BACKUP_FORMAT)
    throw new AppError(
      'conflict',
      `This backup was made by a newer Glassine (its format is ${format.data.format}, and this one reads up to ${BACKUP_FORMAT}). ` +
        'Install the version that made it, or a newer one.',
    )
  const header = headerSchema.safeParse(value)
  if (!header.success) throw damaged('its first line is not that of a backup')
  return header.data
}

/** @throws AppError corrupt */
export function parseTotals(line: string): BackupTotals {
  const totals = totalsSchema.safeParse(parseLine(line, TOTALS_BEGIN))
  if (!totals.success) throw damaged('its last line is not that of a backup')
  return totals.data
}

function parseLine(line: string, begin: string): unknown {
  if (!line.startsWith(begin)) throw damaged(`a line that begins with "${begin.trim()}" is missing`)
  try {
    return JSON.parse(line.slice(begin.length))
  } catch (error) {
    throw damaged('a line of it is no JSON', error)
  }
}

/** The error for a backup that can't be used as it is. */
export function damaged(why: string, cause?: unknown): AppError {
  return new AppError('corrupt', `The backup is damaged: ${why}.`, { cause })
}

/** `copy "album" ("id","name") from stdin;` */
export function sectionLine({ name, columns }: { name: string; columns: readonly string[] }): string {
  return `copy ${quoteName(name)} (${columns.map(quoteName).join(',')}) from stdin;`
}

/** An identifier of SQL. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
