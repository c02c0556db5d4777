/** The file that holds the backup key of this installation. What it says appears in no log and no answer. */
import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'

/** In the data folder. */
export const KEY_FILE_NAME = 'backup-key.txt'
const NO_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EBADF', 'EISDIR']

/** The first line that is no remark: as age itself reads such a file. Null where there is no file. */
export async function readKeyFile(path: string): Promise<string | null> {
  try {
    return keyIn(await readFile(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}

/**
 * Puts the new key where the other one is, which is kept beside it: the older backups open with nothing else.
 * Killed at any point, it can be called again. @returns where the other one lies now; null: there was none
 */
export async function turnToNewKeyFile(
  path: string,
  recipient: string,
  recipientOfOld: string | null,
): Promise<string | null> {
  let kept: string | null = null
  if (recipientOfOld !== null) {
    kept = besideKeyFile(path, recipientOfOld, '')
    await link(path, kept).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    await syncFolder(dirname(path))
  }
  await rename(newKeyFile(path, recipient), path)
  await syncFolder(dirname(path))
  return kept
}

/** Where a new key lies until backups are made for it. */
export function newKeyFile(path: string, recipient: string): string {
  return besideKeyFile(path, recipient, '.new')
}

/** Named by its public half, so that no two keys ever have one name. */
function besideKeyFile(path: string, recipient: string, what: string): string {
  return path.replace(/(\.txt)?$/, `.${recipient.slice(-12)}${what}.txt`)
}

/** Some network file systems refuse to sync a folder; they do it themselves. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!NO_SYNC.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  } finally {
    await handle.close()
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
  // In a container the pid is the same after every start, so what a killed one left would be there again.
  const unfinished = `${path}.${randomBytes(8).toString('hex')}.unfinished`
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
  // The file was synced, and its name was not.
  await syncFolder(dirname(path))
}
