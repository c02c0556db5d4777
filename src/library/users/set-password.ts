/**
 * Passwords that somebody else chose: an administrator sets one, and its user replaces it at the first
 * log-in.
 */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'
import { requireLogin } from '../credentials/credentials.ts'
import { hashPassword } from '../credentials/passwords.ts'
import { endOtherSessions } from '../credentials/sessions.ts'

/**
 * Sets a password for a user, who is asked for another one at the next log-in unless they have chosen it
 * themselves (`isTemporary` false). All their sessions end; their API keys stay, for the programs that use
 * them. The caller must be allowed to do this: a session of an administrator, or the command line.
 * @throws AppError not-found; invalid where the password is too short or too long
 */
export async function resetPassword(
  db: Database,
  userId: string,
  password: string,
  { isTemporary = true }: { isTemporary?: boolean } = {},
): Promise<void> {
  const passwordHash = await hashPassword(password)
  await db.transaction().execute(async (tx) => {
    if (!(await savePassword(tx, { userId, passwordHash, isTemporary })))
      throw new AppError('not-found', 'User not found')
    await endOtherSessions(tx, userId, null)
  })
}

/**
 * Replaces a password that was set by somebody else by the user's own, without asking for the old one: it was
 * typed a moment ago, and the person who set it knows it, too. Where the password is one's own already,
 * changing it takes the old one. Other sessions end.
 * @throws AppError invalid where it is one's own; forbidden with an API key
 */
export async function replaceTemporaryPassword(
  db: Database,
  actor: Actor,
  newPassword: string,
): Promise<void> {
  await requireLogin(db, actor, 'change the password')
  if (!(await isTemporary(db, actor.userId))) throw asksForOldOne()
  const passwordHash = await hashPassword(newPassword)
  await db.transaction().execute(async (tx) => {
    // Of two at the same moment one replaces it, and then it is one's own.
    const own = { userId: actor.userId, passwordHash, isTemporary: false, onlyIfTemporary: true }
    if (!(await savePassword(tx, own))) throw asksForOldOne()
    await endOtherSessions(tx, actor.userId, actor.sessionId)
  })
}

async function isTemporary(db: Database, userId: string): Promise<boolean> {
  const row = await db
    .selectFrom('app_user')
    .select('should_change_password')
    .where('id', '=', userId)
    .executeTakeFirst()
  return row?.should_change_password === true
}

/** @returns whether there was such a user, and, with `onlyIfTemporary`, such a password */
async function savePassword(
  tx: Tx,
  {
    userId,
    passwordHash,
    isTemporary,
    onlyIfTemporary = false,
  }: { userId: string; passwordHash: string; isTemporary: boolean; onlyIfTemporary?: boolean },
): Promise<boolean> {
  const saved = await tx
    .updateTable('app_user')
    .set({
      password_hash: passwordHash,
      should_change_password: isTemporary,
      updated_at: sql<Date>`now()`,
    })
    .where('id', '=', userId)
    .where('deleted_at', 'is', null)
    .$if(onlyIfTemporary, (query) => query.where('should_change_password', '=', true))
    .returning('id')
    .executeTakeFirst()
  return saved !== undefined
}

/** Whoever finds a session open must not be able to take the account over. */
export function asksForOldOne(): AppError {
  const message = 'Change it with POST /api/auth/change-password, which asks for the old one'
  return new AppError('invalid', message, {
    fields: [{ path: ['password'], message, code: 'custom' }],
  })
}
