/**
 * Of a large object the first bytes are on their way before all of them are known to be right. A client that
 * was cut off may ask for the rest, get it from a right copy, and would join the two. The condition
 * `If-Range` is how they ask; it is not met for a day, so that they get all of it anew. Noted with the
 * object: the next request may come to another process, or after a restart.
 */
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'

/**
 * Wrong bytes of the object went out before that was known. To be called before the answer is cut off. Never
 * throws: an answer must be cut off in any case.
 */
export async function noteSentWrong({ db, log }: Placement, objectId: string): Promise<void> {
  try {
    await db
      .updateTable('stored_object')
      .set({ sent_wrong_at: sql`now()` })
      .where('id', '=', objectId)
      .execute()
  } catch (error) {
    log.error(
      { objectId, error: (error as Error).message },
      'that wrong bytes were sent could not be noted: whoever asks for the rest of them gets it',
    )
  }
}

export async function wasSentWrong({ db }: Pick<Placement, 'db'>, objectId: string): Promise<boolean> {
  const row = await db
    .selectFrom('stored_object')
    .select('id')
    .where('id', '=', objectId)
    .where(sql<boolean>`lived_since(sent_wrong_at) < interval '1 day'`)
    .executeTakeFirst()
  return row !== undefined
}
