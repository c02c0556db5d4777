import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'

const KEY = 'admin-onboarding'

/** Whether an administrator has been shown around by a client: Immich's `AdminOnboardingResponseDto`. */
export async function isAdminOnboarded(db: Database): Promise<boolean> {
  const row = await db.selectFrom('system_metadata').select('value').where('key', '=', KEY).executeTakeFirst()
  return row?.value.isOnboarded === true
}

export async function setAdminOnboarded(db: Database, isOnboarded: boolean): Promise<void> {
  const value = JSON.stringify({ isOnboarded })
  await db
    .insertInto('system_metadata')
    .values({ key: KEY, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: sql`excluded.value` }))
    .execute()
}
