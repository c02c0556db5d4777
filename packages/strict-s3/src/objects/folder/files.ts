/** Files that are whole or absent after a crash, and folders that remember them. */
import { mkdir, open, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createKeyLock } from '../key-lock.ts'

export const isErrno = (error: unknown, ...codes: string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code))

export type FolderFiles = {
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>
  /**
   * Puts a JSON file in place, whole: temporary file, fsync, rename, fsync of the folder. Folders are made as
   * needed.
   */
  writeJson(path: string, value: unknown, temporary: string): Promise<void>
  /** Removes a file, then folders above it that are empty, up to `root`. */
  removeAndPrune(path: string, root: string): Promise<void>
}

/** Undefined when there is no such file. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined
    throw error
  }
  return JSON.parse(text) as T
}

export function createFolderFiles(sync: boolean): FolderFiles {
  // Making folders and removing empty ones must not overlap: a folder could go between its making and its
  // use.
  const lock = createKeyLock()
  const syncFolder = async (path: string): Promise<void> => {
    if (!sync) return
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
  return {
    syncFolder,
    async writeJson(path, value, temporary) {
      const folder = dirname(path)
      let firstMade: string | undefined
      try {
        const file = await open(temporary, 'wx')
        try {
          await file.writeFile(JSON.stringify(value))
          if (sync) await file.datasync()
        } finally {
          await file.close()
        }
        firstMade = await lock('folders', async () => {
          const made = await mkdir(folder, { recursive: true })
          await rename(temporary, path)
          return made
        })
      } catch (error) {
        await rm(temporary, { force: true })
        throw error
      }
      await syncFolder(folder)
      if (firstMade === undefined) return
      for (let at = folder; at.length >= firstMade.length; at = dirname(at)) await syncFolder(dirname(at))
    },
    async removeAndPrune(path, root) {
      const left = await lock('folders', async () => {
        await rm(path, { force: true })
        let at = dirname(path)
        for (; at.length > root.length; at = dirname(at)) {
          try {
            await rmdir(at)
          } catch (error) {
            if (isErrno(error, 'ENOTEMPTY', 'EEXIST')) break
            if (!isErrno(error, 'ENOENT')) throw error
          }
        }
        return at
      })
      try {
        await syncFolder(left)
      } catch (error) {
        // Another delete has pruned the folder meanwhile: it makes that durable, and with it this.
        if (!isErrno(error, 'ENOENT')) throw error
      }
    },
  }
}

/** `folder`: its device and inode; absent in a lock of an earlier version. */
type Lock = { pid: number; startedTicks: string | null; folder?: string }

/**
 * One process at a time: a second one would sweep away what the first is receiving. A copy of the folder of a
 * running process is nobody's.
 */
export async function lockFolder(root: string): Promise<() => Promise<void>> {
  const path = join(root, 'lock.json')
  const { dev, ino } = await stat(root, { bigint: true })
  const mine: Lock = {
    pid: process.pid,
    startedTicks: await startedTicks(process.pid),
    folder: `${dev}:${ino}`,
  }
  const held = await readJson<Lock>(path).catch(() => undefined)
  const isOfThisFolder = held?.folder === undefined || held.folder === mine.folder
  if (held && isOfThisFolder && (held.pid !== process.pid || lockedHere.has(path))) {
    const ticks = await startedTicks(held.pid)
    // The same number may be another process by now: on Linux its start time tells.
    const isSame = ticks !== null && (held.startedTicks === null || ticks === held.startedTicks)
    if (isSame)
      throw new Error(`${root} is in use by process ${held.pid}; end it first, or give another folder`)
  }
  lockedHere.add(path)
  const temporary = `${path}.${process.pid}`
  await createFolderFiles(false).writeJson(
    path,
    mine,
    await rm(temporary, { force: true }).then(() => temporary),
  )
  return async () => {
    lockedHere.delete(path)
    await rm(path, { force: true })
  }
}

const lockedHere = new Set<string>()

/**
 * A process's start time in clock ticks since boot; '' where the system has no /proc, null when it is not
 * running.
 */
async function startedTicks(pid: number): Promise<string | null> {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return null
  }
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}
