import type { RawBuilder } from 'kysely'
import type { Database } from '../database/connect.ts'
import type { Log } from '../log.ts'
import type { Clock } from '../storage/moment.ts'
import type { BackupSettings } from './backup-settings.ts'
import type { Belonging } from './belonging.ts'
import type { Cache } from './cache/cache.ts'
import type { Delivery } from './delivery-rules.ts'
import type { Location } from './location.ts'
import type { MinCopies, Policy } from './policy.ts'
import type { ClassPolicy } from './storage-classes.ts'
import type { PriceList } from './storage-prices.ts'

export type PlacementSettings = {
  /** How long a local replica stays after the last proof of the others. */
  holdMs: number
  /** After how long trouble that normal work doesn't explain is worth telling somebody. */
  troubleAfterMs: number
  /** False: local originals stay for good. */
  deleteLocalAfterUpload: boolean
  /** The most that recalled copies may take on the media volume. */
  recallMaxBytes: number
  /** How long people wait for the first byte from a location that isn't this disk. */
  answerWithinMs: number
  /**
   * The most that the cache of what was read from a bucket may take on the media volume; 0: there is none.
   */
  cacheMaxBytes: number
  /** Objects up to this size are cached as a whole, larger ones in chunks of the next. */
  cacheWholeBytes: number
  cacheChunkBytes: number
  /**
   * A writer that has not renewed its lease for so long is regarded as dead. It renews the lease four times
   * in that time.
   */
  writeLeaseMs: number
  /** How long a comparison of a location's counter with the ledger's allows writes and removals. */
  counterGoodForMs: number
  /**
   * How long after a start nothing is removed that is older than the start: longer than a comparison and,
   * after it, a permit are good for, so that an installation that used the location until then has noticed.
   */
  removalWaitMs: number
  /**
   * How long a request that was cut off here may still be carried out there. After a start, an old deletion
   * may be on its way to copies in a bucket that are older than the start, so nothing is given up for them.
   */
  lateRequestMs: number
  /**
   * After how long a counter in a bucket that is not the expected one is looked at again, before it is
   * regarded as another ledger's.
   */
  counterDoubtMs: number
  /**
   * How often the counter is advanced while nothing is written; a copied installation waits a little longer
   * before it writes.
   */
  idleAdvanceMs: number
  /** A staged upload that nothing has touched for so long is regarded as abandoned. */
  stagingLeaseMs: number
  /**
   * How often all objects are looked through for ones that are not where they belong; a million take seconds.
   */
  rebalanceIntervalMs: number
  /** How often each location is listed and compared with the ledger. */
  listingIntervalMs: number
  /** How old a file that nothing names must be before it can be given up, and how long a decision is held. */
  collectAgeMs: number
  collectHoldMs: number
  /** Bytes a month that are read again at each disk and folder, and at each bucket; 0: none. */
  scrubDiskBytes: number
  scrubBucketBytes: number
  /** From the beginning of a pass to that of the next one, at least. */
  scrubIntervalMs: number
  /** How old a change may be that is in no catalogue yet; 0: none is kept. */
  catalogueEveryMs: number
  /** How many objects start moving together, and how many jobs for that may wait at a time. */
  rebalanceBatch: number
  rebalanceJobs: number
  /**
   * Campaigns are allowed, and a changed `storage.locations` proposes one instead of moving files at once.
   */
  campaigns: boolean
  /** The users whose files campaigns may move: a share, and those who are named; null: everybody's. */
  rollout: { percent: number; users: readonly string[] } | null
}

/**
 * Configuration and connections that placement's functions work with; made once by `openPlacement`. What one
 * module remembers in this process is that module's alone (`processState`).
 */
export type Placement = {
  db: Database
  log: Log
  locations: ReadonlyMap<string, Location>
  /** The media volume: where uploads arrive and recalled copies lie. */
  local: Location
  /** Its folder. */
  mediaLocation: string
  /** Where files belong now: as configured, without the locations that are drained. */
  policy: Policy
  minCopies: MinCopies
  configured: { policy: Policy; minCopies: MinCopies }
  /** Where single objects belong instead (`wantedPlaces`); read anew every few seconds. */
  belonging: Belonging
  /** Storage classes by kind and age, for the replicas in object storage. */
  classes: ClassPolicy
  prices: PriceList
  settings: PlacementSettings
  delivery: Delivery
  /** This process's own folder for recalled copies. */
  recallFolder: string
  /** Null where `cacheMaxBytes` is 0. */
  cache: Cache | null
  /** Null in tests that make none. */
  backups: BackupSettings | null
  /**
   * True in a statement for an object that no asset is linked to and that the library still waits for: a
   * direct upload, whose own end proves what has arrived.
   */
  isAwaited(objectId: RawBuilder<string>): RawBuilder<boolean>
  now(): Date
  /** For what is good for a limited time only: it also counts the time in which the machine slept. */
  clock: Clock
}

export const DEFAULT_SETTINGS: PlacementSettings = {
  holdMs: 0,
  troubleAfterMs: 24 * 3_600_000,
  deleteLocalAfterUpload: true,
  recallMaxBytes: 20 * 1024 ** 3,
  answerWithinMs: 10_000,
  cacheMaxBytes: 0,
  cacheWholeBytes: 8 * 1024 ** 2,
  cacheChunkBytes: 4 * 1024 ** 2,
  writeLeaseMs: 40_000,
  counterGoodForMs: 60_000,
  removalWaitMs: 120_000,
  lateRequestMs: 3_600_000,
  counterDoubtMs: 3_000,
  idleAdvanceMs: 10 * 60_000,
  stagingLeaseMs: 24 * 3_600_000,
  rebalanceIntervalMs: 3_600_000,
  listingIntervalMs: 24 * 3_600_000,
  collectAgeMs: 30 * 24 * 3_600_000,
  collectHoldMs: 7 * 24 * 3_600_000,
  scrubDiskBytes: 1024 ** 4,
  scrubBucketBytes: 10 * 1024 ** 3,
  scrubIntervalMs: 30 * 24 * 3_600_000,
  catalogueEveryMs: 0,
  rebalanceBatch: 500,
  rebalanceJobs: 1_000,
  campaigns: false,
  rollout: null,
}
