import { type Selectable, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { isBeingRebuilt } from '../../placement/catalogue/adoption-state.ts'
import { type Actor, holds } from '../access.ts'
import { requireLogin } from '../credentials/credentials.ts'
import { hashPassword } from '../credentials/passwords.ts'
import { AVATAR_COLORS, type AvatarColor } from './avatar-colors.ts'

/** Immich's `UserResponseDto`: what other users of the server may see. */
export type UserView = {
  id: string
  name: string
  email: string
  avatarColor: string
  profileChangedAt: string
  /**
   * '' without a picture; otherwise some text: clients only ask whether there is any, and fetch it by the
   * user's id.
   */
  profileImagePath: string
}

/** Immich's `UserAdminResponseDto`: what the user and administrators see. Quota in bytes, null for none. */
export type OwnUserView = UserView & {
  clusterGroupId: string
  createdAt: string
  updatedAt: string
  deletedAt: string | null
  isAdmin: boolean
  license: null
  oauthId: string
  quotaSizeInBytes: number | null
  quotaUsageInBytes: number
  shouldChangePassword: boolean
  /** `deleted`: can be restored; `removing`: goes for good. */
  status: 'active' | 'deleted' | 'removing'
  storageLabel: string | null
}

export type NewUser = {
  email: string
  name: string
  password: string
  /** Absent: the first user of a server is an administrator, later ones are not. */
  isAdmin?: boolean | undefined
  quotaBytes?: number | null | undefined
  storageLabel?: string | null | undefined
  shouldChangePassword?: boolean | undefined
  avatarColor?: AvatarColor | null | undefined
}

type UserRow = Selectable<Schema['app_user']>

/**
 * Creates a user.
 * @throws AppError invalid: the address is taken, or the password too short or too long
 */
export async function createUser(db: Database, user: NewUser): Promise<OwnUserView> {
  const passwordHash = await hashPassword(user.password)
  return db.transaction().execute((tx) => insertUser(tx, user, passwordHash))
}

/**
 * Creates a user for somebody. Whoever chooses a password can log in with it, and a session may do all that
 * its user may: so an API key must hold `all`, and makes no administrators, who could do more than it and
 * outlive it.
 * @throws AppError forbidden, and as `createUser`
 */
export async function createUserFor(db: Database, actor: Actor, user: NewUser): Promise<OwnUserView> {
  const mayAsKey = actor.apiKey !== null && holds(actor, 'all') && !user.isAdmin
  if (!mayAsKey) await requireLogin(db, actor, user.isAdmin ? 'make an administrator' : 'create a user')
  return createUser(db, { ...user, isAdmin: user.isAdmin ?? false })
}

/**
 * Creates the first user, an administrator. Of two sign-ups at the same moment one wins. @throws AppError
 * invalid as soon as there is any user, and as `createUser`; conflict while the users that the installation
 * had are still being brought back
 */
export async function signUpAdmin(
  db: Database,
  user: Pick<NewUser, 'email' | 'name' | 'password'>,
): Promise<OwnUserView> {
  // Asked before the hash, so that a flood of sign-ups on a running server costs nothing, and again under the
  // lock.
  await assertMaySignUp(db)
  const passwordHash = await hashPassword(user.password)
  return db.transaction().execute(async (tx) => {
    await lockUsers(tx)
    await assertMaySignUp(tx)
    return insertUser(tx, { ...user, isAdmin: true }, passwordHash)
  })
}

/** Whether anybody signed up yet; deleted users count. */
export async function hasUsers(db: Queryable): Promise<boolean> {
  const row = await db.selectFrom('app_user').select('id').limit(1).executeTakeFirst()
  return row !== undefined
}

/** The users that can log in, by name. */
export async function listUsers(db: Database): Promise<UserView[]> {
  const rows = await db
    .selectFrom('app_user')
    .selectAll()
    .where('deleted_at', 'is', null)
    .orderBy('name')
    .orderBy('id')
    .execute()
  return rows.map(describeUser)
}

/** The same users as administrators see them; on request the deleted ones as well, or one alone. */
export async function listUsersForAdmin(
  db: Queryable,
  { withDeleted = false, id }: { withDeleted?: boolean | undefined; id?: string | undefined } = {},
): Promise<OwnUserView[]> {
  const rows = await db
    .selectFrom('app_user')
    .selectAll('app_user')
    .select((eb) =>
      eb
        .selectFrom('asset')
        .select(sql<number>`coalesce(sum(file_size), 0)::bigint`.as('bytes'))
        .whereRef('asset.owner_id', '=', 'app_user.id')
        .as('usedBytes'),
    )
    .$if(!withDeleted, (query) => query.where('deleted_at', 'is', null))
    .$if(id !== undefined, (query) => query.where('app_user.id', '=', id!))
    .orderBy('created_at')
    .execute()
  return rows.map((row) => describeOwnUser(row, row.usedBytes ?? 0))
}

/**
 * The id of who logs in with this address, or of who did until they were deleted.
 * @throws AppError not-found
 */
export async function userIdOf(
  db: Queryable,
  email: string,
  { isDeleted = false }: { isDeleted?: boolean } = {},
): Promise<string> {
  const row = await db
    .selectFrom('app_user')
    .select('id')
    .where(sql<string>`lower(email)`, '=', normalizeEmail(email))
    .where('deleted_at', isDeleted ? 'is not' : 'is', null)
    .executeTakeFirst()
  if (row !== undefined) return row.id
  throw new AppError('not-found', `no ${isDeleted ? 'deleted ' : ''}user has the address "${email}"`)
}

/** Bytes that the user may have in all, null for no limit. What is there stays. @throws AppError not-found */
export async function setQuota(db: Database, id: string, quotaBytes: number | null): Promise<OwnUserView> {
  await db
    .updateTable('app_user')
    .set({ quota_bytes: quotaBytes, updated_at: sql`now()` })
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .execute()
  return getOwnUser(db, id)
}

/** One user. @throws AppError not-found */
export async function getUser(db: Database, id: string): Promise<UserView> {
  return describeUser(await findUser(db, id))
}

/** One user with what only they and administrators see. @throws AppError not-found */
export async function getOwnUser(db: Queryable, id: string): Promise<OwnUserView> {
  return describeOwnUser(await findUser(db, id), await usedBytesOf(db, id))
}

/**
 * Changes the user's own data.
 * @throws AppError invalid where the address is somebody else's; forbidden where an API key would change it,
 * which is what one logs in with
 */
export async function updateOwnUser(
  db: Database,
  actor: Actor,
  change: {
    name?: string | undefined
    email?: string | undefined
    avatarColor?: AvatarColor | null | undefined
  },
): Promise<OwnUserView> {
  const { userId: id } = actor
  if (change.email !== undefined && normalizeEmail(change.email) !== actor.email) {
    await requireLogin(db, actor, 'change the e-mail address')
  }
  return db.transaction().execute(async (tx) => {
    if (change.email !== undefined) {
      await lockUsers(tx)
      await refuseTakenEmail(tx, change.email, id)
    }
    const write = tx
      .updateTable('app_user')
      .set({
        ...(change.name !== undefined && { name: change.name }),
        ...(change.email !== undefined && { email: normalizeEmail(change.email) }),
        ...(change.avatarColor && { avatar_color: change.avatarColor }),
        updated_at: sql`now()`,
      })
      .where('id', '=', id)
    await orEmailTaken(write.execute())
    return getOwnUser(tx, id)
  })
}

/** The bytes of the user's originals, those in the trash included. */
export async function usedBytesOf(db: Queryable, userId: string): Promise<number> {
  const row = await db
    .selectFrom('asset')
    .select(sql<number>`coalesce(sum(file_size), 0)::bigint`.as('bytes'))
    .where('owner_id', '=', userId)
    .executeTakeFirstOrThrow()
  return row.bytes
}

export function describeUser(
  row: Pick<
    UserRow,
    'id' | 'name' | 'email' | 'avatar_color' | 'profile_changed_at' | 'profile_image_object_id'
  >,
): UserView {
  return {
    id: row.id,
    name: row.name,
    email: row.email,
    avatarColor: row.avatar_color,
    profileChangedAt: row.profile_changed_at.toISOString(),
    profileImagePath: row.profile_image_object_id === null ? '' : `users/${row.id}/profile-image`,
  }
}

/** E-mail addresses are compared and kept in lower case, without spaces around them. */
export function normalizeEmail(email: string): string {
  return email.trim().toLowerCase()
}

function describeOwnUser(row: UserRow, usedBytes: number): OwnUserView {
  return {
    ...describeUser(row),
    // Groups of servers do not exist here: everybody is a group of one.
    clusterGroupId: row.id,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at.toISOString(),
    deletedAt: row.deleted_at?.toISOString() ?? null,
    isAdmin: row.is_admin,
    license: null,
    oauthId: '',
    quotaSizeInBytes: row.quota_bytes,
    quotaUsageInBytes: usedBytes,
    shouldChangePassword: row.should_change_password,
    status: statusOf(row),
    storageLabel: row.storage_label,
  }
}

function statusOf(row: Pick<UserRow, 'deleted_at' | 'removal_begun_at'>): OwnUserView['status'] {
  if (row.deleted_at === null) return 'active'
  return row.removal_begun_at === null ? 'deleted' : 'removing'
}

async function findUser(db: Queryable, id: string): Promise<UserRow> {
  const row = await db
    .selectFrom('app_user')
    .selectAll()
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .executeTakeFirst()
  if (row === undefined) throw new AppError('not-found', 'User not found')
  return row
}

/**
 * Creates a user whose password is hashed already, as `passwords.ts` says.
 * @throws AppError invalid: the address is taken
 */
export async function insertUser(
  tx: Tx,
  user: Omit<NewUser, 'password'>,
  passwordHash: string,
): Promise<OwnUserView> {
  await lockUsers(tx)
  await refuseTakenEmail(tx, user.email, null)
  const storageLabel = normalizeStorageLabel(user.storageLabel ?? null)
  await refuseTakenLabel(tx, storageLabel, null)
  const write = tx
    .insertInto('app_user')
    .values({
      email: normalizeEmail(user.email),
      name: user.name,
      password_hash: passwordHash,
      is_admin: user.isAdmin ?? !(await hasUsers(tx)),
      should_change_password: user.shouldChangePassword ?? false,
      avatar_color: user.avatarColor ?? avatarColorOf(user.email),
      storage_label: storageLabel,
      quota_bytes: user.quotaBytes ?? null,
    })
    .returningAll()
  const row = await orEmailTaken(write.executeTakeFirstOrThrow())
  return describeOwnUser(row, 0)
}

/**
 * Makes whoever else wants to add, change or delete users wait until this transaction is over: the first lock
 * that it takes. Not a lock of the table, for which who holds a row already and writes it next would wait.
 */
export async function lockUsers(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended('app_user', 0))`.execute(tx)
}

/** @throws AppError invalid; deleted users keep their addresses */
export async function refuseTakenEmail(tx: Tx, email: string, exceptUserId: string | null): Promise<void> {
  const row = await tx
    .selectFrom('app_user')
    .select('id')
    .where(sql<string>`lower(email)`, '=', normalizeEmail(email))
    .executeTakeFirst()
  if (row !== undefined && row.id !== exceptUserId) throw emailTaken()
}

/**
 * The unique index decides in the end: a write that does not hold `lockUsers` may have come first.
 * @throws AppError invalid
 */
export async function orEmailTaken<T>(write: Promise<T>): Promise<T> {
  try {
    return await write
  } catch (error) {
    const { code, constraint } = error as { code?: string; constraint?: string }
    if (code === '23505' && constraint === 'app_user_email') throw emailTaken()
    throw error
  }
}

function emailTaken(): AppError {
  const field = { path: ['email'], message: 'Another user of this server has this address', code: 'custom' }
  return new AppError('invalid', 'Email is not available', { fields: [field] })
}

/** As a name of a folder, which is what Immich makes of it; null where nothing is left of it. */
export function normalizeStorageLabel(label: string | null): string | null {
  return label?.replaceAll(/[./?<>\\:*|"\p{Cc}]/gu, '').trim() || null
}

/** @throws AppError invalid */
export async function refuseTakenLabel(
  tx: Tx,
  label: string | null,
  exceptUserId: string | null,
): Promise<void> {
  if (label === null) return
  const row = await tx
    .selectFrom('app_user')
    .select('id')
    .where('storage_label', '=', label)
    .$if(exceptUserId !== null, (query) => query.where('id', '<>', exceptUserId ?? ''))
    .executeTakeFirst()
  if (row === undefined) return
  const field = { path: ['storageLabel'], message: 'Another user of this server has it', code: 'custom' }
  throw new AppError('invalid', 'Storage label already in use by another account', { fields: [field] })
}

/**
 * A colour that stays the same for an address, so that a family's initials differ without anybody choosing.
 */
export function avatarColorOf(email: string): AvatarColor {
  const sum = [...normalizeEmail(email)].reduce((total, letter) => total + letter.charCodeAt(0), 0)
  return AVATAR_COLORS[sum % AVATAR_COLORS.length] ?? 'primary'
}

async function assertMaySignUp(db: Queryable): Promise<void> {
  if (await hasUsers(db))
    throw new AppError('invalid', 'This server has its administrator already: log in instead')
  if (await isBeingRebuilt(db))
    throw new AppError(
      'conflict',
      'This installation is being rebuilt, and its users come back: wait for that to end. glassine catalogue adopt --yes shows how far it is.',
    )
}
