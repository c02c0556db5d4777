/**
 * What a request for an asset's bytes asks the ledger: who asks, for which asset, and where its bytes are. One statement
 * instead of three in a row, and so one moment's truth. It decides nothing: whether these credentials may have these bytes
 * is asked of the rows, by `authenticate` and `asset-media`, as it would be of three answers.
 */
import { compileOnce } from '../database/compile-once.ts'
import type { Database, Queryable } from '../database/connect.ts'
import type { AssetType, Schema } from '../database/schema.ts'
import {
  ASKED_AT,
  type LoadedObject,
  OBJECT_COLUMNS,
  type ObjectRow,
  objectOfRows,
} from '../placement/object-rows.ts'
import type { Actor, Holder } from './access.ts'
import { actorOfApiKey, apiKeyHolder } from './api-keys.ts'
import { actorOfSession, sessionHolder } from './sessions.ts'
import { hashToken } from './tokens.ts'

/** The file of that kind, or the original where there is none; null: the original. */
export type MediaWish = { assetId: string; kind: Schema['asset_file']['kind'] | null }

export type MediaRows = {
  wish: MediaWish
  /** Null: there is no such asset. Nothing is said of who may see it. */
  asset: MediaAsset | null
  /** Of the file, or of the original. */
  loaded: LoadedObject | null
}

/** By name: a statement with `*` is never prepared, and planning this one takes longer than running it. */
const HOLDER_COLUMNS = [
  'holder.userId',
  'holder.email',
  'holder.name',
  'holder.isAdmin',
  'holder.credentialId',
  'holder.permissions',
  'holder.isStale',
] as const

const ASSET_COLUMNS = [
  'asset.owner_id as ownerId',
  'asset.type',
  'asset.original_object_id as originalObjectId',
  'asset.original_file_name as fileName',
  'asset_file.object_id as fileObjectId',
] as const

export type MediaAsset = {
  ownerId: string
  type: AssetType
  originalObjectId: string
  fileName: string
  /** Null: there is no file of the kind that was asked for. */
  fileObjectId: string | null
}

type Values = { secretHash: Buffer; assetId: string; kind: MediaWish['kind'] }
type Row = Holder & { [Column in keyof MediaAsset]: MediaAsset[Column] | null } & {
  [Column in keyof ObjectRow]: ObjectRow[Column] | null
}

const STATEMENTS = { session: statementFor(sessionHolder), 'api-key': statementFor(apiKeyHolder) }

/** Null where the credentials are nobody's. */
export async function findActorAndMedia(
  db: Database,
  credentials: { kind: keyof typeof STATEMENTS; value: string },
  wish: MediaWish,
): Promise<{ actor: Actor; media: MediaRows } | null> {
  const rows = await STATEMENTS[credentials.kind](db, { secretHash: hashToken(credentials.value), ...wish })
  const first = rows[0]
  if (first === undefined) return null
  const actor = credentials.kind === 'session' ? await actorOfSession(db, first) : actorOfApiKey(first)
  const { ownerId, type, originalObjectId, fileName, fileObjectId } = first
  const asset =
    ownerId === null || type === null || originalObjectId === null || fileName === null
      ? null
      : { ownerId, type, originalObjectId, fileName, fileObjectId }
  const loaded = first.id === null ? null : objectOfRows(rows as ObjectRow[])
  return { actor, media: { wish, asset, loaded } }
}

function statementFor(holder: typeof sessionHolder | typeof apiKeyHolder) {
  return compileOnce<Values, Row>((db, value) =>
    db
      .with('holder', (cte) => (holder as typeof sessionHolder)(cte as Queryable, value('secretHash')))
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
}
