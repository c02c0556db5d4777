import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectInfo, ObjectKey } from '../backend.ts'
import { compareKeys, isReservedName } from '../object-key.ts'
import { codeOf } from './errors.ts'

/**
 * Names of one folder that are sorted at a time: file systems list them in no order, and a user with a
 * million photos has as many folders side by side. A larger folder is read once more for every so many.
 */
const SORTED_NAMES = 50_000
const OPENDIR_BUFFER = 1_000

/**
 * Every file below the root whose key starts with `prefix` and comes after `after`, in byte order of the
 * keys.
 */
export async function* listFiles(
  root: string,
  {
    prefix,
    after,
    signal,
    sortedNames = SORTED_NAMES,
  }: {
    prefix: string
    after?: string | undefined
    signal?: AbortSignal | undefined
    /** Smaller in tests. */
    sortedNames?: number
  },
): AsyncGenerator<ObjectInfo> {
  // Only folders on the way to the prefix, or below it, are opened.
  async function* walk(folder: string): AsyncGenerator<ObjectInfo> {
    const isWanted = (entry: string) => {
      if (folder === '' && isReservedName(entry)) return false
      const key = `${folder}${entry}`
      if (!isFolderName(entry))
        return key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0)
      const holdsPrefix = key.startsWith(prefix) || prefix.startsWith(key)
      return holdsPrefix && (after === undefined || compareKeys(key, after) > 0 || after.startsWith(key))
    }
    let last: string | undefined
    for (;;) {
      const entries = await smallestEntries(join(root, folder), {
        last,
        isWanted,
        limit: sortedNames,
        signal,
      })
      for (const entry of entries) {
        signal?.throwIfAborted()
        if (isFolderName(entry)) yield* walk(`${folder}${entry}`)
        else {
          const info = await infoOf(root, `${folder}${entry}`)
          if (info !== null) yield info
        }
      }
      if (entries.length < sortedNames) return
      last = entries.at(-1)
    }
  }
  yield* walk('')
}

/**
 * A folder is named with its slash, and so sorts as its keys do: `a/b` comes after `a-b`, since `/` comes
 * after `-`.
 */
const isFolderName = (entry: string) => entry.endsWith('/')

/** Of what is wanted and comes after `last`, the first so many, in order. */
async function smallestEntries(
  path: string,
  {
    last,
    isWanted,
    limit,
    signal,
  }: {
    last: string | undefined
    isWanted: (entry: string) => boolean
    limit: number
    signal: AbortSignal | undefined
  },
): Promise<string[]> {
  let entries: string[] = []
  let greatest: string | undefined
  const keepSmallest = () => {
    entries = entries.sort(compareKeys).slice(0, limit)
    if (entries.length === limit) greatest = entries.at(-1)
  }
  try {
    for await (const dirent of await opendir(path, { bufferSize: OPENDIR_BUFFER })) {
      signal?.throwIfAborted()
      if (!dirent.isDirectory() && !dirent.isFile()) continue
      const entry = dirent.isDirectory() ? `${dirent.name}/` : dirent.name
      if (last !== undefined && compareKeys(entry, last) <= 0) continue
      if (greatest !== undefined && compareKeys(entry, greatest) >= 0) continue
      if (!isWanted(entry)) continue
      entries.push(entry)
      if (entries.length >= 2 * limit) keepSmallest()
    }
  } catch (error) {
    // Removed since its parent was read.
    if (codeOf(error) !== 'ENOENT') throw error
  }
  keepSmallest()
  return entries
}

async function infoOf(root: string, key: string): Promise<ObjectInfo | null> {
  try {
    const { size, mtime } = await stat(join(root, key))
    return { key: key as ObjectKey, size, modifiedAt: mtime, attested: [] }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null
    throw error
  }
}
