import { parseSize } from '../../config/size.ts'
import { AppError } from '../../errors.ts'
import { resetPassword } from '../../library/users/set-password.ts'
import { listUsersForAdmin, type OwnUserView, setQuota, userIdOf } from '../../library/users/users.ts'
import { ago } from '../../library/words.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns, type Style } from '../text.ts'
import { choosePassword } from './choose-password.ts'

type Json = { json?: boolean }

/** Everybody who may log in, and who was deleted and is not gone yet; the first account first. */
export async function listUsersFromCli(context: CliContext, options: Json): Promise<ExitCode> {
  const users = await context.withDatabase((db) => listUsersForAdmin(db, { withDeleted: true }))
  context.print(
    options.json ? JSON.stringify(users, null, 2) : describeUsers(users, context.style, new Date()),
  )
  return EXIT.done
}

export function describeUsers(users: readonly OwnUserView[], style: Style, now: Date): string {
  if (users.length === 0) return 'No users yet: open the page, or use glassine users create.'
  return columns(
    [
      ['e-mail', 'name', 'used', 'quota', 'created', ''].map(style.dim),
      ...users.map((user) => [
        user.email,
        user.name,
        bytes(user.quotaUsageInBytes),
        user.quotaSizeInBytes === null ? 'none' : bytes(user.quotaSizeInBytes),
        ago(user.createdAt, now),
        [
          user.isAdmin && 'administrator',
          user.shouldChangePassword && 'has to change the password',
          user.status === 'removing' && 'is being removed',
          user.status === 'deleted' && user.deletedAt && `deleted ${ago(user.deletedAt, now)}`,
        ]
          .filter(Boolean)
          .join(', '),
      ]),
    ],
    [2, 3],
  ).join('\n')
}

/**
 * A new password for somebody who has forgotten theirs; all their sessions end. One that was made up is
 * printed once, and must be changed at the next login.
 */
export async function resetPasswordFromCli(
  context: CliContext,
  email: string,
  options: { passwordStdin?: boolean } & Json,
): Promise<ExitCode> {
  const { user, password, isGenerated } = await context.withDatabase(async (db) => {
    // Before anybody types a password in vain.
    const userId = await userIdOf(db, email)
    const chosen = await choosePassword(context, options)
    await resetPassword(db, userId, chosen.password, { isTemporary: chosen.isGenerated })
    return { user: { id: userId, email }, ...chosen }
  })
  if (options.json) {
    context.print(JSON.stringify({ ...user, ...(isGenerated ? { password } : {}) }, null, 2))
    return EXIT.done
  }
  context.print(`${email} can log in with the new password, and is logged out everywhere else.`)
  if (isGenerated)
    context.print(`Password: ${password}  (to be changed at the next login; it is shown only now)`)
  return EXIT.done
}

/** How much a user may upload in all. What is there already stays, even where it is more. */
export async function setQuotaFromCli(
  context: CliContext,
  email: string,
  size: string,
  options: Json,
): Promise<ExitCode> {
  const quotaBytes = parseQuota(size)
  const user = await context.withDatabase(async (db) => setQuota(db, await userIdOf(db, email), quotaBytes))
  if (options.json) context.print(JSON.stringify(user, null, 2))
  else {
    const limit = quotaBytes === null ? 'has no quota' : `may upload ${bytes(quotaBytes)} in all`
    context.print(`${user.email} ${limit}, and uses ${bytes(user.quotaUsageInBytes)}.`)
  }
  return EXIT.done
}

/** @throws AppError invalid where it is neither a size nor `none` */
export function parseQuota(text: string): number | null {
  if (text === 'none') return null
  const size = parseSize(text)
  if (size === null)
    throw new AppError('invalid', `"${text}" is not a size: write one such as 50GiB, or none for no quota`)
  return size
}
