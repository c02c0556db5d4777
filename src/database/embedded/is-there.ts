import { stat } from 'node:fs/promises'

/**
 * Only ENOENT means that nothing is there. `existsSync` also says so of a disk that fails for a moment, and
 * what is made anew then replaces what is there.
 */
export async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
