import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { compileOnce } from '../../database/statements/compile-once.ts'
import { AppError } from '../../errors.ts'
import { type Actor, type Holder, holds } from '../access.ts'
import { holdCredential, requireLogin } from './credentials.ts'
import { hashToken, makeToken } from './tokens.ts'

/** Immich's `ApiKeyResponseDto`. */
export type ApiKeyView = {
  id: string
  name: string
  permissions: string[]
  createdAt: string
  updatedAt: string
}

/** The user who holds a known API key, unless deleted. */
export function apiKeyHolder(db: Queryable, keyHash: RawBuilder<Buffer>) {
  return db
    .selectFrom('api_key')
    .innerJoin('app_user', 'app_user.id', 'api_key.user_id')
    .where('api_key.key_hash', '=', keyHash)
    .where('app_user.deleted_at', 'is', null)
    .select([
      'app_user.id as userId',
      'app_user.email',
      'app_user.name',
      'app_user.is_admin as isAdmin',
      'api_key.id as credentialId',
      sql<string[] | null>`api_key.permissions`.as('permissions'),
      sql<boolean>`false`.as('isStale'),
    ])
}

const holderOfKey = compileOnce<{ keyHash: Buffer }, Holder>((db, value) =>
  apiKeyHolder(db, value('keyHash')),
)

/**
 * Who holds this API key: null for an unknown one, or where its user is deleted. `updated_at` of a key is the
 * time of its last change, not of its last use (Immich shows it so): using a key writes nothing.
 */
export async function findActorByApiKey(db: Database, key: string): Promise<Actor | null> {
  const [holder] = await holderOfKey(db, { keyHash: hashToken(key) })
  return holder === undefined ? null : actorOfApiKey(holder)
}

export function actorOfApiKey(holder: Holder): Actor {
  const { userId, email, name, isAdmin, credentialId: id } = holder
  return {
    userId,
    email,
    name,
    isAdmin,
    sessionId: null,
    apiKey: { id, permissions: holder.permissions ?? [] },
  }
}

/**
 * Makes a key. Its secret is in the answer and nowhere else.
 * @throws AppError invalid: a key can't give more than it has; forbidden: a device's session, which ends,
 * makes no key, which doesn't
 */
export async function createApiKey(
  db: Database,
  actor: Actor,
  wish: { name?: string; permissions: string[] },
): Promise<{ secret: string; apiKey: ApiKeyView }> {
  const secret = makeToken()
  const row = await db.transaction().execute(async (tx) => {
    await requirePower(tx, actor, wish.permissions)
    return tx
      .insertInto('api_key')
      .values({
        user_id: actor.userId,
        name: wish.name ?? 'API Key',
        key_hash: hashToken(secret),
        permissions: wish.permissions,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
  })
  return { secret, apiKey: describeApiKey(row) }
}

/** The user's keys, newest first. */
export async function listApiKeys(db: Database, userId: string): Promise<ApiKeyView[]> {
  const rows = await db
    .selectFrom('api_key')
    .selectAll()
    .where('user_id', '=', userId)
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute()
  return rows.map(describeApiKey)
}

/** One key of the user. @throws AppError invalid if it is not theirs. */
export async function getApiKey(db: Database, userId: string, id: string): Promise<ApiKeyView> {
  const row = await db
    .selectFrom('api_key')
    .selectAll()
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  if (row === undefined) throw new AppError('invalid', 'API Key not found')
  return describeApiKey(row)
}

/** Changes name or permissions. @throws AppError invalid and forbidden as for create and get. */
export async function updateApiKey(
  db: Database,
  actor: Actor,
  id: string,
  change: { name?: string | undefined; permissions?: string[] | undefined },
): Promise<ApiKeyView> {
  const row = await db.transaction().execute(async (tx) => {
    if (change.permissions) await requirePower(tx, actor, change.permissions)
    return tx
      .updateTable('api_key')
      .set({
        ...(change.name !== undefined && { name: change.name }),
        ...(change.permissions && { permissions: change.permissions }),
        updated_at: sql`now()`,
      })
      .where('id', '=', id)
      .where('user_id', '=', actor.userId)
      .returningAll()
      .executeTakeFirst()
  })
  if (row === undefined) throw new AppError('invalid', 'API Key not found')
  return describeApiKey(row)
}

/** Deletes a key of the user; it stops working at once. @throws AppError invalid if it is not theirs. */
export async function deleteApiKey(db: Database, userId: string, id: string): Promise<void> {
  const row = await db
    .deleteFrom('api_key')
    .where('id', '=', id)
    .where('user_id', '=', userId)
    .returning('id')
    .executeTakeFirst()
  if (row === undefined) throw new AppError('invalid', 'API Key not found')
}

/** Deletes all keys of the user. */
export async function deleteApiKeys(db: Queryable, userId: string): Promise<void> {
  await db.deleteFrom('api_key').where('user_id', '=', userId).execute()
}

/**
 * A key must not be the way to a key that may do more, nor a session that ends the way to a key that doesn't.
 */
async function requirePower(tx: Tx, asked: Actor, permissions: string[]): Promise<void> {
  const actor = await holdCredential(tx, asked)
  if (actor.apiKey === null) await requireLogin(tx, actor, 'say what an API key may do')
  const missing = permissions.find((permission) => !holds(actor, permission))
  if (missing !== undefined) {
    const field = { path: ['permissions'], message: `This API key does not hold ${missing}`, code: 'custom' }
    throw new AppError('invalid', 'Cannot grant permissions you do not have', { fields: [field] })
  }
}

function describeApiKey(row: Selectable<Schema['api_key']>): ApiKeyView {
  return {
    id: row.id,
    name: row.name,
    permissions: row.permissions,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
  }
}
