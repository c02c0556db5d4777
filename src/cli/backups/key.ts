import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { confirmKey } from '../../database/backups/installation.ts'
import { KEY_FILE_NAME } from '../../database/backups/key-file.ts'
import type { Database } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { ensureBackupKey, replaceBackupKey } from '../../placement/backups/recipient.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

const NEW = 'new key'

/**
 * Shows the key to a person, who says so before, and says afterwards that it is written down. Never to a pipe
 * or a file: those are kept, and nobody knows for how long. `new`: one is made first, where the other one was
 * lost or may have been seen.
 */
export async function showBackupKey(context: CliContext, options: { new?: boolean }): Promise<ExitCode> {
  const { input, style, print } = context
  if (!input.isTerminal || !context.isTerminal)
    throw new AppError(
      'invalid',
      `The key is shown at a terminal only. It lies in the file ${KEY_FILE_NAME} of the data folder.`,
    )
  return context.withDatabase(async (db, config) => {
    const keyFile = join(config.dataDir, KEY_FILE_NAME)
    if (options.new && !(await makeNewKey(context, db, keyFile))) return EXIT.attention
    const { identity, recipient } = await ensureBackupKey(db, keyFile)
    if (identity === null)
      throw new AppError(
        'not-found',
        `The key is not in this data folder: ${keyFile} is missing. If it was made on another machine, run this there. If the file was lost, put back what you have written down, or have a new key made for the backups from now on: glassine backup key --new`,
      )
    print('Who has this key can read every backup that is made for it; without it nobody can, you neither.')
    if (!isYes(await input.ask('Can nobody else see this screen? Show it (yes/no): '))) return EXIT.attention
    print(
      `\n    ${style.bold(identity)}\n\nIt also lies in ${keyFile}. Write it down, and keep it where a fire here does not reach.`,
    )
    for (const name of bucketsWithOwnKeys(config))
      print(
        `\nThe bucket ${name} is encrypted with a key of yours besides (encryption in the configuration). Without that nobody can read what is there, backups included: keep it in the same place.`,
      )
    if (!isYes(await input.ask('Is it written down (yes/no): '))) return EXIT.attention
    await confirmKey(db, recipient)
    print('Noted. Glassine does not ask again.')
    return EXIT.done
  })
}

function bucketsWithOwnKeys({ storage: { s3, buckets } }: Config): string[] {
  const all = Object.entries({ ...(s3 && { s3 }), ...buckets })
  return all
    .filter(
      ([, { encryption }]) => encryption?.type === 'sse-c' || (encryption?.previousKeys.length ?? 0) > 0,
    )
    .map(([name]) => name)
}

async function makeNewKey({ input, print }: CliContext, db: Database, keyFile: string): Promise<boolean> {
  print(
    'Backups are made for a new key from now on, and the next one at once. Those that exist stay readable with the old key only: keep it for as long as you want to read them.',
  )
  if ((await input.ask(`To make it, type "${NEW}": `)).trim().toLowerCase() !== NEW) {
    print('Nothing was changed.')
    return false
  }
  const { keptAt } = await replaceBackupKey(db, keyFile, (tx) => enqueue(tx, 'back-up-database', {}))
  print(
    [
      'The new key is made; the next backup is for it.',
      ...(keptAt === null ? [] : [`The old key lies in ${keptAt}.`]),
      `Other machines of this installation that have the old ${KEY_FILE_NAME} make no backups until you move it away there.`,
    ].join(' '),
  )
  return true
}

const isYes = (answer: string) => answer.trim().toLowerCase() === 'yes'
