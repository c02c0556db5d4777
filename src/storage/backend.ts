/**
 * What every kind of location can do. Bytes in, bytes out; no asset, no table, no policy.
 *
 * Words: an *object key* names bytes at a location and is used once, ever. A *body* is re-openable, so that a
 * retry starts from the first byte. A *digest* is of the whole object, in lower-case hex.
 * Names that begin with a dot at the root of a location are its own (marker, incoming, probe): never listed.
 *
 * Every backend and every decorator passes `tests/contract/storage-suite.ts`.
 */
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'

declare const objectKeyBrand: unique symbol
/** The name of bytes at a location: `/`-separated, ASCII letters, digits, `-`, `_`, `.`. Made in `placement/keys.ts` only. */
export type ObjectKey = string & { readonly [objectKeyBrand]: 'ObjectKey' }

export type DigestAlgorithm = 'sha256' | 'md5' | 'crc64nvme' | 'crc32'
/** A digest of all the bytes of an object; `value` is lower-case hex. */
export type Digest = { algorithm: DigestAlgorithm; value: string }

/** Inclusive, as in HTTP. `end` absent: to the last byte. Suffix ranges are resolved above, where the size is known. */
export type ByteRange = { start: number; end?: number }

/**
 * Bytes to put. `open` may be called several times and gives the same bytes each time; with a range only those.
 * `digests` must hold the SHA-256; a backend refuses (kind `corrupt`) and stores nothing when the bytes differ from it.
 */
export type Body = {
  size: number
  digests: Digest[]
  open(range?: ByteRange): Readable
  /**
   * The same bytes as a file, where they are one: read in large pieces into a buffer of the backend's own, which
   * takes 3 CPU-seconds per GB less than a stream in pieces of 64 KiB. Made by `fileBody`.
   */
  openFile?(): Promise<FileHandle>
}

/**
 * What a location holds under a key.
 * `attested` are digests of the whole object that the location itself computed over what it holds, and which the
 * probe saw to be true (an S3 ETag that is the MD5, a checksum header): evidence for proof level 3. Never an echo of
 * what we sent. `etag` is opaque, without quotes.
 */
export type ObjectInfo = {
  key: ObjectKey
  size: number
  modifiedAt: Date
  etag?: string
  attested: Digest[]
  storageClass?: string
}

/** What the probe found out about a location; see `probe` of each backend. `null`: not known, count as no. */
export type Features = {
  /** A second put to one key is refused by the location itself (If-None-Match, hard link). */
  conditionalPut: boolean | null
  /** The same when the object arrives in parts (If-None-Match on CompleteMultipartUpload; Ceph ignores it). */
  conditionalComplete: boolean | null
  /** A put whose declared digest differs from its bytes is refused by the location (proof level 2). */
  enforcedDigests: DigestAlgorithm[]
  /** The location reports a digest of the whole object that it computed itself (proof level 3). */
  attestedDigests: DigestAlgorithm[]
  /** The ETag of a multipart object is MD5(MD5s of parts)-count, so that it attests to the whole (proof level 3). */
  multipartEtagIsMd5OfParts: boolean | null
  /** Largest object of a single put, in bytes. */
  maxPutBytes: number
  /** Present where the location can be written to by several parts. */
  multipart: { partBytes: number; maxParts: number } | null
}

export type GetOptions = { range?: ByteRange; signal?: AbortSignal }
export type PutOptions = {
  contentType?: string
  storageClass?: string
  signal?: AbortSignal
  onProgress?(bytesSent: number): void
}
/**
 * What a later HEAD alone can be compared with; plain JSON, stored beside the replica. `md5`: of the whole object,
 * lower-case hex, of a body that went in one put. `etag`: as the location reported it, lower case, no quotes.
 * `partBytes`, `parts`: how a multipart object was cut, so that its ETag can be recomputed from another copy.
 */
export type Evidence = { etag?: string; md5?: string; crc64nvme?: string; partBytes?: number; parts?: number }

export type PutResult = ObjectInfo & {
  /**
   * How the put itself speaks for the bytes: `enforced`, the location checked the declared digest (level 2);
   * `attested`, it also reports a digest of its own that equals what was sent, computed in the same pass as the
   * SHA-256 (level 3); `none`, it only said yes.
   */
  proof: 'none' | 'enforced' | 'attested'
  evidence: Evidence
}

