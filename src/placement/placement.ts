import type { Database } from '../database/connect.ts'
import type { Log } from '../log.ts'
import type { BrowserProbe, ProbeOptions, ProbeReport, StorageBackend } from '../storage/backend.ts'
import type { Breaker } from '../storage/breaker.ts'
import type { Cache } from './cache.ts'
import type { Delivery } from './deliver.ts'
import type { Moving } from './moving.ts'
import type { Policy } from './policy.ts'
import type { RecallRoom } from './recall-room.ts'
import type { ClassPolicy } from './storage-classes.ts'
import type { PriceList } from './storage-prices.ts'

/** A configured place and the code that reaches it. `identity` says which place on earth it is, without secrets. */
export type Location = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  /** For people: a folder, or a bucket and its endpoint. */
  label: string
  identity: string
  /** The demonstration bucket: works, but is no safer than the disk it lies on. */
  isDemonstration: boolean
  /** The configuration says under which address everybody reaches it: its signed URLs are good for every client. */
  hasPublicAddress?: boolean
  /** Whose prices hold there: a name of the price list. Absent: none that is known. */
  provider?: string
  backend: StorageBackend
  /** Stands before the backend of a place that can be away; absent at the media volume. */
  breaker?: Breaker
  probe(options?: ProbeOptions): Promise<ProbeReport>
  /** Where browsers can be given presigned URLs: what a page's own probe needs. The caller closes it. */
  openBrowserProbe?(): Promise<BrowserProbe>
}

export type PlacementSettings = {
  /** How long a local replica stays after the last proof of the others. */
  holdMs: number
  /** False: local originals stay for good. */
  deleteLocalAfterUpload: boolean
  /** The most that recalled copies may take on the media volume. */
  recallMaxBytes: number
  /** So long people wait for the first byte from a place that isn't this disk. */
  answerWithinMs: number
  /** The most that the cache of what was read from a bucket may take on the media volume; 0: there is none. */
  cacheMaxBytes: number
  /** Objects up to this size are cached as a whole, larger ones in chunks of the next. */
  cacheWholeBytes: number
  cacheChunkBytes: number
  /** A writer that has not renewed its lease for so long is taken for dead. It renews four times in that span. */
  writeLeaseMs: number
  /** A staged upload untouched for so long is taken for abandoned. */
  stagingLeaseMs: number
  /** How often all objects are looked through for ones that are not where they belong; a million take seconds. */
  settleIntervalMs: number
  /** Objects that are sent on their way together, and the jobs that may wait for it at a time. */
  settleBatch: number
  settleJobs: number
}

/** The parts that placement's functions work with; made once by `openPlacement`. */
export type Placement = {
  db: Database
  log: Log
  locations: ReadonlyMap<string, Location>
  /** The media volume: where uploads arrive and recalled copies lie. */
  local: Location
  /** Its folder. */
  mediaLocation: string
  policy: Policy
  /** Storage classes by kind and age, for the replicas in object storage. */
  classes: ClassPolicy
  prices: PriceList
  settings: PlacementSettings
  delivery: Delivery
  /** This process's own folder for recalled copies. */
  recallFolder: string
  /** Recalled copies of this process, by object id. */
  recalled: Map<string, RecalledFile>
  recallRoom: RecallRoom
  /** Null where `cacheMaxBytes` is 0. */
  cache: Cache | null
  /** Locations whose marker this process has seen to be the recorded one. */
  confirmedLocations: Set<string>
  /** When the probe was made whose features this process works by, in milliseconds, by location. */
  featuresOf: Map<string, number>
  /** When this process last looked through all objects for ones that are not where they belong. */
  settledAt: Date | null
  /** A look through all objects that is under way: begun when, and come how far. */
  settling: { beganAt: Date; after: string | null } | null
  /** What was last counted by `movingFiles`, and until when, by `performance.now()`, that is good enough. */
  moving: { value: Moving[]; goodUntil: number } | null
  now(): Date
}

/** A copy of an object's bytes in the recall folder. Never counted as a replica, safe to delete when nobody uses it. */
export type RecalledFile = {
  objectId: string
  path: string
  size: number
  users: number
  lastUsedAt: number
  ready: Promise<void>
  /** Of one that is not ready: ends its waiting and its download. */
  filling: AbortController | null
}

export const DEFAULT_SETTINGS: PlacementSettings = {
  holdMs: 0,
  deleteLocalAfterUpload: true,
  recallMaxBytes: 20 * 1024 ** 3,
  answerWithinMs: 10_000,
  cacheMaxBytes: 0,
  cacheWholeBytes: 8 * 1024 ** 2,
  cacheChunkBytes: 4 * 1024 ** 2,
  writeLeaseMs: 40_000,
  stagingLeaseMs: 24 * 3_600_000,
  settleIntervalMs: 3_600_000,
  settleBatch: 500,
  settleJobs: 1_000,
}
