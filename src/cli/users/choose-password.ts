import { randomBytes } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { CliContext } from '../context.ts'

/**
 * From standard input, or from a person at a terminal who types it twice; with neither it is made up.
 * @throws AppError invalid where there is none, or the two differ
 */
export async function choosePassword(
  { input }: CliContext,
  options: { passwordStdin?: boolean },
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
