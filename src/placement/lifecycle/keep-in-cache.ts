import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ObjectKind } from '../../database/schema.ts'
import { unitAt } from '../cache/cache.ts'
import { forgetObject, storeUnit } from '../cache/store.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { isObjectLive } from '../ledger/replicas.ts'
import type { Placement } from '../placement.ts'

/** What people see first of a new photo. */
const KINDS: readonly ObjectKind[] = ['thumbnail', 'preview', 'profile-image']
/**
 * Older ones are moved because a place was changed: whole libraries, of which nobody is looking at more than
 * a little.
 */
const FRESH_MS = 24 * 3_600_000

/**
 * Called right before a local replica is removed: keeps the bytes of a fresh picture in the cache, so that
 * the first look at it costs no request. Never throws: without it, that look costs one.
 */
export async function keepInCache(placement: Placement, object: StoredObject, local: Replica): Promise<void> {
  const { cache } = placement
  const files = placement.local.backend.localFiles
  if (!cache || !files || local.locationId !== placement.local.id) return
  const isFresh = placement.now().getTime() - object.createdAt.getTime() < FRESH_MS
  if (!KINDS.includes(object.kind) || !isFresh || object.size === 0 || object.size > cache.wholeBytes) return
  try {
    const bytes = await readFile(files.path(local.key))
    if (createHash('sha256').update(bytes).digest('hex') !== object.sha256) return
    await storeUnit(cache, unitAt(cache, object, 0), bytes)
    // Purged meanwhile: what that removed came back.
    if (!(await isObjectLive(placement.db, object.id))) await forgetObject(cache, object)
  } catch (error) {
    placement.log.warn(
      { objectId: object.id, error: (error as Error).message },
      'a fresh picture could not be kept in the cache',
    )
  }
}
