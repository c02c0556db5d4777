import { fstatSync, openSync, readlinkSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { AppError } from '../../errors.ts'

/** A folder that this process holds open: whatever is renamed, it stays the same one. */
export type HeldFolder = {
  /** Leads to it for all processes of this user for as long as this one lives, and is short. */
  path: string
  /** False when `path`, by which people know it, leads to another folder, or to none. */
  isAt(path: string): Promise<boolean>
}

/**
 * Opens a folder for good: its number must never come to lead elsewhere, since URLs of databases hold it.
 *
 * The path is `/proc/<pid>/fd/<number>`, of which the kernel makes the open folder itself, not its name. A
 * socket's path has at most 107 bytes, which the name of a data folder may exceed. Elsewhere than on Linux
 * the path is the name.
 */
export function holdFolder(name: string): HeldFolder {
  const number = openSync(name, 'r')
  const { dev, ino } = fstatSync(number, { bigint: true })
  return {
    // The pid as /proc counts it, which may be another one than ours in a container.
    path: process.platform === 'linux' ? `/proc/${readlinkSync('/proc/self')}/fd/${number}` : name,
    async isAt(path) {
      try {
        const found = await stat(path, { bigint: true })
        return found.dev === dev && found.ino === ino
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException
        if (code === 'ENOENT' || code === 'ENOTDIR') return false
        throw error // a disk that fails for a moment
      }
    },
  }
}

/** Of the address that `bind` and `connect` take; macOS has four bytes less. */
const LONGEST_SOCKET_PATH = 103

/** @throws AppError invalid where the path is too long; it never is on Linux. */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) > LONGEST_SOCKET_PATH)
    throw new AppError(
      'invalid',
      `GLASSINE_DATA: ${path} is too long for a socket: choose a folder with a shorter path.`,
    )
}
