/**
 * What the server's API answers, as far as this page reads it. The shapes are Immich 3.2.2's; `/storage/*` is Glassine's.
 * Sizes are bytes, durations milliseconds, times ISO 8601.
 */

export type ServerConfig = { isInitialized: boolean; loginPageMessage?: string; trashDays: number }

export type User = {
  id: string
  email: string
  name: string
  isAdmin: boolean
  shouldChangePassword: boolean
}

export type ApiKey = { id: string; name: string; createdAt: string; permissions: string[] }

/** `ratioSum` is the sum of the aspect ratios of the bucket: Glassine's addition, which makes heights known in advance. */
export type Bucket = { timeBucket: string; count: number; ratioSum?: number }

/** Arrays of equal length, one entry per asset. */
export type BucketColumns = {
  id: string[]
  ratio: number[]
  isFavorite: boolean[]
  isImage: boolean[]
  thumbhash: (string | null)[]
  fileCreatedAt: string[]
  localOffsetHours: number[]
  duration: (number | null)[]
}

export type SheetFilter = { albumId?: string; isTrashed?: boolean; isFavorite?: boolean }

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
  timeZone?: string | null
}

export type Asset = {
  id: string
  type: 'IMAGE' | 'VIDEO' | 'AUDIO' | 'OTHER'
  originalFileName: string
  originalMimeType?: string
  fileCreatedAt: string
  localDateTime: string
  isFavorite: boolean
  isTrashed: boolean
  visibility?: string
  thumbhash: string | null
  duration: number | null
  width: number | null
  height: number | null
  exifInfo?: AssetExif
  /** Why previews could not be made, for people. Glassine's addition. */
  processingError?: string | null
}

export type Album = {
  id: string
  albumName: string
  description: string
  assetCount: number
  albumThumbnailAssetId: string | null
  startDate?: string
  endDate?: string
  updatedAt: string
}

export type Amount = { count: number; bytes: number }

export type OriginalsState = {
  total: Amount
  localOnly: Amount
  both: Amount
  offloaded: Amount
  atRisk: Amount
  inFlight: Amount
}

/** Something to copy and paste: a policy, a rule, a command. */
export type Paste = { title: string; text: string }

export type ProbeFinding = {
  check: string
  ok: boolean
  critical: boolean
  detail: string
  remedy?: string
  paste?: Paste[]
}

/** What a probe found different from the one before. */
export type ProbeChange = {
  id: number
  what: string
  before: boolean
  after: boolean
  isWeaker: boolean
  foundAt: string
}

export type BlockedWhy = 'cors' | 'policy' | 'mixed' | 'unreachable' | 'refused' | 'incomplete'

/** Whether pages of that origin reach the bucket by themselves. */
export type BrowserReach = {
  origin: string
  at: string
  reach: 'reachable' | 'blocked'
  why: BlockedWhy | null
  /** What uploads need works, also where the rest is blocked. */
  canUpload: boolean
  detail: string
  remedy?: string
  paste?: Paste[]
}

/** `why` null: it put, saw the ETag, and got a part of it back. `canUpload`: at least it put, and was told that it had. */
export type BrowserProbeResult = { why: BlockedWhy | null; canUpload: boolean; detail: string }

/** What this page is to try; `body` is in base64. */
export type BrowserProbeOffer = {
  id: string
  locationId: string
  label: string
  body: string
  put: { url: string; headers: Record<string, string> }
  get: { url: string }
}

export type StorageLocation = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  label: string
  isDemonstration: boolean
  health: 'healthy' | 'unhealthy' | 'unknown'
  error: string | null
  healthChangedAt: string | null
  drill: { startedAt: string; endsAt: string } | null
  lastProbeAt: string | null
  latencyMs: number | null
  oldestProofAt: string | null
  objects: Amount
  freeBytes: number | null
  totalBytes: number | null
  findings: ProbeFinding[]
  changes: ProbeChange[]
  browserReach: BrowserReach[]
}

/** Files that belong at a place since the configuration changed, and are not there yet. */
export type Moving = { to: string; label: string; count: number; bytes: number }

export type UploadStrategy = 'local-first' | 's3-first'

/** By which strategy uploads go; `direct`: whether clients may put originals straight into the bucket, null: switched off. */
export type UploadsInUse = {
  strategy: UploadStrategy
  rollout: {
    strategy: UploadStrategy
    percent: number
    namedUsers: number
    chosenUsers: number
    users: number
  } | null
  direct: { isOffered: boolean; reason: string | null } | null
}

export type CacheUse = {
  files: number
  bytes: number
  maxBytes: number
  /** Less than `maxBytes` while the volume is nearly full. */
  limitBytes: number
  isCounted: boolean
}

export type StorageStatus = {
  originals: OriginalsState
  locations: StorageLocation[]
  moving: Moving[]
  uploads: UploadsInUse
  cache: CacheUse | null
}

export type PlaceInTrouble = {
  id: string
  label: string
  since: string | null
  error: string | null
  isAway: boolean
  drillEndsAt: string | null
}

/** `places`: for administrators only. */
export type StorageHealth = {
  isDegraded: boolean
  since: string | null
  message: string | null
  works: string[]
  waits: string[]
  places?: PlaceInTrouble[]
}

export type ReplicaState = 'writing' | 'verified' | 'suspect' | 'evicting'

export type Receipt = {
  sha256: string
  sha1?: string
  size: number
  replicas: {
    location: string
    locationKind: string
    key: string
    state: ReplicaState
    proofLevel: number | null
    verifiedAt: string | null
    storageClass: string | null
  }[]
}

export type RestoreTier = 'bulk' | 'standard' | 'expedited'
export type Archive = {
  state: 'available' | 'archived' | 'restoring' | 'restored'
  storageClass: string | null
  expectedAt: string | null
  availableUntil: string | null
  days: number
  options: RestoreOption[]
}

export type RestoreOption = {
  tier: RestoreTier
  expectedMinutes: number | null
  price: { amount: number; currency: string; asOf: string } | null
}

/** Whose archived originals: an album's, or some photographs'. */
export type Restorees = { albumId: string } | { assetIds: readonly string[] }

/** What a restore of many means, or meant. Archived and not being restored are `count` and `notOffered` together. */
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

export type JobFailure = {
  job: string
  payload: { assetId?: string; objectId?: string }
  queue: string
  attempt: number
  error: string
  isFinal: boolean
  at: string
}