export interface StorageBackend {
  /** From the last probe; cautious defaults until then. */
  readonly features: Features
  /** Takes what a probe found, now or earlier (a stored report). */
  useFeatures(features: Features): void
  /** Null when nothing is held under the key. */
  head(key: ObjectKey, options?: { signal?: AbortSignal }): Promise<ObjectInfo | null>
  /**
   * Throws `not-found`; `corrupt` for a range that begins past the last byte (the object is shorter than the caller
   * believes), while an `end` past it is cut. `size` is of the whole object. The caller must read the stream to its
   * end or destroy it; destroying frees the connection at once. A stream that cannot be completed ends in an error
   * (`unavailable`), never in a short success.
   */
  get(key: ObjectKey, options?: GetOptions): Promise<ObjectInfo & { stream: Readable }>
  /** Never overwrites (`already-exists`); stores all of the body or nothing; verifies SHA-256 of what it reads on the way. */
  put(key: ObjectKey, body: Body, options?: PutOptions): Promise<PutResult>
  /** An absent key is a success. Any key that could not be deleted makes the whole call fail, after all were tried. */
  delete(keys: ObjectKey[], options?: { signal?: AbortSignal }): Promise<void>
  /** All keys with the prefix, page after page, in no promised order. */
  list(prefix: string, options?: { after?: string; signal?: AbortSignal }): AsyncIterable<ObjectInfo>
  /**
   * The identity that was written to this location, or null where none is (a new location, or a mount that is
   * missing). Kept at a fixed name, `.glassine-location`; like every name that begins with a dot it is never listed.
   */
  readMarker(): Promise<string | null>
  /** Writes the identity; the only call that creates the location's root folder. Overwrites. */
  writeMarker(id: string): Promise<void>
  /** Optional abilities are optional objects, never methods that throw. */
  readonly localFiles?: LocalFiles
  readonly presign?: Presign
  readonly multipart?: Multipart
  close(): Promise<void>
}

/** A location whose objects are files of this machine. */
export type LocalFiles = {
  /** The file's absolute path. Only for a replica that is leased (placement/recall) or being served. */
  path(key: ObjectKey): string
  /**
   * Takes a complete, fsynced file of the same location's staging area into place under the key, without copying
   * where the file system has hard links; fsyncs the folders. `already-exists` when the key is taken. The staged file
   * is left where it is (the caller removes it after commit); with no hard links it is moved.
   */
  adopt(stagedPath: string, key: ObjectKey): Promise<ObjectInfo>
  /** Bytes free for this process on the file system, and its size. */
  space(): Promise<{ freeBytes: number; totalBytes: number }>
}

export type Presign = {
  get(
    key: ObjectKey,
    options: { expiresInSeconds: number; contentType: string; contentDisposition: string },
  ): Promise<string>
  /** Bound to this size and these digests: the location refuses anything else. */
  put(
    key: ObjectKey,
    options: { expiresInSeconds: number; size: number; digests: Digest[]; contentType: string },
  ): Promise<{ url: string; headers: Record<string, string> }>
}

export type Multipart = {
  begin(key: ObjectKey, options?: { contentType?: string }): Promise<{ uploadId: string }>
  presignPart(
    key: ObjectKey,
    part: { uploadId: string; number: number; size: number; md5?: string; expiresInSeconds: number },
  ): Promise<{ url: string; headers: Record<string, string> }>
  listParts(key: ObjectKey, uploadId: string): Promise<{ number: number; size: number; etag: string }[]>
  complete(key: ObjectKey, uploadId: string, parts: { number: number; etag: string }[]): Promise<ObjectInfo>
  abort(key: ObjectKey, uploadId: string): Promise<void>
  listUnfinished(prefix: string): AsyncIterable<{ key: ObjectKey; uploadId: string; startedAt: Date }>
}

/**
 * What a call throws. An aborted call rejects with the signal's reason instead.
 *
 * | kind | meaning | retry |
 * | --- | --- | --- |
 * | not-found | nothing under the key | no |
 * | already-exists | the key is taken | no |
 * | corrupt | the bytes are not what their digest or size says; nothing was stored | no |
 * | denied | credentials or permissions; the message names the action that was refused | no |
 * | too-large | over a limit of the location, or no room left (`message` says which) | no |
 * | unavailable | time-out, 5xx, 429, connection lost, mount gone | yes |
 */
export type StorageErrorKind =
  | 'not-found'
  | 'already-exists'
  | 'corrupt'
  | 'denied'
  | 'too-large'
  | 'unavailable'

export class StorageError extends Error {
  readonly kind: StorageErrorKind

  constructor(kind: StorageErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StorageError'
    this.kind = kind
  }
}

export function isStorageError(error: unknown, kind?: StorageErrorKind): error is StorageError {
  return error instanceof StorageError && (kind === undefined || error.kind === kind)
}

/** One finding of a probe: what was tried, what came back, and, where it is a problem, the remedy. */
export type ProbeFinding = { check: string; ok: boolean; critical: boolean; detail: string; remedy?: string }
/** `features` is what the findings add up to; `latencyMs` is of one small round trip. */
export type ProbeReport = {
  at: Date
  ok: boolean
  latencyMs: number
  features: Features
  findings: ProbeFinding[]
}
