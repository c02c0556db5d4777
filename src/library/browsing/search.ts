import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { type Actor, findPartners, noAccess } from '../access.ts'
import { findAllowedAlbums } from '../albums/album-access.ts'
import { type AssetResponse, assetRowResponses } from '../assets/asset-response.ts'
import { distinctValues } from './distinct-values.ts'
import { drawAssets } from './random-draw.ts'
import { isRareCamera } from './rare-camera.ts'
import { type SearchFilter, searchConditions } from './search-filter.ts'

export type SearchOrder = {
  field: 'fileCreatedAt' | 'localDateTime' | 'fileSizeInBytes' | 'rating'
  direction: 'asc' | 'desc'
}

/** Immich's `SearchAssetResponseDto`; `total` is, as there, the number on this page. */
export type SearchPage = {
  total: number
  count: number
  items: AssetResponse[]
  facets: never[]
  /** The next page number as text, null at the end; never '', which Immich's phone app can't read. */
  nextPage: string | null
  /** Where the next page starts. Unlike a page number it skips nothing when assets come and go meanwhile. */
  nextCursor: string | null
}

type AssetRow = Selectable<Schema['asset']>
type Found = AssetRow & { sortKey: string }

/**
 * Sort keys that are never null, so that `(key, id)` is a total order, and the SQL type that reads them back
 * from text.
 */
const SORT_KEYS: {
  [Field in SearchOrder['field']]: { key: RawBuilder<unknown>; type: RawBuilder<unknown> }
} = {
  fileCreatedAt: { key: sql`asset.file_created_at`, type: sql`timestamptz` },
  localDateTime: { key: sql`asset.local_date_time`, type: sql`timestamp` },
  fileSizeInBytes: { key: sql`asset.file_size`, type: sql`bigint` },
  rating: { key: sql`coalesce(exif.rating, -2)`, type: sql`int` },
}

/**
 * One page of the actor's assets, or of albums, in a stable order.
 * @param paging `size` at most 1,000; `page` counts from 1; a `cursor` of an earlier answer goes before
 * `page`
 * @throws AppError invalid without access to an album, or for a cursor of another order
 */
export async function searchAssets(
  db: Database,
  actor: Actor,
  filter: SearchFilter,
  paging: {
    page: number
    size: number
    cursor?: string | undefined
    order: SearchOrder
    withExif?: boolean | undefined
  },
): Promise<SearchPage> {
  await requireAlbums(db, actor, filter)
  const { order, size } = paging
  const { key: column, type } = SORT_KEYS[order.field]
  // As an expression it is in no index: the photos of a rare camera are found first, and sorted then.
  const isSorted = order.field === 'fileCreatedAt' && (await isRareCamera(db, filter))
  const key = isSorted ? sql`(${column} + interval '0')` : column
  const { where, usesExif } = await conditionsFor(db, actor, filter)
  const direction = sql.raw(order.direction)
  const after = paging.cursor === undefined ? null : readCursor(paging.cursor, order)
  const start = after
    ? sql`and (${key}, asset.id) ${sql.raw(order.direction === 'asc' ? '>' : '<')} (${after.key}::${type}, ${after.id}::uuid)`
    : sql``
  const { rows } = await sql<Found>`
    select asset.*, page.sort_key::text as "sortKey"
    from (
      select asset.id, ${key} as sort_key
      from asset ${joinExif(usesExif || order.field === 'rating')}
      where ${where} ${start}
      order by ${key} ${direction}, asset.id ${direction}
      limit ${size + 1} offset ${after ? 0 : (paging.page - 1) * size}
    ) as page join asset using (id)
    order by page.sort_key ${direction}, asset.id ${direction}`.execute(db)

  const hasMore = rows.length > size
  const page = hasMore ? rows.slice(0, size) : rows
  const last = page.at(-1)
  const items = await assetRowResponses(db, actor, page, { withExif: paging.withExif ?? false })
  return {
    total: items.length,
    count: items.length,
    items,
    facets: [],
    nextPage: hasMore ? String(paging.page + 1) : null,
    nextCursor: hasMore && last ? writeCursor(order, last) : null,
  }
}

/** Some assets by chance, at most `size`. @throws AppError invalid without access to an album */
export async function searchRandomAssets(
  db: Database,
  actor: Actor,
  filter: SearchFilter,
  options: { size: number; withExif?: boolean | undefined },
): Promise<AssetResponse[]> {
  await requireAlbums(db, actor, filter)
  const partners = await findPartners(db, actor, { inTimeline: true })
  const { where, usesExif } = searchConditions(filter, actor.userId, partners)
  const draw = { join: joinExif(usesExif), where, size: options.size }
  const isOwnOnly = !filter.albumIds?.length && partners.length === 0
  const drawn = isOwnOnly ? await drawAssets(db, actor.userId, draw) : null
  if (drawn) return assetRowResponses(db, actor, drawn, { withExif: options.withExif ?? false })
  const { rows } = await sql<AssetRow>`
    select asset.* from asset
    join (select asset.id, random() as chance from asset ${joinExif(usesExif)} where ${where}
          order by chance limit ${options.size}) as drawn using (id)
    order by chance`.execute(db)
  return assetRowResponses(db, actor, rows, { withExif: options.withExif ?? false })
}

