import type { Database } from '../../database/connect.ts'

/** Whether the user has been shown around by a client. */
export async function isUserOnboarded(db: Database, userId: string): Promise<boolean> {
  const row = await db
    .selectFrom('app_user')
    .select('is_onboarded')
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  return row.is_onboarded ?? false
}

/** Null: nobody has said. */
export async function setUserOnboarded(
  db: Database,
  userId: string,
  isOnboarded: boolean | null,
): Promise<void> {
  await db.updateTable('app_user').set({ is_onboarded: isOnboarded }).where('id', '=', userId).execute()
}
