import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError } from '../backend.ts'
import { MARKER_NAME } from '../object-key.ts'
import { codeOf } from './errors.ts'
import { syncFolder } from './folders.ts'

export type Mount = {
  readMarker(): Promise<string | null>
  writeMarker(id: string): Promise<void>
  /**
   * Throws `unavailable` when the root is missing, or is another file system than the one whose marker was
   * read: the mount is gone, and "no such file" would then be a lie and a write would land beside it. Costs
   * one `stat`.
   */
  assertPresent(): Promise<void>
}

/** Knows whether the root folder is still the place that it was when its marker was read. */
export function watchMount(root: string, { makesRoot }: { makesRoot: boolean }): Mount {
  let seen: { dev: number; ino: number; id: string } | undefined

  async function remember(id: string): Promise<void> {
    const { dev, ino } = await stat(root)
    seen = { dev, ino, id }
  }

  async function readIdentity(): Promise<string | null> {
    try {
      return (await readFile(join(root, MARKER_NAME), 'utf8')).trim()
    } catch (error) {
      const code = codeOf(error)
      if (code === 'ENOENT' || code === 'ENOTDIR') return null
      throw error
    }
  }

  return {
    async readMarker() {
      const id = await readIdentity()
      if (id !== null) await remember(id)
      return id
    },

    async writeMarker(id) {
      if (makesRoot) await mkdir(root, { recursive: true })
      else await assertThere(root)
      const temporary = join(root, `${MARKER_NAME}.${randomUUID()}`)
      const handle = await open(temporary, 'wx')
      try {
        await handle.writeFile(`${id}\n`)
        await handle.sync()
      } finally {
        await handle.close()
      }
      await rename(temporary, join(root, MARKER_NAME))
      await syncFolder(root)
      await remember(id)
    },

    async assertPresent() {
      const now = await assertThere(root)
      if (seen === undefined || (seen.dev === now.dev && seen.ino === now.ino)) return
      const id = await readIdentity()
      if (id !== seen.id) {
        throw new StorageError(
          'unavailable',
          `${root} is no longer the location ${seen.id}: is its disk mounted?`,
        )
      }
      seen = { dev: now.dev, ino: now.ino, id }
    },
  }
}

/** @throws StorageError unavailable: the folder does not exist */
async function assertThere(root: string): Promise<{ dev: number; ino: number }> {
  try {
    return await stat(root)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error
    throw new StorageError('unavailable', `the folder ${root} does not exist: is its disk mounted?`, {
      cause: error,
    })
  }
}
