import type { Database } from '../database/connect.ts'
import type { Log } from '../log.ts'
import type { ProbeReport, StorageBackend } from '../storage/backend.ts'
import type { Policy } from './policy.ts'

/** A configured place and the code that reaches it. `identity` says which place on earth it is, without secrets. */
export type Location = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  /** For people: a folder, or a bucket and its endpoint. */
  label: string
  identity: string
  /** The demonstration bucket: works, but is no safer than the disk it lies on. */
  isDemonstration: boolean
  backend: StorageBackend
  probe(): Promise<ProbeReport>
}

export type PlacementSettings = {
  /** How long a local replica stays after the last proof of the others. */
  holdMs: number
  /** False: local originals stay for good. */
  deleteLocalAfterUpload: boolean
  /** The most that recalled copies may take on the media volume. */
  recallMaxBytes: number
  /** A writer that has not renewed its lease for so long is taken for dead. It renews four times in that span. */
  writeLeaseMs: number
  /** A staged upload untouched for so long is taken for abandoned. */
  stagingLeaseMs: number
  /** How often all objects are looked through for ones that are not where they belong; a million take seconds. */
  settleIntervalMs: number
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
  settings: PlacementSettings
  /** This process's own folder for recalled copies. */
  recallFolder: string
  /** Recalled copies of this process, by object id. */
  recalled: Map<string, RecalledFile>
  /** Locations whose marker this process has seen to be the recorded one. */
  confirmedLocations: Set<string>
  /** When this process last looked through all objects for ones that are not where they belong. */
  settledAt: Date | null
  now(): Date
}

/** A copy of an object's bytes in the recall folder. Never counted as a replica, safe to delete when nobody uses it. */
export type RecalledFile = {
  path: string
  size: number
  users: number
  lastUsedAt: number
  ready: Promise<void>
}

export const DEFAULT_SETTINGS: PlacementSettings = {
  holdMs: 0,
  deleteLocalAfterUpload: true,
  recallMaxBytes: 20 * 1024 ** 3,
  writeLeaseMs: 40_000,
  stagingLeaseMs: 24 * 3_600_000,
  settleIntervalMs: 3_600_000,
}
