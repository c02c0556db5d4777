import { randomBytes } from 'node:crypto'
import { AppError } from '../errors.ts'
import { createUser } from '../library/users.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'

export type UserOptions = {
  email: string
  name?: string
  admin?: boolean
  passwordStdin?: boolean
  json?: boolean
}

/**
 * Creates a user. The password comes from standard input, or from a person at a terminal who types it twice; with
 * neither it is made up, printed once, and must be changed at the first login.
 */
export async function createUserFromCli(context: CliContext, options: UserOptions): Promise<ExitCode> {
  const { password, isGenerated } = await choosePassword(context, options)
  const user = await context.withDatabase((db) =>
    createUser(db, {
      email: options.email,
      name: options.name ?? options.email.split('@')[0] ?? options.email,
      password,
      isAdmin: options.admin,
      shouldChangePassword: isGenerated,
    }),
  )
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

async function choosePassword(
  { input }: CliContext,
  options: UserOptions,
): Promise<{ password: string; isGenerated: boolean }> {
  if (options.passwordStdin) {
    const password = (await input.readAll()).replace(/\r?\n$/, '')
    if (password === '') throw new AppError('invalid', 'standard input held no password')
    return { password, isGenerated: false }
  }
  if (!input.isTerminal) return { password: randomBytes(12).toString('base64url'), isGenerated: true }
  const password = await input.askHidden('Password: ')
  if ((await input.askHidden('Again: ')) !== password)
    throw new AppError('invalid', 'the two passwords differ')
  return { password, isGenerated: false }
}
