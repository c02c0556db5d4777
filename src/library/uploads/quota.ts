import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { isPurging } from '../../placement/ledger/object-sql.ts'
import { usedBytesOf } from '../users/users.ts'

/** Immich's phone app stops its backup on exactly this text. */
const QUOTA_MESSAGE = 'Quota has been exceeded!'

/**
 * Refuses an upload that would go over. Uploads of one user with a quota commit one after the other, so that
 * two can't both fit.
 */
export async function requireQuota(tx: Tx, userId: string, addedBytes: number): Promise<void> {
  const user = await tx
    .selectFrom('app_user')
    .select('quota_bytes')
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    // A deletion of the user comes before this upload, which is refused, or after its commit.
    .forKeyShare()
    .executeTakeFirst()
  if (!user) throw new AppError('unauthenticated', 'The user was deleted')
  if (user.quota_bytes === null) return
  await lockUser(tx, userId)
  if ((await takenBytesOf(tx, userId)) + addedBytes > user.quota_bytes)
    throw new AppError('quota-exceeded', QUOTA_MESSAGE)
}

/** Until the transaction ends, nobody else begins an upload of this user's that counts against a limit. */
export async function lockUser(tx: Tx, userId: string): Promise<void> {
  await tx.selectFrom('app_user').select('id').where('id', '=', userId).forNoKeyUpdate().execute()
}

/**
 * The same question before the body is read, from its announced size; the answer of `requireQuota` is the one
 * that counts.
 */
export async function requireQuotaEarly(
  db: Queryable,
  userId: string,
  announcedBytes: number,
): Promise<void> {
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

/**
 * What the user's assets take, what direct uploads that are under way have reserved, and what of those that
 * ended is still in the bucket: it stays until no URL can put it there again, and might else be free of any
 * quota meanwhile.
 */
async function takenBytesOf(db: Queryable, userId: string): Promise<number> {
  const { rows } = await sql<{ bytes: number }>`
    select (coalesce(sum(size), 0))::bigint as bytes from (
      select size from direct_upload where owner_id = ${userId} and state in ('open', 'received')
      union all
      select upload.size from direct_upload upload
        where upload.owner_id = ${userId} and upload.ended_at > now() - ${LONGEST_PURGE}
          and ${isPurging(sql`upload.object_id`)}
    ) taken`.execute(db)
  return (await usedBytesOf(db, userId)) + rows[0]!.bytes
}

/**
 * No URL of an upload holds longer. A purge that takes longer waits for its place, which is no doing of the
 * user's.
 */
const LONGEST_PURGE = sql`interval '1 hour'`
