/**
 * What an answer must say of itself to be of the bytes that were proven: all that a part can be compared
 * with.
 */
import { type ObjectInfo, StorageError } from '../../storage/backend.ts'
import type { Replica } from '../ledger/objects.ts'
import type { Location } from '../location.ts'

/** Absent: not compared. `modifiedAtMs` is null where nothing was ever noted, which no file is like. */
export type Expected = { size: number; etag?: string; modifiedAtMs?: number | null }

/**
 * Of a reading that is compared with the SHA-256 in the end (`isWhole`), only what is known to be otherwise
 * counts.
 */
export function expectedOf(
  { kind }: Pick<Location, 'kind'>,
  { size }: { size: number },
  { proof }: Pick<Replica, 'proof'>,
  isWhole: boolean,
): Expected {
  const noted = proof?.modifiedAtMs
  if (kind !== 'disk') return { size, ...(proof?.etag !== undefined && { etag: proof.etag }) }
  if (noted === undefined) return isWhole ? { size } : { size, modifiedAtMs: null }
  return { size, modifiedAtMs: noted }
}

/** A service that names no ETag is asked for none. */
export function isAsExpected(held: ObjectInfo, { size, etag, modifiedAtMs }: Expected): boolean {
  return (
    held.size === size &&
    (etag === undefined || held.etag === undefined || held.etag === etag) &&
    (modifiedAtMs === undefined || held.modifiedAt.getTime() === modifiedAtMs)
  )
}

/** @throws StorageError corrupt */
export function requireExpected(held: ObjectInfo, expected: Expected): void {
  if (!isAsExpected(held, expected))
    throw new StorageError('corrupt', `${held.key} is not what was proven: its size, ETag or time is another`)
}
