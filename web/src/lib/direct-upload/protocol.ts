/** The server's side of a direct upload, as docs/direct-upload.md tells it. Types only. */

import type { AnnounceAnswer } from '../../../../src/library/direct-uploads/announce.ts'
import type { DirectUploadView as DirectUpload } from '../../../../src/library/direct-uploads/rows.ts'
import type { SignedRequest } from '../../../../src/placement/uploads/direct-target.ts'

export type DirectUploadConfig = {
  isAvailable: boolean
  /** Why not, for people. */
  reason: string | null
  /**
   * A page of the origin that was asked about has put something there lately. False: it has to find out with
   * a check.
   */
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

export type { AnnounceAnswer, DirectUpload, SignedRequest }
export type SignedParts = { expiresAt: string; parts: ({ number: number } & SignedRequest)[] }
