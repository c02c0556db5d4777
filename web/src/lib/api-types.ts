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

export type ProbeFinding = { check: string; ok: boolean; critical: boolean; detail: string; remedy?: string }

export type StorageLocation = {
  id: string
  kind: 'disk' | 's3' | 'memory'
  label: string
  isDemonstration: boolean
  health: 'healthy' | 'unhealthy' | 'unknown'
  error: string | null
  lastProbeAt: string | null
  latencyMs: number | null
  oldestProofAt: string | null
  objects: Amount
  freeBytes: number | null
  totalBytes: number | null
  findings: ProbeFinding[]
}

export type StorageStatus = { originals: OriginalsState; locations: StorageLocation[] }

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
  }[]
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
