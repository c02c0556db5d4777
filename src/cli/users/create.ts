import { requireEmail } from '../../library/users/email.ts'
import { createUser } from '../../library/users/users.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { choosePassword } from './choose-password.ts'
import { parseQuota } from './manage.ts'

export type UserOptions = {
  email: string
  name?: string
  admin?: boolean
  quota?: string
  passwordStdin?: boolean
  json?: boolean
}

/**
 * Creates a user. The password comes from standard input, or from a person at a terminal who types it twice;
 * with neither it is made up, printed once, and must be changed at the first login.
 */
export async function createUserFromCli(context: CliContext, options: UserOptions): Promise<ExitCode> {
  const email = requireEmail(options.email, '--email')
  const quotaBytes = options.quota === undefined ? null : parseQuota(options.quota)
  const { password, isGenerated } = await choosePassword(context, options)
  const wish = {
    email,
    name: options.name ?? email.split('@')[0] ?? email,
    password,
    isAdmin: options.admin,
    quotaBytes,
    shouldChangePassword: isGenerated,
  }
  // Somebody may make the first account before the server has ever run.
  const user = await context.withDatabase((db) => createUser(db, wish), { mayCreate: true })
  if (options.json) {
    context.print(JSON.stringify({ ...user, ...(isGenerated ? { password } : {}) }, null, 2))
    return EXIT.done
  }
  context.print(
    context.style.bold(
      `${user.name} <${user.email}> can log in${user.isAdmin ? ', as an administrator' : ''}.`,
    ),
  )
  if (isGenerated)
    context.print(`Password: ${password}  (to be changed at the first login; it is shown only now)`)
  return EXIT.done
}
