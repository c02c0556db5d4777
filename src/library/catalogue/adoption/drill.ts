/**
 * What would come back if this machine were lost now: the newest backup, loaded into a database that is
 * removed afterwards, and what the catalogues and listings of the other places say beside it.
 */
import { sql } from 'kysely'
import type { Database } from '../../../database/connect.ts'
import type { CatalogueReport } from '../../../placement/catalogue/adoption-state.ts'
import { originalsListedAt } from '../../../placement/catalogue/listed-originals.ts'
import type { Location } from '../../../placement/location.ts'
import { foreseeAdoption } from './plan-adoption.ts'

/**
 * `assets`: of the backup; `found`: of these, those whose originals are listed, with their size, at a place
 * other than this disk. `later`: what the catalogue and the keys add to that. Times are ISO 8601.
 */
export type DrillReport = {
  at: string
  backup: { key: string; takenAt: string }
  seconds: number
  users: number
  albums: number
  assets: number
  found: number
  later: CatalogueReport
}

/** `db` holds the backup. @throws what a place throws */
export async function countWhatComesBack(
  db: Database,
  places: readonly Location[],
  options: { onProgress?: (text: string) => void } = {},
): Promise<Omit<DrillReport, 'at' | 'backup' | 'seconds'>> {
  const { rows } = await sql<{ users: number; albums: number; assets: number }>`
    select (select count(*) from app_user)::float8 as users, (select count(*) from album)::float8 as albums,
      (select count(*) from asset)::float8 as assets`.execute(db)
  const later = await foreseeAdoption(db, places, options)
  const listed = await originalsListedAt(db, places)
  const { rows: counted } = await sql<{ found: number }>`
    select count(*)::float8 as found from asset where ${listed(sql.ref('asset.original_object_id'))}`.execute(
    db,
  )
  return { ...rows[0]!, found: counted[0]!.found, later }
}
