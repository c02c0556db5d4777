import { isStorageError, StorageError, type StorageErrorKind } from '../backend.ts'
import { messageOf } from '../bytes/read-body.ts'

/** What the system's error codes mean here, and what to do about them. Any other code is `unavailable`. */
const MEANINGS: Record<string, { kind: StorageErrorKind; remedy: string }> = {
  ENOSPC: { kind: 'too-large', remedy: 'the disk is full: free some space or move the media location' },
  EDQUOT: { kind: 'too-large', remedy: 'the disk quota is used up: raise it or free some space' },
  EFBIG: { kind: 'too-large', remedy: 'the file system cannot hold a file of this size' },
  EACCES: { kind: 'denied', remedy: 'give the user that runs Glassine read and write permission' },
  EPERM: { kind: 'denied', remedy: 'the file system does not permit this' },
  EROFS: { kind: 'denied', remedy: 'the file system is mounted read-only' },
  EIO: { kind: 'unavailable', remedy: 'the disk reports an input/output error: check it' },
  ESTALE: { kind: 'unavailable', remedy: 'the network mount is stale: mount it again' },
  ENOTCONN: { kind: 'unavailable', remedy: 'the mount is not connected: mount it again' },
  ENODEV: { kind: 'unavailable', remedy: 'the device is gone: mount it again' },
  EMFILE: { kind: 'unavailable', remedy: 'too many files are open: raise the limit (ulimit -n)' },
  ENFILE: { kind: 'unavailable', remedy: 'the system has too many files open' },
}

/** The system's error code, such as `ENOENT`, or undefined where it is another kind of error. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/** Maps an error of the file system; a `StorageError` passes as it is. `action` completes "… failed". */
export function diskError(error: unknown, action: string): StorageError {
  if (isStorageError(error)) return error
  const code = codeOf(error)
  const meaning = code === undefined ? undefined : MEANINGS[code]
  const message = `${action} failed: ${code ?? messageOf(error)}`
  return new StorageError(meaning?.kind ?? 'unavailable', message, { cause: error, remedy: meaning?.remedy })
}
