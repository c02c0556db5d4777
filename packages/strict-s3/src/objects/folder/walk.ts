/**
 * The records of a bucket's folder in the order of their keys, read folder by folder: memory does not grow
 * with the bucket.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { comparePaths, isBehind, mayBeBehind } from '../list-order.ts'
import type { KeyRecord, ListPosition } from '../object-store.ts'
import { isErrno, readJson } from './files.ts'
import { readName } from './paths.ts'

/**
 * Not yet visited. `text` is a record's key, or what all keys in a folder begin with: never more than any of
 * them.
 */
type Pending = { path: string; text: string; isRecord: boolean }

/** Records read at once: a listing waits for the disk most of its time. */
const readAhead = 16

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    // Removed between its parent's reading and its own: its last key was deleted.
    if (isErrno(error, 'ENOENT')) return []
    throw error
  }
}

/**
 * Visits what is pending in the order of `text`, so that every key comes when nothing smaller can come any
 * more. No recursion: a key may lie a thousand folders deep.
 */
export async function* walkRecords(
  keysFolder: string,
  { prefix, from }: { prefix: string; from: ListPosition },
): AsyncIterable<KeyRecord> {
  const isWanted = ({ text, isRecord }: Pending): boolean =>
    isRecord
      ? text.startsWith(prefix) && isBehind(text, from)
      : (text.startsWith(prefix) || prefix.startsWith(text)) && mayBeBehind(text, from)
  const lastFirst = (a: Pending, b: Pending): number => comparePaths(b.text, a.text)

  const pending: Pending[] = [{ path: keysFolder, text: '', isRecord: false }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (next.isRecord) {
      const batch = [next]
      while (batch.length < readAhead && pending.at(-1)?.isRecord) batch.push(pending.pop()!)
      for (const record of await Promise.all(batch.map(({ path }) => readJson<KeyRecord>(path)))) {
        if (record) yield record
      }
      continue
    }
    const folder = next
    const found = (await namesIn(folder.path))
      .map(readName)
      .map(({ name, kind, text }) => ({
        path: join(folder.path, name),
        text: folder.text + text,
        isRecord: kind === 'record',
      }))
      .filter(isWanted)
      .sort(lastFirst)
    // Only the keys of a continued segment may lie between those of its neighbours: `S-…` before `S/…`, `Sa`
    // behind it.
    const overlaps = found[0] && pending.length > 0 && comparePaths(found[0].text, pending.at(-1)!.text) > 0
    for (const entry of found) pending.push(entry)
    if (overlaps) pending.sort(lastFirst)
  }
}
