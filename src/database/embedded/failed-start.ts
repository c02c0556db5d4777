/**
 * Why an embedded PostgreSQL does not start, in a sentence with a remedy. Told by codes and by the disk,
 * never by words of a log.
 */
import { rm, statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** With less, PostgreSQL can neither recover nor write down why not. */
const LEAST_FREE_BYTES = 32 * 2 ** 20

/** What a line of the log begins with: its SQLSTATE stands where `readCode` looks. */
export const LOG_LINE_PREFIX = '%m [%p] %e '
const LAST_WORDS = /\[\d+\] ([0-9A-Z]{5}) (?:FATAL|PANIC):/g

/** The SQLSTATE of the last line of a log that says that PostgreSQL ends. */
export function readCode(log: string): string | null {
  return [...log.matchAll(LAST_WORDS)].at(-1)?.[1] ?? null
}

/**
 * The sentence, or null where nothing better is known than the log itself.
 * @param how SQLSTATE of its last words, and its exit code
 */
export async function explainFailedStart(
  { folder, cluster }: { folder: string; cluster: string },
  how: { code: string | null; exitCode: number | null },
): Promise<string | null> {
  const lack = await lackOfRoom(folder)
  if (lack !== null) return lack
  if (how.code === '53100') return `The disk of ${folder} has no room left: free some, then start again.`
  if (how.code === '53200')
    return 'This machine has too little memory for PostgreSQL: end other programs, then start again.'
  if (how.code === '42501')
    return `${folder} belongs to another user, or may not be written: start as its owner, or give it to this user (chown -R).`
  if (!(await takesSockets(cluster))) {
    return (
      `The file system of ${folder} takes no sockets, by which Glassine talks to its PostgreSQL. ` +
      'Put the data folder on a disk of this machine, or set database.url to a PostgreSQL of yours.'
    )
  }
  // 55000 is what it says of a control file whose checksum is wrong.
  if (how.code === '55000' || how.code?.startsWith('XX') || how.code?.startsWith('58')) {
    return (
      `The database in ${folder} is damaged: a file of it is missing or does not hold what it should. ` +
      'Keep a copy of the folder as it is, look after the disk, and put a backup of the folder back.'
    )
  }
  // The dynamic loader's, before the program begins.
  if (how.exitCode === 127)
    return 'A library that PostgreSQL needs is missing on this machine; its log names it. Install it, or set database.url to a PostgreSQL of yours.'
  return null
}

/** The sentence for a disk that is full, or out of inodes; null where it is neither. */
async function lackOfRoom(folder: string): Promise<string | null> {
  const { bavail, bsize } = await statfs(folder)
  const freeBytes = bavail * bsize
  if (freeBytes >= LEAST_FREE_BYTES) return lackOfFiles(folder)
  return `The disk of ${folder} is full (${Math.floor(freeBytes / 2 ** 20)} MiB are free): free some room, then start again. Nothing is lost.`
}

/** The sentence for a disk that is out of inodes: PostgreSQL may start on it, and ends at its next file. */
export async function lackOfFiles(folder: string): Promise<string | null> {
  const { files, ffree } = await statfs(folder)
  // Some file systems make inodes as they need them, and count none.
  if (files === 0 || ffree > 0) return null
  return `The disk of ${folder} can take no more files (it is out of inodes): delete some, then start again.`
}

/** Tries it. The disks of other systems that a virtual machine shows (9p, some FUSE) often take none. */
export async function takesSockets(folder: string): Promise<boolean> {
  const path = join(folder, '.socket.tried')
  await rm(path, { force: true })
  const code = await new Promise<string | undefined>((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    server.listen(path, () => server.close(() => resolve(undefined)))
  })
  return code === undefined || !NO_SOCKETS.has(code)
}

const NO_SOCKETS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'])
