/**
 * Where the strict server keeps what it is given. Two kinds run: `memory-store.ts` and
 * `folder/folder-store.ts`.
 *
 * Words: a *blob* is immutable bytes under an id of ours; a *version* is one state of a key and lists the
 * blobs its bytes are made of (a multipart object keeps its parts as they came, so that completing copies
 * nothing); a *record* is a key with its versions, newest first. A blob belongs to one record or to one
 * unfinished upload, never to two.
 */
import type { ChecksumAlgorithm, ChecksumType } from '../wire/checksums.ts'
import type { Encryption } from './encryption.ts'

export type BlobRef = { id: string; size: number }

export type ObjectVersion = {
  /** `null` (the word) where the bucket is not versioned. */
  versionId: string
  createdAt: string
  deleteMarker: boolean
  size: number
  /** Without quotes; empty for a delete marker. */
  etag: string
  blobs: BlobRef[]
  /** Content-Type and its kin, given back as they came; lower-case names. */
  headers: Record<string, string>
  /** `x-amz-meta-*` without the prefix. */
  metadata: Record<string, string>
  storageClass: string
  checksums: Partial<Record<ChecksumAlgorithm, string>>
  checksumType: ChecksumType
  /**
   * The multipart upload it came from and the part list that completed it: a repeated Complete is answered
   * alike.
   */
  upload?: { id: string; partList: string }
  /** Of an archived object: the last restore that was asked for. */
  restore?: RestoreRecord
  /** Until when it may not be removed (Object Lock). */
  retention?: Retention
  /** Absent: never set. */
  legalHold?: boolean
  /** Absent: AES256. */
  encryption?: Encryption
}

export type Retention = { mode: 'GOVERNANCE' | 'COMPLIANCE'; until: string }

export type RestoreRecord = {
  /** When the temporary copy is there, and when it is gone again. */
  readyAt: string
  expiresAt: string
}

export type KeyRecord = { key: string; versions: ObjectVersion[] }

export type CorsRule = {
  id?: string
  allowedOrigins: string[]
  allowedMethods: string[]
  allowedHeaders: string[]
  exposeHeaders: string[]
  maxAgeSeconds?: number
}

export type BucketRecord = {
  name: string
  createdAt: string
  versioning: 'off' | 'Enabled' | 'Suspended'
  cors: CorsRule[] | null
  /** The XML as it was put, checked for its shape. */
  lifecycle: string | null
  /** Absent or null: without Object Lock. `default`: what a put gets that asks for nothing. */
  objectLock?: { default?: { mode: Retention['mode']; days: number } } | null
}

export type UploadRecord = {
  id: string
  bucket: string
  key: string
  startedAt: string
  headers: Record<string, string>
  metadata: Record<string, string>
  storageClass: string
  checksumAlgorithm: ChecksumAlgorithm | null
  checksumType: ChecksumType | null
  retention?: Retention
  legalHold?: boolean
  encryption?: Encryption
}

export type PartRecord = {
  number: number
  size: number
  etag: string
  uploadedAt: string
  blob: BlobRef
  checksums: Partial<Record<ChecksumAlgorithm, string>>
}

/**
 * Takes the bytes of one blob; `finish` returns when they are safe. Exactly one of `finish` and `discard`
 * ends it.
 */
export type BlobWriter = {
  write(chunk: Buffer): Promise<void> | void
  finish(): Promise<BlobRef>
  discard(): Promise<void>
}

/** Where a listing goes on: behind a key, or behind everything that begins with a prefix. */
export type ListPosition = { afterKey: string } | { afterPrefix: string } | null

export interface ObjectStore {
  listBuckets(): Promise<BucketRecord[]>
  readBucket(name: string): Promise<BucketRecord | undefined>
  writeBucket(bucket: BucketRecord): Promise<void>
  removeBucket(name: string): Promise<void>

  readRecord(bucket: string, key: string): Promise<KeyRecord | undefined>
  /**
   * Replaces the versions of a key by what `change` makes of them (none: the key is gone), one change at a
   * time per key. Durable when it returns; blobs that are listed no longer are removed then. When `change`
   * throws, nothing happened; after another failure the record may be the old or the new one.
   */
  updateRecord(
    bucket: string,
    key: string,
    change: (versions: ObjectVersion[]) => ObjectVersion[] | Promise<ObjectVersion[]>,
  ): Promise<void>
  /** Records in the order of the keys' UTF-8 bytes. */
  records(bucket: string, options: { prefix: string; from: ListPosition }): AsyncIterable<KeyRecord>

  createBlob(): Promise<BlobWriter>
  /** A second blob with the same bytes. */
  copyBlob(blob: BlobRef): Promise<BlobRef>
  /**
   * Removes a blob that was meant for the key, unless its record names it: a change that failed may have been
   * made all the same.
   */
  discardBlob(bucket: string, key: string, blob: BlobRef): Promise<void>
  /** The bytes from `start` to `end`, both inclusive. */
  readBlob(blob: BlobRef, range: { start: number; end: number }): AsyncIterable<Buffer>

  createUpload(upload: UploadRecord): Promise<void>
  /** Parts in the order of their numbers. */
  readUpload(id: string): Promise<{ upload: UploadRecord; parts: PartRecord[] } | undefined>
  /** Adds or replaces a part; false when the upload is gone (the blob is then still the caller's). */
  writePart(id: string, part: PartRecord): Promise<boolean>
  /** Runs `work` while no part is written to the upload and no other `holdUpload` runs. */
  holdUpload<T>(id: string, work: () => Promise<T>): Promise<T>
  /**
   * Forgets the upload and removes the blobs of its parts, except those in `keep` and those that the record
   * of its key names. Call it within `holdUpload`.
   */
  removeUpload(id: string, keep: Set<string>): Promise<void>
  listUploads(bucket: string): Promise<UploadRecord[]>

  /** For tests: changes stored bytes behind the record's back. */
  damageBlob(blob: BlobRef, damage: { flipAt: number } | { truncateTo: number }): Promise<void>
  close(): Promise<void>
}
