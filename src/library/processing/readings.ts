/** Which version of the reader has read which asset, and what it found that no column shows. */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import type { FileDetails } from '../../media/facts.ts'
import { READER_VERSION } from '../../media/metadata/reader-version.ts'

/** Notes that the current reader has read the asset; `details` null: it could not, and would not again. */
export async function saveReading(tx: Tx, assetId: string, details: FileDetails | null): Promise<void> {
  const read = { reader_version: READER_VERSION, read_at: sql<Date>`now()` }
  const found = details === null ? {} : { details: JSON.stringify(withoutNothing(details)) }
  await tx
    .insertInto('asset_reading')
    .values({ asset_id: assetId, ...read, ...found })
    .onConflict((conflict) => conflict.column('asset_id').doUpdateSet({ ...read, ...found }))
    .execute()
}

/** Most files say little of all that could be said. */
function withoutNothing(details: FileDetails): Partial<FileDetails> {
  const said = Object.entries(details).filter(
    ([, value]) => value !== null && !(Array.isArray(value) && value.length === 0),
  )
  return Object.fromEntries(said)
}

/** True where an older reader has read the asset. One that was never read waits for its processing. */
export async function isReadByOlder(db: Database, assetId: string): Promise<boolean> {
  const row = await db
    .selectFrom('asset_reading')
    .select('reader_version')
    .where('asset_id', '=', assetId)
    .executeTakeFirst()
  return row !== undefined && row.reader_version < READER_VERSION
}

/** By any reader. */
export async function wasRead(db: Database, assetId: string): Promise<boolean> {
  const row = await db
    .selectFrom('asset_reading')
    .select('asset_id')
    .where('asset_id', '=', assetId)
    .executeTakeFirst()
  return row !== undefined
}
