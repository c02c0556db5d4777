/**
 * Backups as the ledger knows them. Those of another line were found at a location, and made after the backup
 * that this database was restored from: each holds what this one has never known, and no backup of this one
 * stands for it.
 */
import { sql } from 'kysely'
import { loadInstallation } from '../../database/backups/installation.ts'
import type { Queryable } from '../../database/connect.ts'
import type { Placement } from '../placement.ts'

export type BackupFacts = { takenAt: Date; migration: string; rows: number }
export type KnownBackup = BackupFacts & {
  objectId: string
  /** Higher ones were met later by this ledger, whatever the clock said. */
  number: number
  size: number
  /** Verified ones, of which nothing is doubted. */
  at: { locationId: string; verifiedAt: Date }[]
  /** Known, and not verified. */
  elsewhere: string[]
  isOfAnotherLine: boolean
}

/** In the transaction that makes the object count: its time becomes that of the snapshot. */
export async function noteBackup(tx: Queryable, objectId: string, facts: BackupFacts): Promise<void> {
  await insertBackup(tx, objectId, facts, { isOfAnotherLine: false, number: null })
}

/**
 * As `noteBackup`, of one that was found. Only the very backup that the database was restored from is of its
 * own line, in the place that the restore has kept for it: others may be newer than it in all but their time.
 */
export async function noteFoundBackup(tx: Queryable, objectId: string, facts: BackupFacts): Promise<void> {
  const { restored } = await loadInstallation(tx)
  if (restored?.takenAt.getTime() !== facts.takenAt.getTime())
    return insertBackup(tx, objectId, facts, { isOfAnotherLine: true, number: null })
  const { number } = restored
  const taken = await tx.selectFrom('database_backup').where('number', '=', number).select('number').execute()
  // Found twice, as two files, the second one gets a number of its own.
  await insertBackup(tx, objectId, facts, {
    isOfAnotherLine: false,
    number: taken.length > 0 ? null : number,
  })
}

async function insertBackup(
  tx: Queryable,
  objectId: string,
  { takenAt, migration, rows }: BackupFacts,
  { isOfAnotherLine, number }: { isOfAnotherLine: boolean; number: number | null },
): Promise<void> {
  await tx.updateTable('stored_object').set({ created_at: takenAt }).where('id', '=', objectId).execute()
  await sql`
    insert into database_backup (object_id, number, taken_at, migration, row_count, is_of_another_line)
    overriding system value
    values (${objectId}, coalesce(${number}::bigint, nextval(pg_get_serial_sequence('database_backup', 'number'))),
      ${takenAt}, ${migration}, ${rows}, ${isOfAnotherLine})`.execute(tx)
}

/** Those of this database's own line that are not being removed, the newest first. */
export async function ownBackups(db: Queryable): Promise<KnownBackup[]> {
  return (await knownBackups(db)).filter(({ isOfAnotherLine }) => !isOfAnotherLine)
}

/** Verified at as many of the places where backups belong as is asked for. */
export function isSafe(
  { policy, minCopies }: Pick<Placement, 'policy' | 'minCopies'>,
  { at }: Pick<KnownBackup, 'at'>,
): boolean {
  const home = at.filter(({ locationId }) => policy['database-backup'].includes(locationId))
  return home.length >= Math.max(1, minCopies['database-backup'])
}

/**
 * Those that are not being removed: those of the own line in the order in which they were made, the newest
 * first; then those of other lines, by their time.
 */
export async function knownBackups(db: Queryable): Promise<KnownBackup[]> {
  type Row = Omit<KnownBackup, 'at' | 'elsewhere'> & {
    places: { locationId: string; isGood: boolean; verifiedAt: string | null }[]
  }
  const { rows } = await sql<Row>`
    select b.object_id as "objectId", b.number, b.taken_at as "takenAt", b.migration, b.row_count as rows, o.size,
      b.is_of_another_line as "isOfAnotherLine",
      coalesce((
        select jsonb_agg(jsonb_build_object('locationId', r.location_id, 'verifiedAt', r.verified_at,
          'isGood', r.state = 'verified' and not coalesce(r.proof ? 'doubt', false)) order by r.location_id)
        from replica r where r.object_id = b.object_id), '[]') as places
    from database_backup b join stored_object o on o.id = b.object_id
    where o.state = 'live'
    order by b.is_of_another_line, case when b.is_of_another_line then b.taken_at end desc, b.number desc`.execute(
    db,
  )
  return rows.map(({ places, ...backup }) => ({
    ...backup,
    at: places.flatMap(({ locationId, isGood, verifiedAt }) =>
      isGood && verifiedAt !== null ? [{ locationId, verifiedAt: new Date(verifiedAt) }] : [],
    ),
    elsewhere: places.filter(({ isGood }) => !isGood).map(({ locationId }) => locationId),
  }))
}
