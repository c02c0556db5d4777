import { mkdir, open, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf } from './errors.ts'

/**
 * Makes a folder's entries survive a power cut. Some network file systems refuse to sync a folder; they do it
 * themselves.
 */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } catch (error) {
    if (!['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'EBADF', 'EISDIR'].includes(codeOf(error) ?? '')) throw error
  } finally {
    await handle.close()
  }
}

export type Folders = {
  /**
   * Makes `relative` (`/`-separated) below the root, never the root itself; each new entry is durable on
   * return.
   */
  ensure(relative: string): Promise<string>
  /**
   * Removes folders that became empty, from `relative` up to, not including, the root. Races with `ensure`
   * safely.
   */
  prune(relative: string): Promise<void>
}

/**
 * Folders below one root. The root is never made here: where it is missing, a mount is missing, and writing
 * beside it would hide the bytes once the mount is back.
 */
export function openFolders(root: string): Folders {
  // A call that finds a folder which another call is just making must wait until its entry is durable, too.
  const inTheMaking = new Map<string, Promise<void>>()

  async function make(path: string): Promise<void> {
    try {
      await mkdir(path)
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return
      throw error
    }
    await syncFolder(dirname(path))
  }

  function makeOnce(path: string): Promise<void> {
    let making = inTheMaking.get(path)
    if (making === undefined) {
      making = make(path).finally(() => inTheMaking.delete(path))
      inTheMaking.set(path, making)
    }
    return making
  }

  async function ensure(relative: string): Promise<string> {
    const paths: string[] = []
    for (const segment of relative.split('/')) {
      if (segment !== '' && segment !== '.') paths.push(join(paths.at(-1) ?? root, segment))
    }
    const path = paths.at(-1)
    if (path === undefined) return root
    // Those above it are there nearly always: one call instead of one for each.
    try {
      await makeOnce(path)
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      for (const each of paths) await makeOnce(each)
    }
    for (const above of paths.slice(0, -1)) await inTheMaking.get(above)
    return path
  }

  async function prune(relative: string): Promise<void> {
    for (let folder = relative; folder !== '.' && folder !== ''; folder = dirname(folder)) {
      try {
        await rmdir(join(root, folder))
      } catch (error) {
        // Not empty, gone already, or in use: each ends the walk, and an empty folder left behind harms
        // nothing.
        if (['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EBUSY', 'EPERM', 'EACCES'].includes(codeOf(error) ?? ''))
          return
        throw error
      }
    }
  }

  return { ensure, prune }
}
