/** The server's side of a direct upload, as docs/direct-upload.md tells it. Types only. */
export type SignedRequest = { url: string; headers: Record<string, string> }

export type DirectUploadConfig = {
  isAvailable: boolean
  /** Why not, for people. */
  reason: string | null
  /** A page of the origin that was asked about has put something there lately. False: it has to find out with a check. */
  isOpenToPage: boolean
  isDemonstration?: boolean
  maxBytes: number
  /** Files up to this size go in one put, and need their MD5 when they are announced. */
  maxSinglePutBytes: number
  maxOpenUploads: number
  maxPartsPerRequest: number
}

export type Announcement = {
  fileName: string
  size: number
  sha256: string
  sha1: string
  md5: string | null
  /** ISO 8601. */
  fileCreatedAt: string
  fileModifiedAt: string
  isFavorite?: boolean
  visibility?: 'timeline' | 'archive' | 'hidden'
  durationMs?: number | null
  livePhotoVideoId?: string | null
}

export type DirectUpload = {
  id: string
  state: 'open' | 'received' | 'done' | 'duplicate' | 'failed' | 'abandoned'
  reason: string | null
  assetId: string | null
  fileName: string
  size: number
  sha256: string
  createdAt: string
  expiresAt: string
  parts: { partBytes: number; count: number } | null
}

export type AskAnswer =
  | { status: 'duplicate'; id: string }
  | (DirectUpload & {
      status: 'created' | 'open'
      put: (SignedRequest & { expiresAt: string }) | null
      present: { number: number; size: number }[]
    })

export type SignedParts = { expiresAt: string; parts: ({ number: number } & SignedRequest)[] }
