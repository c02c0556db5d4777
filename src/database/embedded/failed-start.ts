/**
 * Why an embedded PostgreSQL does not start, in a sentence with a remedy. Told by codes and by the disk,
 * never by words of a log.
 */
import { statfs } from 'node:fs/promises'

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
  folder: string,
  how: { code: string | null; exitCode: number | null },
): Promise<string | null> {
  const lack = await lackOfRoom(folder)
  if (lack !== null) return lack
  if (how.code === '53100') return `The disk of ${folder} has no room left: free some, then start again.`
  if (how.code === '53200')
    return 'This machine has too little memory for PostgreSQL: end other programs, then start again.'
  if (how.code === '42501')
    return `${folder} belongs to another user, or may not be written: start as its owner, or give it to this user (chown -R).`
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
  const { bavail, bsize, files, ffree } = await statfs(folder)
  const freeBytes = bavail * bsize
  // Some file systems make inodes as they need them, and count none.
  if (files > 0 && ffree === 0)
    return `The disk of ${folder} can take no more files (it is out of inodes): delete some, then start again.`
  if (freeBytes >= LEAST_FREE_BYTES) return null
  return `The disk of ${folder} is full (${Math.floor(freeBytes / 2 ** 20)} MiB are free): free some room, then start again. Nothing is lost.`
}