/** How many assets match. @throws AppError invalid without access to an album */
export async function countAssets(db: Database, actor: Actor, filter: SearchFilter): Promise<number> {
  await requireAlbums(db, actor, filter)
  const { where, usesExif } = await conditionsFor(db, actor, filter)
  const { rows } = await sql<{ total: number }>`
    select count(*) as total from asset ${joinExif(usesExif)} where ${where}`.execute(db)
  return rows[0]!.total
}

export type SuggestionType =
  | 'country'
  | 'state'
  | 'city'
  | 'camera-make'
  | 'camera-model'
  | 'camera-lens-model'

const SUGGESTED_COLUMNS: { [Type in SuggestionType]: string } = {
  country: 'country',
  state: 'state',
  city: 'city',
  'camera-make': 'make',
  'camera-model': 'model',
  'camera-lens-model': 'lens_model',
}

/**
 * The values that a search field can have for the actor's assets, given the other fields; null stands for
 * none at all.
 */
export async function searchSuggestions(
  db: Database,
  actor: Actor,
  wish: { type: SuggestionType; includeNull?: boolean | undefined } & Pick<
    SearchFilter,
    'country' | 'state' | 'make' | 'model' | 'lensModel'
  >,
): Promise<(string | null)[]> {
  const { type, includeNull, ...filter } = wish
  const column = sql.ref(`exif.${SUGGESTED_COLUMNS[type]}`)
  const { where } = await conditionsFor(db, actor, filter)
  const known = includeNull ? null : await distinctValues(db, actor.userId, { column, where })
  if (known) return known
  const { rows } = await sql<{ value: string | null }>`
    select value from (
      select distinct nullif(${column}, '') as value from asset ${joinExif(true)} where ${where}
    ) as found order by lower(value) nulls last, value`.execute(db)
  const values = rows.map((row) => row.value)
  return includeNull ? values : values.filter((value) => value !== null)
}

function joinExif(isNeeded: boolean): RawBuilder<unknown> {
  return isNeeded ? sql`left join asset_exif exif on exif.asset_id = asset.id` : sql``
}

async function requireAlbums(db: Database, actor: Actor, filter: SearchFilter): Promise<void> {
  if (filter.visibility === 'locked') {
    // The locked folder opens with a PIN code, and there is no way to enter one yet.
    throw new AppError('unauthenticated', 'Elevated permission is required')
  }
  const ids = [...new Set(filter.albumIds ?? [])]
  if (ids.length === 0) return
  const readable = await findAllowedAlbums(db, actor, ids, 'album.read')
  if (readable.length !== ids.length) throw noAccess('album.read')
}

/** In the actor's own, and in the timelines of those partners who are in theirs. */
async function conditionsFor(db: Database, actor: Actor, filter: SearchFilter) {
  return searchConditions(filter, actor.userId, await findPartners(db, actor, { inTimeline: true }))
}

function writeCursor(order: SearchOrder, last: Found): string {
  return Buffer.from(JSON.stringify([order.field, order.direction, last.sortKey, last.id])).toString(
    'base64url',
  )
}

function readCursor(cursor: string, order: SearchOrder): { key: string; id: string } {
  const parts = parseCursor(cursor)
  if (parts === null)
    throw new AppError('invalid', 'cursor: give the nextCursor of an earlier answer as it is')
  const [field, direction, key, id] = parts
  if (field !== order.field || direction !== order.direction) {
    throw new AppError('invalid', 'cursor: it belongs to a search in another order')
  }
  return { key, id }
}

/** Null for anything that `writeCursor` would not write; its parts reach PostgreSQL as typed values. */
function parseCursor(cursor: string): [string, string, string, string] | null {
  let parts: unknown
  try {
    parts = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return null
  }
  if (!Array.isArray(parts) || parts.length !== 4 || !parts.every((part) => typeof part === 'string'))
    return null
  const [, , key, id] = parts as [string, string, string, string]
  const isKey = /^(-?\d{1,19}|\d{4,5}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?([+-]\d\d(:\d\d)*)?( BC)?)$/.test(key)
  const isId = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
  return isKey && isId ? (parts as [string, string, string, string]) : null
}
