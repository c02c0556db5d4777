/**
 * What the catalogues would bring back, in numbers. No file of anybody's is read, and nothing is written
 * there.
 */
import { sql } from 'kysely'
import { loadInstallation } from '../../../database/backups/installation.ts'
import type { Database, Queryable } from '../../../database/connect.ts'
import {
  assertReading,
  type CatalogueReport,
  emptyCatalogueReport,
  ownHeads,
} from '../../../placement/catalogue/adoption-state.ts'
import { partsOfKey } from '../../../placement/keys.ts'
import type { Location } from '../../../placement/location.ts'
import type { Placement } from '../../../placement/placement.ts'
import { catalogueLocations, countDeletedLater } from './adopt-catalogue.ts'
import { IS_LACKING } from './left-over.ts'
import { loadFound } from './load-found.ts'

const PAGE = 1_000

type Options = { signal?: AbortSignal | undefined; onProgress?: ((text: string) => void) | undefined }

/** @throws AppError conflict while an adoption is under way, which uses the same tables */
export async function planCatalogueAdoption(
  { db, placement }: { db: Database; placement: Placement },
  options: Options = {},
): Promise<CatalogueReport> {
  return foreseeAdoption(db, catalogueLocations(placement), options)
}

/** As the adoption would find it, by the catalogues and by listings of what the locations hold. */
export async function foreseeAdoption(
  db: Database,
  places: readonly Location[],
  { signal, onProgress }: Options = {},
): Promise<CatalogueReport> {
  const { id: installation } = await loadInstallation(db)
  const heads = await ownHeads(db)
  const found = await loadFound(db, places, { what: 'plan', installation, heads, signal, onProgress })
  const report: CatalogueReport = {
    ...emptyCatalogueReport(),
    ...{ batches: found.batches, unusable: found.unusable, refused: found.refused },
    deletedLater: await countDeletedLater(db, found),
    users: await countLacking(db, 'user'),
    albums: await countLacking(db, 'album'),
  }
  const { rows } = await sql<{ id: string }>`
    select id from catalogue_found found where ${IS_LACKING}`.execute(db)
  const lacking = new Set(rows.map(({ id }) => id))
  const there = new Set<string>()
  for (const location of places) {
    let page: { assetId: string; key: string }[] = []
    const endPage = async () => {
      const unknown = new Set(await withoutAsset(db, page))
      for (const id of unknown) if (lacking.has(id)) there.add(id)
      const others = page.filter(({ assetId }) => unknown.has(assetId) && !lacking.has(assetId))
      for (const id of await namedByTheirKeys(db, location.id, others)) if (lacking.has(id)) there.add(id)
      page = []
    }
    for await (const { key } of location.backend.list('users/', signal ? { signal } : {})) {
      const parts = partsOfKey(key)
      if (parts?.kind !== 'original' || parts.assetId === null) continue
      page.push({ assetId: parts.assetId, key })
      if (page.length === PAGE) await endPage()
    }
    await endPage()
    onProgress?.(`${location.id} was listed`)
  }
  await db.transaction().execute(async (tx) => {
    await assertReading(tx, found.reading)
    await sql`delete from catalogue_found`.execute(tx)
  })
  return { ...report, assets: there.size, missing: lacking.size - there.size }
}

async function withoutAsset(
  db: Queryable,
  page: readonly { assetId: string; key: string }[],
): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select distinct id from unnest(${page.map(({ assetId }) => assetId)}::uuid[]) as listed (id)
    where not exists (select from asset where asset.id = listed.id)`.execute(db)
  return rows.map(({ id }) => id)
}

/** Assets whose files have keys with another asset's id: an upload has repaired them. */
async function namedByTheirKeys(
  db: Queryable,
  locationId: string,
  page: readonly { key: string }[],
): Promise<string[]> {
  if (page.length === 0) return []
  const { rows } = await sql<{ id: string }>`
    select id from unnest(${page.map(({ key }) => key)}::text[]) as listed (key)
    join catalogue_found on kind = 'asset' and not is_gone
      and entry -> 'original' -> 'keys' @> jsonb_build_object(${locationId}::text, listed.key)`.execute(db)
  return rows.map(({ id }) => id)
}

async function countLacking(db: Queryable, kind: 'user' | 'album'): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from catalogue_found found
    where kind = ${kind} and not is_gone and not is_known
      and not exists (select from ${sql.table(kind === 'user' ? 'app_user' : 'album')} there where there.id = found.id)`.execute(
    db,
  )
  return rows[0]!.count
}
