/** The data folder, before anything is written to it: can it be one, and is there an installation in it? */
import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { clusterPaths } from './database/embedded/cluster.ts'
import { AppError } from './errors.ts'

/**
 * Makes the folder where it is missing, and tries whether it can be written.
 *
 * Folder by folder: `mkdir` with `recursive` never ends below /proc (Node 24: 100 s of a whole core for
 * `/proc/x`), since the kernel reports a folder that can't be made there as missing.
 * @throws AppError invalid, with what is wrong and what helps
 */
export async function prepareDataFolder(dataDir: string): Promise<void> {
  try {
    await makeFolders(dataDir)
    await access(dataDir, constants.W_OK | constants.X_OK)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    const why = REASONS[code] ?? `it can't be made or written (${code}): choose a place on a disk`
    const message = `GLASSINE_DATA: ${dataDir}: ${why}, or set GLASSINE_DATA to another folder.`
    throw new AppError('invalid', message, { cause: error })
  }
}

/** What is wrong, and what helps, by the error code of the operating system. */
const REASONS: Record<string, string> = {
  ENOTDIR: 'there is a file where a folder is expected: move it away',
  EACCES: 'this user may not write there: give it to this user (chown -R)',
  EPERM: 'this user may not write there: give it to this user (chown -R)',
  EROFS: 'its disk may only be read: mount it for writing',
  ENOSPC: 'its disk is full, or can take no more files: free some room',
  EDQUOT: "the user's share of its disk is used up: free some room",
  // What /proc says of each new folder.
  ENOENT: 'no folder can be made there: choose a place on a disk',
}

async function makeFolders(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (found?.isDirectory()) return
  if (found !== null) throw Object.assign(new Error(`${path} is a file`), { code: 'ENOTDIR' })
  if (dirname(path) !== path) await makeFolders(dirname(path))
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error // another process was first
  })
}

/**
 * Whether an embedded PostgreSQL was ever set up there. A folder that nobody may look into counts as one:
 * what goes wrong with it says more.
 */
export async function holdsCluster(dataDir: string): Promise<boolean> {
  const found = await stat(clusterPaths(dataDir).cluster).catch((error: NodeJS.ErrnoException) => error)
  return !(found instanceof Error) || !['ENOENT', 'ENOTDIR'].includes(found.code ?? '')
}

/** The message of a command that finds no installation. */
export function noInstallation(where: string, remedy: string): AppError {
  return new AppError('not-found', `There is no installation in ${where}; ${remedy}`)
}
