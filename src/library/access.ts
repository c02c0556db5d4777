/**
 * Who asks, and what they may touch. An *actor* is a logged-in user, by session or by API key; lacking access
 * to a thing looks exactly like its absence, so that ids can't be tried out.
 */
import { sql } from 'kysely'
import type { Queryable } from '../database/connect.ts'
import { uuidArray } from '../database/statements/uuid-array.ts'
import { AppError } from '../errors.ts'

export type Actor = {
  userId: string
  email: string
  name: string
  isAdmin: boolean
  /** Null: the actor came with an API key. */
  sessionId: string | null
  /** Null: the actor came with a session, which may do all that its user may. */
  apiKey: { id: string; permissions: string[] } | null
}

/** The row that credentials lead to, of a session or of an API key. */
export type Holder = {
  userId: string
  email: string
  name: string
  isAdmin: boolean
  /** Of the session or of the key. */
  credentialId: string
  /** Of the key. */
  permissions: string[] | null
  /** Of a session: its last use should be written down. */
  isStale: boolean
}

/**
 * What a route demands. Each route states it (`config.access`), or the server does not start. `permission` is
 * what an API key needs; a route without one needs a key that holds `all`; null: every key may do.
 */
export type Access = { who: 'public' | 'user' | 'admin'; permission?: string | null }

export type AssetPermission =
  | 'asset.read'
  | 'asset.view'
  | 'asset.download'
  | 'asset.share'
  | 'asset.update'
  | 'asset.delete'

/** Whether the actor's credential was given this permission. A session may do all that its user may. */
export function holds({ apiKey }: Pick<Actor, 'apiKey'>, permission: string): boolean {
  if (apiKey === null) return true
  return apiKey.permissions.includes('all') || apiKey.permissions.includes(permission)
}

/** What members of an album may do with what is in it; everything else is the owner's alone. */
const SHARED_BY_ALBUM: ReadonlySet<AssetPermission> = new Set(['asset.read', 'asset.view', 'asset.download'])
/** What somebody may do with the assets of who is their partner. */
const SHARED_BY_PARTNER: ReadonlySet<AssetPermission> = new Set([...SHARED_BY_ALBUM, 'asset.share'])

/**
 * The error for a lack of access and for an id that does not exist: Immich answers both with 400 and this
 * sentence.
 */
export function noAccess(permission: string): AppError {
  return new AppError('invalid', `Not found or no ${permission} access`)
}

/**
 * Demands all of the assets. @throws AppError invalid, in Immich's words, when one is missing or somebody
 * else's.
 */
export async function requireAssets(
  db: Queryable,
  actor: Actor,
  assetIds: readonly string[],
  permission: AssetPermission,
): Promise<void> {
  const allowed = await findAllowedAssets(db, actor, assetIds, permission)
  if (assetIds.some((id) => !allowed.has(id.toLowerCase()))) throw noAccess(permission)
}

/** Those of the ids (lower case) that the actor may use so. */
export async function findAllowedAssets(
  db: Queryable,
  actor: Actor,
  assetIds: readonly string[],
  permission: AssetPermission,
): Promise<Set<string>> {
  if (assetIds.length === 0) return new Set()
  const ids = uuidArray(assetIds)
  const own = await db
    .selectFrom('asset')
    .select('id')
    .where('owner_id', '=', actor.userId)
    .where(sql<boolean>`asset.id = any(${ids}::uuid[])`)
    // What is locked is shown to nobody else, its owner's wish included.
    .$if(permission === 'asset.share', (query) => query.where('visibility', '<>', 'locked'))
    .execute()
  const allowed = new Set(own.map((row) => row.id))
  const isEnough = () => allowed.size === assetIds.length
  if (!isEnough() && SHARED_BY_ALBUM.has(permission)) {
    for (const id of await findInAlbums(db, actor, ids)) allowed.add(id)
  }
  if (!isEnough() && SHARED_BY_PARTNER.has(permission)) {
    for (const id of await findOfPartners(db, actor, ids)) allowed.add(id)
  }
  return allowed
}

/** An album whose owner is deleted is seen by nobody until they are back. */
async function findInAlbums(db: Queryable, actor: Actor, ids: string): Promise<string[]> {
  const rows = await db
    .selectFrom('album_asset')
    .innerJoin('album_user', 'album_user.album_id', 'album_asset.album_id')
    .innerJoin('album_user as holder', (join) =>
      join.onRef('holder.album_id', '=', 'album_asset.album_id').on('holder.role', '=', 'owner'),
    )
    .innerJoin('app_user as owner', 'owner.id', 'holder.user_id')
    .innerJoin('asset as shown', 'shown.id', 'album_asset.asset_id')
    // What is shown, and the film that belongs to it.
    .innerJoin('asset', (join) => join.on(sql<boolean>`asset.id in (shown.id, shown.live_photo_video_id)`))
    .select('asset.id')
    .distinct()
    .where('album_user.user_id', '=', actor.userId)
    .where('owner.deleted_at', 'is', null)
    .where('shown.deleted_at', 'is', null)
    .where('shown.visibility', '!=', 'locked')
    .where('asset.deleted_at', 'is', null)
    .where('asset.visibility', '!=', 'locked')
    .where(sql<boolean>`asset.id = any(${ids}::uuid[])`)
    .execute()
  return rows.map((row) => row.id)
}

/** Not what they archived, locked or threw away; films of live photos are hidden. */
async function findOfPartners(db: Queryable, actor: Actor, ids: string): Promise<string[]> {
  const rows = await db
    .selectFrom('asset')
    .innerJoin('partner', 'partner.shared_by_id', 'asset.owner_id')
    .innerJoin('app_user as owner', 'owner.id', 'asset.owner_id')
    .select('asset.id')
    .where('partner.shared_with_id', '=', actor.userId)
    .where('owner.deleted_at', 'is', null)
    .where('asset.deleted_at', 'is', null)
    .where('asset.visibility', 'in', ['timeline', 'hidden'])
    .where(sql<boolean>`asset.id = any(${ids}::uuid[])`)
    .execute()
  return rows.map((row) => row.id)
}

/** Who shares with the actor; `inTimeline`: only those whose assets the actor wants among their own. */
export async function findPartners(
  db: Queryable,
  actor: Pick<Actor, 'userId'>,
  { inTimeline }: { inTimeline: boolean },
): Promise<string[]> {
  const rows = await db
    .selectFrom('partner')
    .innerJoin('app_user as owner', 'owner.id', 'partner.shared_by_id')
    .select('owner.id')
    .where('partner.shared_with_id', '=', actor.userId)
    .where('owner.deleted_at', 'is', null)
    .$if(inTimeline, (query) => query.where('partner.in_timeline', '=', true))
    .execute()
  return rows.map((row) => row.id)
}

/** Demands all of what has one owner and nobody else. @throws AppError invalid */
export async function requireOwned(
  db: Queryable,
  actor: Pick<Actor, 'userId'>,
  table: 'stack' | 'tag' | 'memory',
  ids: readonly string[],
  permission: string,
): Promise<void> {
  if (ids.length === 0) return
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from ${sql.table(table)}
    where owner_id = ${actor.userId}::uuid and id = any(${uuidArray(ids)}::uuid[])`.execute(db)
  if (rows[0]!.count !== new Set(ids).size) throw noAccess(permission)
}
