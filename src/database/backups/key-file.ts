/** The file that holds the backup key of this installation. What it says appears in no log and no answer. */
import { link, open, readFile, unlink } from 'node:fs/promises'
import { AppError } from '../../errors.ts'

/** In the data folder. */
export const KEY_FILE_NAME = 'backup-key.txt'

/** The first line that is no remark: as age itself reads such a file. Null where there is no file. */
export async function readKeyFile(path: string): Promise<string | null> {
  try {
    return keyIn(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/** What somebody typed, or a file holds: without remarks, blanks and line breaks. */
export function keyIn(text: string): string {
  const line = text.split('\n').find((one) => one.trim() !== '' && !one.trim().startsWith('#'))
  return (line ?? '').replaceAll(/\s/g, '').toUpperCase()
}

/**
 * On the disk, and as a whole, before anything is encrypted for it. @throws AppError conflict where one is
 */
export async function writeKeyFile(
  path: string,
  { identity, recipient }: { identity: string; recipient: string },
): Promise<void> {
  const text = `# The key of Glassine's database backups. Without it nobody can read them: keep a copy elsewhere.
# public key: ${recipient}
${identity}
`
  const unfinished = `${path}.${process.pid}.unfinished`
  const file = await open(unfinished, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  try {
    // Unlike a rename, it never takes the place of a key that is there.
    await link(unfinished, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new AppError('conflict', `There is a backup key in ${path} already.`, { cause: error })
  } finally {
    await unlink(unfinished)
  }
}
