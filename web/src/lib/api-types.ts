/**
 * What the server's API answers, as far as this page reads it. The shapes are Immich 3.2.2's; `/storage/*` is
 * Glassine's, and its types are the server's own. Sizes are bytes, durations milliseconds, times ISO 8601.
 */

import type { ReconcileReport } from '../../../src/library/server/reconcile.ts'
import type {
  StorageOverview as StorageStatus,
  UploadsOverview as UploadsInUse,
} from '../../../src/library/server/storage-overview.ts'
import type { AvatarColor } from '../../../src/library/users/avatar-colors.ts'
import type { Preferences as StoredPreferences } from '../../../src/library/users/preferences.ts'
import type { CacheUse } from '../../../src/placement/cache/store.ts'
import type { Amount } from '../../../src/placement/ledger/objects.ts'
import type { PendingMove } from '../../../src/placement/ledger/pending-moves.ts'
import type { ListingStatus as Listing } from '../../../src/placement/listing/listing-runs.ts'
import type { BrowserProbeOffer, BrowserProbeResult } from '../../../src/placement/locations/browser-reach.ts'
import type { ProbeChange } from '../../../src/placement/locations/probe-changes.ts'
import type { StorageHealth as ServerHealth } from '../../../src/placement/reports/degraded.ts'
import type { Receipt as StoredReceipt } from '../../../src/placement/reports/receipt.ts'
import type { LocationStatus } from '../../../src/placement/reports/status.ts'
import type { ReplicaState } from '../../../src/placement/states.ts'
import type { AdoptionReport } from '../../../src/placement/takeover/adoption.ts'
import type { LedgerStatus } from '../../../src/placement/takeover/ledger-status.ts'
import type { BrowserReach, ProbeFinding } from '../../../src/storage/probe-report.ts'

export type ServerConfig = {
  isInitialized: boolean
  loginPageMessage?: string
  trashDays: number
  userDeleteDelay: number
}

export type User = {
  id: string
  email: string
  name: string
  isAdmin: boolean
  shouldChangePassword: boolean
  avatarColor: AvatarColor
  /** '' without a picture. */
  profileImagePath: string
  profileChangedAt: string
  createdAt: string
  quotaSizeInBytes: number | null
  quotaUsageInBytes: number
  /** `deleted`: can be restored for so many days (`userDeleteDelay`); `removing`: no more. */
  status: 'active' | 'deleted' | 'removing'
  deletedAt: string | null
}

/** What everybody may know of another one. */
export type OtherUser = Pick<
  User,
  'id' | 'email' | 'name' | 'avatarColor' | 'profileImagePath' | 'profileChangedAt'
>

/** `version` is of the API; `build` is the server's own name and version, `glassine 0.1.0`. */
export type About = { version: string; build?: string; nodejs?: string }
export type VersionRun = { id: string; version: string; createdAt: string }

/** `updatedAt` is the last use. `expiresAt`: when it ends if it is not used until then. */
export type Session = {
  id: string
  current: boolean
  createdAt: string
  updatedAt: string
  expiresAt: string
  deviceType: string
  deviceOS: string
}

/** Those that this page shows. `archiveSize` in bytes. */
export type Preferences = Pick<StoredPreferences, 'albums' | 'download' | 'ratings'>

/** Of one's own; `total` is both together. */
export type AssetStatistics = { images: number; videos: number; total: number }

export type ApiKey = { id: string; name: string; createdAt: string; permissions: string[] }

/**
 * `ratioSum` is the sum of the aspect ratios of the bucket: Glassine's addition, which makes heights known in
 * advance.
 */
export type Bucket = { timeBucket: string; count: number; ratioSum?: number }

/** Arrays of equal length, one entry per asset. */
export type BucketColumns = {
  id: string[]
  ownerId: string[]
  ratio: number[]
  isFavorite: boolean[]
  isImage: boolean[]
  thumbhash: (string | null)[]
  fileCreatedAt: string[]
  createdAt: string[]
  localOffsetHours: number[]
  duration: (number | null)[]
  livePhotoVideoId: (string | null)[]
  /** Previews are still to be made: Glassine's addition. */
  isPending?: boolean[]
}

export type TimelineFilter = {
  albumId?: string
  isTrashed?: boolean
  isFavorite?: boolean
  /** Absent: what belongs on the timeline; of an album and of the trash everything. */
  visibility?: 'timeline' | 'archive'
  order?: 'asc' | 'desc'
  orderBy?: 'takenAt' | 'createdAt'
}

