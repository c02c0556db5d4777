import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/connect.ts'
import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { closeCache, openCache } from './cache.ts'
import { type Delivery, PROXY_EVERYTHING } from './deliver.ts'
import { heedDrills } from './drill.ts'
import { confirmLocation } from './locations.ts'
import { makeMediaFolder } from './media-folder.ts'
import { recordHomes } from './moving.ts'
import { DEFAULT_SETTINGS, type Location, type Placement, type PlacementSettings } from './placement.ts'
import type { Policy } from './policy.ts'
import { openRecallRoom } from './recall-room.ts'
import type { ClassPolicy } from './storage-classes.ts'
import { type PriceList, SHIPPED_PRICES } from './storage-prices.ts'

/** How long a start waits for the places that are not this disk. */
const CONFIRM_PATIENCE_MS = 1_000

export type PlacementParts = {
  db: Database
  log: Log
  /** All places that are configured or still hold replicas; one of kind `disk` is named by `localId`. */
  locations: readonly Location[]
  localId: string
  mediaLocation: string
  policy: Policy
  /** Absent: everything stays in the ordinary class. */
  classes?: ClassPolicy
  /** Absent: the list that comes with Glassine. */
  prices?: PriceList
  settings?: Partial<PlacementSettings>
  /** Default: every byte goes through us. */
  delivery?: Delivery
  now?: () => Date
}

/**
 * Wires placement and confirms the media volume: refuses (`conflict`) a media location whose mount is missing rather than
 * write beside it. A bucket that can't be reached at start stops nothing; it is confirmed before the first write to it.
 */
export async function openPlacement(parts: PlacementParts): Promise<Placement> {
  const locations = new Map(parts.locations.map((location) => [location.id, location]))
  const local = locations.get(parts.localId)
  if (!local) throw new AppError('invalid', `no location is named "${parts.localId}"`)
  for (const [kind, ids] of Object.entries(parts.policy)) {
    for (const id of ids) {
      if (!locations.has(id))
        throw new AppError('invalid', `${kind} belongs at "${id}", which is not configured`)
    }
  }
  const placement: Placement = {
    db: parts.db,
    log: parts.log,
    locations,
    local,
    mediaLocation: parts.mediaLocation,
    policy: parts.policy,
    classes: parts.classes ?? {},
    prices: parts.prices ?? SHIPPED_PRICES,
    settings: { ...DEFAULT_SETTINGS, ...parts.settings },
    delivery: parts.delivery ?? PROXY_EVERYTHING,
    recallFolder: join(
      parts.mediaLocation,
      'recall',
      `${hostname()}.${process.pid}.${randomBytes(4).toString('hex')}`,
    ),
    recalled: new Map(),
    recallRoom: openRecallRoom(),
    cache: null,
    confirmedLocations: new Set(),
    featuresOf: new Map(),
    settledAt: null,
    settling: null,
    moving: null,
    now: parts.now ?? (() => new Date()),
  }
  await heedDrills(placement)
  await confirmLocation(placement, local)
  await recordHomes(placement)
  await removeDeadRecallFolders(placement)
  const looked = openCacheFolder(placement)
  const confirming = [...locations.values()]
    .filter((location) => location !== local)
    .map((location) =>
      confirmLocation(placement, location).catch((error: Error) => {
        parts.log.warn({ location: location.id, error: error.message }, 'a location is not usable yet')
      }),
    )
  // One that hangs must not keep the server from starting; it goes on in the background.
  await Promise.race([
    Promise.all([...confirming, looked]),
    sleep(CONFIRM_PATIENCE_MS, undefined, { ref: false }),
  ])
  return placement
}

/** Resolves when what lies in the cache is known; what is there may be served before. */
async function openCacheFolder(placement: Placement): Promise<void> {
  const {
    cacheMaxBytes: maxBytes,
    cacheWholeBytes: wholeBytes,
    cacheChunkBytes: chunkBytes,
  } = placement.settings
  const folder = join(placement.mediaLocation, 'cache')
  if (maxBytes === 0) {
    // Switched off: what is left of it only takes room.
    await rm(folder, { recursive: true, force: true }).catch((error: Error) => {
      placement.log.warn({ folder, error: error.message }, 'the former cache could not be removed')
    })
    return
  }
  placement.cache = openCache({
    folder,
    maxBytes,
    wholeBytes,
    chunkBytes,
    log: placement.log,
    makeFolder: (path) => makeMediaFolder(placement, path),
    space: async () =>
      (await placement.local.backend.localFiles?.space()) ?? {
        freeBytes: Number.POSITIVE_INFINITY,
        totalBytes: 0,
      },
  })
  await placement.cache.scan.isRunning
}

/** Recalled copies belong to a process; one that was killed leaves its folder. */
async function removeDeadRecallFolders(placement: Placement): Promise<void> {
  const parent = join(placement.mediaLocation, 'recall')
  await mkdir(parent, { recursive: true })
  for (const name of await readdir(parent)) {
    const parts = name.split('.')
    const pid = Number(parts.at(-2))
    if (parts.slice(0, -2).join('.') !== hostname() || !Number.isInteger(pid) || isAlive(pid)) continue
    await rm(join(parent, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Gives back what this process holds on the media volume and closes the backends. */
export async function closePlacement(placement: Placement): Promise<void> {
  await rm(placement.recallFolder, { recursive: true, force: true })
  if (placement.cache) await closeCache(placement.cache)
  for (const location of placement.locations.values()) await location.backend.close()
}
