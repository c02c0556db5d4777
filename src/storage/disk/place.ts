import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises'
import { StorageError } from '../backend.ts'
import { codeOf } from './errors.ts'

export type Link = (existing: string, path: string) => Promise<void>

/**
 * Refusals that mean "this file system (or this pair of places) has no hard links": FAT, SMB, many FUSE
 * mounts.
 */
const NO_HARD_LINKS = new Set(['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK', 'EXDEV', 'EINVAL'])

/**
 * Gives a complete, synced file its final name, which must be free (`already-exists`). Where hard links work,
 * one `link` does it and `from` stays; elsewhere an exclusive create reserves the name, then a rename takes
 * it, and `from` is gone. A crash between the two leaves an empty file, which no row calls verified. Returns
 * which it was.
 */
export async function placeFile(from: string, to: string, link: Link): Promise<'linked' | 'moved'> {
  try {
    await link(from, to)
    return 'linked'
  } catch (error) {
    const code = codeOf(error) ?? ''
    if (code === 'EEXIST') {
      // NFS may answer EEXIST to a link that it had made a moment ago, when the first answer got lost.
      if (await isSameFile(from, to)) return 'linked'
      throw takenError(to, error)
    }
    if (!NO_HARD_LINKS.has(code)) throw error
  }
  let reservation: FileHandle
  try {
    reservation = await open(to, 'wx')
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw takenError(to, error)
    throw error
  }
  await reservation.close()
  try {
    await rename(from, to)
  } catch (error) {
    await rm(to, { force: true })
    throw error
  }
  return 'moved'
}

async function isSameFile(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([stat(a), stat(b)])
  return first.ino === second.ino && first.dev === second.dev && first.ino !== 0
}

function takenError(path: string, cause: unknown): StorageError {
  return new StorageError('already-exists', `${path} is taken`, { cause })
}
