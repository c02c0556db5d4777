/**
 * Other users of this machine must not see the photos. What Glassine writes is open to its own user alone, by
 * the umask that `bin/` sets; here, folders are closed that an older Glassine, or the person who prepared
 * them, has left open.
 */
import { chmod, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from './log.ts'

/** Files 0600, folders 0700. */
export const PRIVATE_UMASK = 0o077

const OTHERS = 0o077
/** The right that others need on a folder to reach a folder below it that is theirs. */
const PASS = 0o011
/** What Glassine makes on the media volume, which may hold folders of others beside it. */
const MEDIA_FOLDERS = ['users', 'backups', 'staging', 'recall', 'cache', '.incoming']

/**
 * Closes the data folder and the folders at its top, and ours at the top of the media volume: those keep
 * everybody from what lies below, at a cost that does not grow with the library. What belongs to another user
 * can't be closed, and is reported.
 * @param isShared PostgreSQL runs as another user, who has to pass through the data folder
 */
export async function closeToOthers(
  { dataDir, mediaLocation }: { dataDir: string; mediaLocation: string },
  log: Log,
  isShared: boolean,
): Promise<void> {
  await close(dataDir, log, isShared ? PASS : 0)
  for (const entry of await readdir(dataDir, { withFileTypes: true })) {
    // PostgreSQL's own looks after itself (database/embedded/cluster.ts), and may be its own user's.
    if (entry.isDirectory() && entry.name !== 'postgres') await close(join(dataDir, entry.name), log)
  }
  for (const name of MEDIA_FOLDERS) await close(join(mediaLocation, name), log)
}

async function close(folder: string, log: Log, kept = 0): Promise<void> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null // its volume is not mounted yet, or nothing was stored there yet
    throw error
  })
  if (found === null || !found.isDirectory()) return
  const open = found.mode & OTHERS & ~kept
  if (open === 0) return
  if (found.uid !== process.getuid?.()) {
    log.warn(
      { folder },
      'other users of this machine may look into a folder of Glassine, and it belongs to another user: chmod 700',
    )
    return
  }
  await chmod(folder, (found.mode & ~OTHERS & 0o7777) | kept)
  log.info({ folder }, 'closed a folder that other users of this machine could look into')
}
