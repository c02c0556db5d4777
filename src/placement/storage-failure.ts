import { isStorageError } from '../storage/backend.ts'

/**
 * What an error of a location, or of the file system, means to the client of a request: no room is left
 * (`full`), or trying again later helps (`unavailable`). Null: it is neither.
 */
export function storageFailureOf(error: unknown): 'full' | 'unavailable' | null {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOSPC' || code === 'EDQUOT' || isStorageError(error, 'too-large')) return 'full'
  return isStorageError(error, 'unavailable') ? 'unavailable' : null
}
