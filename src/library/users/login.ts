import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'
import { deleteApiKeys } from '../credentials/api-keys.ts'
import { requireLogin } from '../credentials/credentials.ts'
import { hashPassword, PASSWORD_LENGTH, verifyPassword } from '../credentials/passwords.ts'
import { type Device, endOtherSessions, type SessionLimits, startSession } from '../credentials/sessions.ts'
import type { LoginSlowdown } from './login-slowdown.ts'
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
 * @param limits of the session
 * @throws AppError unauthenticated (the same for an unknown address and a wrong password), unavailable in a
 * crowd
 */
export async function logIn(
  db: Database,
  slowdown: LoginSlowdown,
  credentials: { email: string; password: string },
  from: { address: string; device: Device },
  limits: SessionLimits,
): Promise<LoginView> {
  // No account has such a password: it is refused before it counts as a guess, or is hashed.
  if (credentials.password.length > PASSWORD_LENGTH.max) throw wrongLogin()
  const email = normalizeEmail(credentials.email)
  const login = await slowdown.run(email, from.address, () =>
    tryLogIn(db, email, credentials.password, from.device, limits),
  )
  if (login === null) throw wrongLogin()
  return login
}

function wrongLogin(): AppError {
  return new AppError('unauthenticated', 'Incorrect email or password')
}

/**
 * Sets a new password for who is logged in and knows the old one. Every other session ends unless
 * `invalidateSessions` is false: a password is changed when somebody else may know it. API keys stay, for the
 * programs that use them, unless
 * `invalidateApiKeys` is true.
 * @throws AppError forbidden with an API key; invalid: wrong old password, or a new one of a length out of
 * bounds
 */
export async function changePassword(
  db: Database,
  slowdown: LoginSlowdown,
  actor: Actor,
  change: {
    password: string
    newPassword: string
    invalidateSessions: boolean
    invalidateApiKeys: boolean
  },
  address: string,
): Promise<void> {
  await requireLogin(db, actor, 'change the password')
  if (change.password.length > PASSWORD_LENGTH.max) throw wrongPassword()
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
      if (change.invalidateApiKeys) await deleteApiKeys(tx, actor.userId)
      return true
    })
  })
  if (changed === null) throw wrongPassword()
}

function wrongPassword(): AppError {
  return new AppError('invalid', 'Wrong password')
}

async function tryLogIn(
  db: Database,
  email: string,
  password: string,
  device: Device,
  limits: SessionLimits,
): Promise<LoginView | null> {
  const found = await db
    .selectFrom('app_user')
    .select(['id', 'password_hash'])
    .where(sql<string>`lower(email)`, '=', email)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (!(await verifyPassword(password, found?.password_hash ?? null)) || found === undefined) return null

  return db.transaction().execute(async (tx) => {
    // The hash took its time. If the password was changed and all sessions ended meanwhile, none may start
    // now.
    const user = await tx
      .selectFrom('app_user')
      .selectAll()
      .where('id', '=', found.id)
      .where('password_hash', '=', found.password_hash)
      .where('deleted_at', 'is', null)
      .forShare()
      .executeTakeFirst()
    if (user === undefined) return null
    const { token } = await startSession(tx, user.id, device, limits)
    return {
      accessToken: token,
      userId: user.id,
      userEmail: user.email,
      name: user.name,
      isAdmin: user.is_admin,
      isOnboarded: user.is_onboarded ?? false,
      profileImagePath: describeUser(user).profileImagePath,
      shouldChangePassword: user.should_change_password,
    }
  })
}
