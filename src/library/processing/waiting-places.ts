/**
 * Coordinates whose place has no name yet: of assets that were read before there were names, or that were
 * brought back by a catalogue. No file is read for it.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { namePlaces } from '../assets/name-places.ts'
import { PLACES_VERSION } from '../places/places-data.ts'

/** Its assets are locked meanwhile. A look-up takes 2 us, so that the time is PostgreSQL's. */
const BATCH = 500
/** A run comes each minute: a million assets are named within an hour. */
const MOST_IN_A_RUN = 20_000

const HAS_COORDINATES = sql`latitude is not null and longitude is not null`
/** In the words of the index. */
const IS_WAITING = sql`places_version is null and ${HAS_COORDINATES}`

/**
 * Names what waits, up to 20,000 in a run. May be killed anywhere: what is named waits no longer.
 * @returns how many were named
 */
export async function nameWaitingPlaces(
  db: Database,
  { signal }: { signal?: AbortSignal } = {},
): Promise<number> {
  let named = 0
  let after: string | null = null
  while (named < MOST_IN_A_RUN && !signal?.aborted) {
    const behind: RawBuilder<unknown> = after === null ? sql`true` : sql`asset_id > ${after}::uuid`
    const { rows } = await sql<{ id: string }>`
      select asset_id as id from asset_exif where ${IS_WAITING} and ${behind} order by asset_id limit ${BATCH}`.execute(
      db,
    )
    if (rows.length === 0) break
    await nameBatch(
      db,
      rows.map(({ id }) => id),
    )
    named += rows.length
    after = rows.at(-1)!.id
  }
  return named
}

/** Assets are locked first and by their ids, as every change of them does. */
async function nameBatch(db: Database, ids: string[]): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const there = await tx
      .selectFrom('asset')
      .select('id')
      .where(sql<boolean>`id = any(${ids}::uuid[])`)
      .orderBy('id')
      .forUpdate()
      .execute()
    const changed = await namePlaces(
      tx,
      there.map(({ id }) => id),
    )
    // Clients that follow changes hear of those alone, and open pages when they are loaded.
    await tx
      .updateTable('asset')
      .set({ updated_at: sql`now()` })
      .where(sql<boolean>`id = any(${changed}::uuid[])`)
      .execute()
  })
}

export type PlacesStatus = {
  /** Of the data that this server has. */
  version: number
  waiting: number
  /** Named by older data: they stay so until `nameAgain`. */
  outdated: number
}

export async function placesStatus(db: Database): Promise<PlacesStatus> {
  const { rows } = await sql<{ waiting: number; outdated: number }>`
    select (select count(*)::int from asset_exif where ${IS_WAITING}) as waiting,
      (select count(*)::int from asset_exif where places_version < ${PLACES_VERSION}) as outdated`.execute(db)
  return { version: PLACES_VERSION, ...rows[0]! }
}

/** Lets the places that older data has named wait for newer names. @returns how many */
export async function nameAgain(db: Database): Promise<number> {
  const { numAffectedRows } = await sql`
    update asset_exif set places_version = null
    where places_version < ${PLACES_VERSION} and ${HAS_COORDINATES}`.execute(db)
  return Number(numAffectedRows ?? 0)
}
