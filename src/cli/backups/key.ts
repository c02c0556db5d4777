import { join } from 'node:path'
import { confirmKey } from '../../database/backups/installation.ts'
import { KEY_FILE_NAME } from '../../database/backups/key-file.ts'
import { AppError } from '../../errors.ts'
import { ensureBackupKey } from '../../placement/backups/recipient.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

/**
 * Shows the key to a person, who says so before, and says afterwards that it is written down. Never to a pipe
 * or a file: those are kept, and nobody knows for how long.
 */
export async function showBackupKey(context: CliContext): Promise<ExitCode> {
  const { input, style, print } = context
  if (!input.isTerminal || !context.isTerminal)
    throw new AppError(
      'invalid',
      `The key is shown at a terminal only. It lies in the file ${KEY_FILE_NAME} of the data folder.`,
    )
  return context.withDatabase(async (db, config) => {
    const keyFile = join(config.dataDir, KEY_FILE_NAME)
    const { identity, recipient } = await ensureBackupKey(db, keyFile)
    if (identity === null)
      throw new AppError(
        'not-found',
        `The key is not in this data folder: ${keyFile} is missing. It was made on another machine, or the file was lost.`,
      )
    print('Who has this key can read every backup of the database; without it nobody can, you neither.')
    if (!isYes(await input.ask('Can nobody else see this screen? Show it (yes/no): '))) return EXIT.attention
    print(
      `\n    ${style.bold(identity)}\n\nIt also lies in ${keyFile}. Write it down, and keep it where a fire here does not reach.`,
    )
    if (!isYes(await input.ask('Is it written down (yes/no): '))) return EXIT.attention
    await confirmKey(db, recipient)
    print('Noted. Glassine does not ask again.')
    return EXIT.done
  })
}

const isYes = (answer: string) => answer.trim().toLowerCase() === 'yes'
