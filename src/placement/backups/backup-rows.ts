/** Backups as the ledger knows them. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'

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
}

/** In the transaction that makes the object count: its time becomes that of the snapshot. */
export async function noteBackup(
  tx: Queryable,
  objectId: string,
  { takenAt, migration, rows }: BackupFacts,
): Promise<void> {
  await tx.updateTable('stored_object').set({ created_at: takenAt }).where('id', '=', objectId).execute()
  await tx
    .insertInto('database_backup')
    .values({ object_id: objectId, taken_at: takenAt, migration, row_count: rows })
    .execute()
}

/** Those that are not being removed, the newest first. */
export async function knownBackups(db: Queryable): Promise<KnownBackup[]> {
  type Row = Omit<KnownBackup, 'at' | 'elsewhere'> & {
    places: { locationId: string; isGood: boolean; verifiedAt: string | null }[]
  }
  const { rows } = await sql<Row>`
    select b.object_id as "objectId", b.number, b.taken_at as "takenAt", b.migration, b.row_count as rows, o.size,
      coalesce((
        select jsonb_agg(jsonb_build_object('locationId', r.location_id, 'verifiedAt', r.verified_at,
          'isGood', r.state = 'verified' and not coalesce(r.proof ? 'doubt', false)) order by r.location_id)
        from replica r where r.object_id = b.object_id), '[]') as places
    from database_backup b join stored_object o on o.id = b.object_id
    where o.state = 'live' order by b.number desc`.execute(db)
  return rows.map(({ places, ...backup }) => ({
    ...backup,
    at: places.flatMap(({ locationId, isGood, verifiedAt }) =>
      isGood && verifiedAt !== null ? [{ locationId, verifiedAt: new Date(verifiedAt) }] : [],
    ),
    elsewhere: places.filter(({ isGood }) => !isGood).map(({ locationId }) => locationId),
  }))
}
