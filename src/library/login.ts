import { sql } from 'kysely'
import type { Database } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Actor } from './access.ts'
import type { LoginSlowdown } from './login-slowdown.ts'
import { hashPassword, verifyPassword } from './passwords.ts'
import { type Device, endOtherSessions, startSession } from './sessions.ts'
import { describeUser, normalizeEmail } from './users.ts'

/** Immich's `LoginResponseDto`. */
export type LoginView = {
  accessToken: string
  userId: string
  userEmail: string
  name: string
  isAdmin: boolean
  isOnboarded: boolean
  profileImagePath: string
  shouldChangePassword: boolean
}

/**
 * Checks e-mail address and password and starts a session.
 * @param from the client's network address and device
 * @throws AppError unauthenticated (the same for an unknown address and a wrong password), unavailable in a crowd
 */
export async function logIn(
  db: Database,
  slowdown: LoginSlowdown,
  credentials: { email: string; password: string },
  from: { address: string; device: Device },
): Promise<LoginView> {
  const email = normalizeEmail(credentials.email)
  const login = await slowdown.run(email, from.address, () =>
    tryLogIn(db, email, credentials.password, from.device),
  )
  if (login === null) throw new AppError('unauthenticated', 'Incorrect email or password')
  return login
}

/**
 * Sets a new password for who knows the old one.
 * @throws AppError invalid: wrong old password, or a new one of a length out of bounds
 */
export async function changePassword(
  db: Database,
  slowdown: LoginSlowdown,
  actor: Actor,
  change: { password: string; newPassword: string; invalidateSessions?: boolean | undefined },
  address: string,
): Promise<void> {
  const changed = await slowdown.run(actor.email, address, async () => {
    const user = await db
      .selectFrom('app_user')
      .select('password_hash')
      .where('id', '=', actor.userId)
      .executeTakeFirstOrThrow()
    if (!(await verifyPassword(change.password, user.password_hash))) return null
    const passwordHash = await hashPassword(change.newPassword)
    return db.transaction().execute(async (tx) => {
      const { numUpdatedRows } = await tx
        .updateTable('app_user')
        .set({ password_hash: passwordHash, should_change_password: false, updated_at: sql`now()` })
        .where('id', '=', actor.userId)
        // Somebody else changed it in between: then the old password given is no longer the right one.
        .where('password_hash', '=', user.password_hash)
        .executeTakeFirst()
      if (numUpdatedRows === 0n) return null
      if (change.invalidateSessions) await endOtherSessions(tx, actor.userId, actor.sessionId)
      return true
    })
  })
  if (changed === null) throw new AppError('invalid', 'Wrong password')
}

async function tryLogIn(
  db: Database,
  email: string,
  password: string,
  device: Device,
): Promise<LoginView | null> {
  const found = await db
    .selectFrom('app_user')
    .select(['id', 'password_hash'])
    .where(sql<string>`lower(email)`, '=', email)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (!(await verifyPassword(password, found?.password_hash ?? null)) || found === undefined) return null

  return db.transaction().execute(async (tx) => {
    // The hash took its time. If the password was changed and all sessions ended meanwhile, none may start now.
    const user = await tx
      .selectFrom('app_user')
      .selectAll()
      .where('id', '=', found.id)
      .where('password_hash', '=', found.password_hash)
      .where('deleted_at', 'is', null)
      .forShare()
      .executeTakeFirst()
    if (user === undefined) return null
    const { token } = await startSession(tx, user.id, device)
    return {
      accessToken: token,
      userId: user.id,
      userEmail: user.email,
      name: user.name,
      isAdmin: user.is_admin,
      isOnboarded: user.is_onboarded,
      profileImagePath: describeUser(user).profileImagePath,
      shouldChangePassword: user.should_change_password,
    }
  })
}
