import { createHash, randomUUID } from 'node:crypto'
import { open, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { HeldCounter } from '../backend.ts'
import { StorageError } from '../backend.ts'
import { COUNTER_NAME } from '../object-key.ts'
import { codeOf } from './errors.ts'
import { syncFolder } from './folders.ts'

/** Null: none is held. Its version is the digest of its text. */
export async function readDiskCounter(root: string): Promise<HeldCounter | null> {
  const path = join(root, COUNTER_NAME)
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    return { text, version: versionOf(text), ageMs: Date.now() - mtimeMs }
  } catch (error) {
    const code = codeOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}

/**
 * A file system has no compare-and-replace: two that write in the same moment are found out at their next
 * comparison.
 */
export async function writeDiskCounter(root: string, text: string, expected: string | null): Promise<string> {
  const held = await readDiskCounter(root)
  if ((held?.version ?? null) !== expected)
    throw new StorageError('already-exists', 'another counter is held than the expected one')
  const temporary = join(root, `${COUNTER_NAME}.${randomUUID()}`)
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, join(root, COUNTER_NAME))
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
  await syncFolder(root)
  return versionOf(text)
}

function versionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
