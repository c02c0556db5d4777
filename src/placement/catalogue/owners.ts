import { partsOfKey, USERS_PREFIX } from '../keys.ts'
import type { Location } from '../location.ts'

/** Whose originals a location lists, and how many of each: by their keys alone. */
export async function ownersOfOriginals({ backend }: Location): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const { key } of backend.list(USERS_PREFIX)) {
    const parts = partsOfKey(key)
    if (parts?.kind === 'original') counts.set(parts.ownerId, (counts.get(parts.ownerId) ?? 0) + 1)
  }
  return counts
}
