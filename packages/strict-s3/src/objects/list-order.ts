/**
 * The order of keys in a listing: that of their UTF-8 bytes, which is not that of JavaScript's UTF-16 units.
 */
import type { ListPosition } from './object-store.ts'

// One byte per UTF-16 unit: ASCII, where both orders agree.
const isAscii = (text: string): boolean => Buffer.byteLength(text) === text.length

/** Negative, 0 or positive, as `sort` wants it. */
export function comparePaths(left: string, right: string): number {
  if (isAscii(left) && isAscii(right)) return left < right ? -1 : left > right ? 1 : 0
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

/** Whether a key comes behind the position. */
export function isBehind(key: string, from: ListPosition): boolean {
  if (from === null) return true
  if ('afterKey' in from) return comparePaths(key, from.afterKey) > 0
  return !key.startsWith(from.afterPrefix) && comparePaths(key, from.afterPrefix) > 0
}

/**
 * Whether keys that begin with `start` may come behind the position; false lets a listing skip a folder
 * unread.
 */
export function mayBeBehind(start: string, from: ListPosition): boolean {
  if (from === null) return true
  if ('afterKey' in from) return from.afterKey.startsWith(start) || comparePaths(start, from.afterKey) > 0
  if (start.startsWith(from.afterPrefix)) return false
  return from.afterPrefix.startsWith(start) || comparePaths(start, from.afterPrefix) > 0
}
