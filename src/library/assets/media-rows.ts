/** What a request for an asset's bytes asks the ledger: which asset, and where its bytes are. */
import type { Database } from '../../database/connect.ts'
import type { AssetType, Schema } from '../../database/schema.ts'
import {
  ASKED_AT,
  type LoadedObject,
  OBJECT_COLUMNS,
  type ObjectRow,
  objectOfRows,
} from '../../placement/ledger/object-rows.ts'
import type { Holder } from '../access.ts'
import {
  type Authenticated,
  type Credentials,
  compileForHolder,
  HOLDER_COLUMNS,
} from '../credentials/authenticated-query.ts'

/** The file of that kind, or the original where there is none; null: the original. */
export type MediaWish = { assetId: string; kind: Schema['asset_file']['kind'] | null }

export type MediaRows = {
  wish: MediaWish
  /** Null: there is no such asset. Nothing is said of who may see it. */
  asset: MediaAsset | null
  /** Of the file, or of the original. */
  loaded: LoadedObject | null
}

const ASSET_COLUMNS = [
  'asset.owner_id as ownerId',
  'asset.type',
  'asset.original_object_id as originalObjectId',
  'asset.original_file_name as fileName',
  'asset.original_mime_type as mimeType',
  'asset_file.object_id as fileObjectId',
] as const

export type MediaAsset = {
  ownerId: string
  type: AssetType
  originalObjectId: string
  fileName: string
  /** Of the original's bytes. */
  mimeType: string
  /** Null: there is no file of the kind that was asked for. */
  fileObjectId: string | null
}

type Row = Holder & { [Column in keyof MediaAsset]: MediaAsset[Column] | null } & {
  [Column in keyof ObjectRow]: ObjectRow[Column] | null
}

const mediaRows = compileForHolder<MediaWish, Row>((db, value) =>
  db
    .selectFrom('holder')
    .leftJoin('asset', (join) => join.on('asset.id', '=', value('assetId')))
    .leftJoin('asset_file', (join) =>
      join.onRef('asset_file.asset_id', '=', 'asset.id').on('asset_file.kind', '=', value('kind')),
    )
    .leftJoin('stored_object as o', (join) =>
      join.on((eb) => eb('o.id', '=', eb.fn.coalesce('asset_file.object_id', 'asset.original_object_id'))),
    )
    .leftJoin('replica as r', 'r.object_id', 'o.id')
    .leftJoin('replica_restore as a', (join) =>
      join.onRef('a.object_id', '=', 'r.object_id').onRef('a.location_id', '=', 'r.location_id'),
    )
    .select(HOLDER_COLUMNS)
    .select(ASSET_COLUMNS)
    .select(OBJECT_COLUMNS)
    .select(ASKED_AT),
)

/** Asks in one statement with who holds the credentials; null: they are nobody's. */
export async function findMedia(
  db: Database,
  credentials: Credentials,
  wish: MediaWish,
): Promise<Authenticated<MediaRows> | null> {
  const answer = await mediaRows(db, credentials, wish)
  if (answer === null) return null
  const { actor, found: rows } = answer
  const { id, ownerId, type, originalObjectId, fileName, mimeType, fileObjectId } = rows[0]
  const asset =
    ownerId === null || type === null || originalObjectId === null || fileName === null || mimeType === null
      ? null
      : { ownerId, type, originalObjectId, fileName, mimeType, fileObjectId }
  const loaded = id === null ? null : objectOfRows(rows as unknown as ObjectRow[])
  return { actor, found: { wish, asset, loaded } }
}
