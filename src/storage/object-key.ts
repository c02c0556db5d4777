import type { ObjectKey } from './backend.ts'
import { StorageError } from './backend.ts'

const KEY_SHAPE = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9._-]+)*$/
/** S3 allows 1,024 bytes; a location's prefix needs room too. */
const MAX_KEY_CHARACTERS = 900
/** ext4, XFS, APFS and NTFS all stop at 255. */
const MAX_SEGMENT_CHARACTERS = 255

/** Where a location keeps its identity. */
export const MARKER_NAME = '.glassine-location'
/** Where it keeps the counter that it advances together with its ledger. */
export const COUNTER_NAME = '.glassine-counter'
/** Where a bucket notes which keys of ours its files were encrypted with (SSE-C). */
export const KEY_NOTES_FOLDER = '.glassine-encryption-keys/'

/**
 * Every backend asks this first, so that a key that one location takes is taken by all, and none leaves its
 * root. Keys are made by placement from ids, so a refusal here is a bug of ours, not a user's mistake.
 */
export function assertObjectKey(key: string): asserts key is ObjectKey {
  const segments = key.split('/')
  const ok =
    key.length <= MAX_KEY_CHARACTERS &&
    KEY_SHAPE.test(key) &&
    segments.every(
      (segment) => segment !== '.' && segment !== '..' && segment.length <= MAX_SEGMENT_CHARACTERS,
    )
  if (!ok) {
    throw new StorageError('denied', `${JSON.stringify(key.slice(0, 100))} is not an object key`)
  }
}

/** True for the names that a location keeps for itself (marker, incoming, probe); these are never listed. */
export function isReservedName(name: string): boolean {
  return name.startsWith('.')
}

const SURROGATE = /[\ud800-\udfff]/

/**
 * The order of keys everywhere: by their UTF-8 bytes, as S3 lists them and PostgreSQL's collation "C" sorts
 * them.
 */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0
  // Units of UTF-16 sort as the bytes do, but for surrogates.
  if (!SURROGATE.test(a) && !SURROGATE.test(b)) return a < b ? -1 : 1
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