export type AssetExif = {
  make?: string | null
  model?: string | null
  lensModel?: string | null
  fNumber?: number | null
  focalLength?: number | null
  iso?: number | null
  exposureTime?: string | null
  fileSizeInByte?: number | null
  exifImageWidth?: number | null
  exifImageHeight?: number | null
  latitude?: number | null
  longitude?: number | null
  city?: string | null
  state?: string | null
  country?: string | null
  description?: string | null
  rating?: number | null
  dateTimeOriginal?: string | null
  timeZone?: string | null
}

/** `rating` 1 to 5, null for none; the place in degrees; the time as the local wall clock with its offset. */
export type AssetChange = {
  isFavorite?: boolean
  visibility?: 'timeline' | 'archive'
  description?: string
  rating?: number | null
  latitude?: number
  longitude?: number
  dateTimeOriginal?: string
  /** Of several at once: minutes to move each by. */
  dateTimeRelative?: number
}

export type Asset = {
  id: string
  type: 'IMAGE' | 'VIDEO' | 'AUDIO' | 'OTHER'
  originalFileName: string
  originalMimeType?: string
  fileCreatedAt: string
  /** When it came here. */
  createdAt: string
  localDateTime: string
  ownerId: string
  /** The moving part of a live photo. */
  livePhotoVideoId?: string | null
  isFavorite: boolean
  isTrashed: boolean
  visibility?: 'timeline' | 'archive' | 'hidden' | 'locked'
  thumbhash: string | null
  duration: number | null
  width: number | null
  height: number | null
  exifInfo?: AssetExif
  /** Why previews could not be made, for people. Glassine's addition. */
  processingError?: string | null
  /**
   * Browsers play another encoding of this video than the original. Glassine's addition; where one asset is
   * read.
   */
  hasEncodedVideo?: boolean
}

export type Album = {
  id: string
  albumName: string
  description: string
  assetCount: number
  albumThumbnailAssetId: string | null
  startDate?: string
  endDate?: string
  createdAt: string
  updatedAt: string
  order: 'asc' | 'desc'
  shared: boolean
  /** The owner first. */
  albumUsers: { role: 'owner' | 'editor' | 'viewer'; user: OtherUser }[]
}

/** Of the whole server; bytes of originals. */
export type ServerStatistics = {
  photos: number
  videos: number
  usage: number
  usageByUser: { userId: string; photos: number; videos: number; usage: number }[]
}

export type { NotificationResponse as Notification } from '../../../src/library/notifications/notifications.ts'
export type {
  AdoptionReport,
  Amount,
  BrowserProbeOffer,
  BrowserProbeResult,
  BrowserReach,
  CacheUse,
  LedgerStatus,
  Listing,
  LocationStatus as StorageLocation,
  PendingMove,
  ProbeChange,
  ProbeFinding,
  ReconcileReport,
  ReplicaState,
  StorageStatus,
  UploadsInUse,
}
export type OriginalsState = StorageStatus['originals']
export type Paste = NonNullable<ProbeFinding['paste']>[number]
export type BlockedWhy = NonNullable<BrowserReach['why']>

/** `places`, `atRisk`: for administrators only. */
export type StorageHealth = Omit<ServerHealth, 'places'> & {
  places?: ServerHealth['places']
  atRisk?: number
}
export type PlaceInTrouble = ServerHealth['places'][number]

export type Receipt = StoredReceipt & { sha1?: string }

export type RestoreTier = 'bulk' | 'standard' | 'expedited'
export type Archive = {
  state: 'available' | 'archived' | 'restoring' | 'restored'
  storageClass: string | null
  expectedAt: string | null
  availableUntil: string | null
  days: number
  options: RestoreOption[]
}

/** Of a zip that the browser downloads by itself. */
export type ArchiveProgress = {
  state: 'waiting' | 'running' | 'done' | 'failed' | 'cancelled'
  sentBytes: number
  totalBytes: number
  error: string | null
}

export type RestoreOption = {
  tier: RestoreTier
  expectedMinutes: number | null
  price: { amount: number; currency: string; asOf: string } | null
}

/** Whose archived originals: an album's, or some photographs'. */
export type Restorees = { albumId: string } | { assetIds: readonly string[] }

/**
 * What a restore of many means, or meant. Archived and not being restored are `count` and `notOffered`
 * together.
 */
export type RestorePlan = {
  total: number
  count: number
  notOffered: number
  expectedMinutes: number | null
  restoring: number
  expectedAt: string | null
  restored: number
  availableUntil: string | null
  options: (RestoreOption & { count: number; bytes: number })[]
}

export type JobQueue = {
  jobCounts: {
    active: number
    waiting: number
    delayed: number
    failed: number
    paused?: number
    completed?: number
  }
  queueStatus: { isActive: boolean; isPaused: boolean }
}

export type { ReadingStatus } from '../../../src/library/processing/reading-status.ts'
export type {
  Failure,
  StorageFailures,
  UnreadableGroup,
} from '../../../src/library/server/storage-failures.ts'
