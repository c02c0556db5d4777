import type { Dirent } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectInfo, ObjectKey } from './backend.ts'
import { codeOf } from './disk-errors.ts'
import { isReservedName } from './object-key.ts'

/** Every file below the root whose key starts with `prefix` and comes after `after`, in byte order of the keys. */
export async function* listFiles(
  root: string,
  { prefix, after, signal }: { prefix: string; after?: string | undefined; signal?: AbortSignal | undefined },
): AsyncGenerator<ObjectInfo> {
  // Only folders on the way to the prefix, or below it, are opened.
  async function* walk(folder: string): AsyncGenerator<ObjectInfo> {
    for (const { name, isFolder } of await entriesOf(join(root, folder))) {
      signal?.throwIfAborted()
      if (folder === '' && isReservedName(name)) continue
      const key = `${folder}${name}`
      if (isFolder) {
        const below = `${key}/`
        const holdsPrefix = below.startsWith(prefix) || prefix.startsWith(below)
        const isBefore = after !== undefined && below < after && !after.startsWith(below)
        if (holdsPrefix && !isBefore) yield* walk(below)
      } else if (key.startsWith(prefix) && (after === undefined || key > after)) {
        const info = await infoOf(root, key)
        if (info !== null) yield info
      }
    }
  }
  yield* walk('')
}

async function entriesOf(path: string): Promise<{ name: string; isFolder: boolean }[]> {
  let entries: Dirent[]
  try {
    entries = await readdir(path, { withFileTypes: true })
  } catch (error) {
    // Removed since its parent was read.
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
  return entries
    .filter((entry) => entry.isDirectory() || entry.isFile())
    .map((entry) => ({ name: entry.name, isFolder: entry.isDirectory() }))
    .sort((a, b) => (sortName(a) < sortName(b) ? -1 : 1))
}

/** A folder sorts as its keys do: `a/b` comes after `a-b`, since `/` comes after `-`. */
function sortName({ name, isFolder }: { name: string; isFolder: boolean }): string {
  return isFolder ? `${name}/` : name
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
