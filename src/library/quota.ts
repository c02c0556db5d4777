import { sql } from 'kysely'
import type { Queryable, Tx } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import { usedBytesOf } from './users.ts'

/** Immich's phone app stops its backup on exactly this text. */
const QUOTA_MESSAGE = 'Quota has been exceeded!'

/** Refuses an upload that would go over. Uploads of one user with a quota commit one after the other, so that two can't both fit. */
export async function demandQuota(tx: Tx, userId: string, addedBytes: number): Promise<void> {
  const user = await tx
    .selectFrom('app_user')
    .select('quota_bytes')
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (!user) throw new AppError('unauthenticated', 'The user was deleted')
  if (user.quota_bytes === null) return
  await tx.selectFrom('app_user').select('id').where('id', '=', userId).forNoKeyUpdate().execute()
  if ((await takenBytesOf(tx, userId)) + addedBytes > user.quota_bytes)
    throw new AppError('quota-exceeded', QUOTA_MESSAGE)
}

/** The same question before the body is read, from its announced size; the answer of `demandQuota` is the one that counts. */
export async function demandQuotaEarly(db: Queryable, userId: string, announcedBytes: number): Promise<void> {
  const user = await db
    .selectFrom('app_user')
    .select('quota_bytes')
    .where('id', '=', userId)
    .executeTakeFirst()
  if (user?.quota_bytes == null) return
  if ((await takenBytesOf(db, userId)) + announcedBytes > user.quota_bytes) {
    throw new AppError('quota-exceeded', QUOTA_MESSAGE)
  }
}

/** What the user's assets take, and what direct uploads that are under way have reserved. */
async function takenBytesOf(db: Queryable, userId: string): Promise<number> {
  const reserved = await db
    .selectFrom('direct_upload')
    .select(sql<number>`coalesce(sum(size), 0)::bigint`.as('bytes'))
    .where('owner_id', '=', userId)
    .where('state', 'in', ['open', 'received'])
    .executeTakeFirstOrThrow()
  return (await usedBytesOf(db, userId)) + reserved.bytes
}
