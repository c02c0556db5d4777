/**
 * What every kind of location can do. It takes and gives bytes; it knows no asset, no table and no policy.
 *
 * Words: an *object key* names bytes at a location and is used once, ever. A *body* is re-openable, so that a
 * retry starts from the first byte. A *digest* is of the whole object, in lower-case hex. Names that begin
 * with a dot at the root of a location are its own (marker, incoming, probe): never listed.
 *
 * Every backend and every decorator passes `tests/storage/contract/storage-suite.ts`.
 */
import type { FileHandle } from 'node:fs/promises'
import type { Readable } from 'node:stream'

declare const objectKeyBrand: unique symbol
/**
 * The name of bytes at a location: `/`-separated, ASCII letters, digits, `-`, `_`, `.`. Made in
 * `placement/keys.ts` only.
 */
export type ObjectKey = string & { readonly [objectKeyBrand]: 'ObjectKey' }

/**
 * Why bytes are removed. `wrong-bytes`: they were looked at now, and are not the object's. `other-copy`:
 * another verified copy was looked at now and holds them. `decided`: the user decided so, and the location
 * was confirmed to be ours now.
 * `unfinished-parts`: parts of an upload that never became an object.
 */
export type RemovalReason = 'wrong-bytes' | 'other-copy' | 'decided' | 'unfinished-parts'

declare const permitBrand: unique symbol
/**
 * Leave to remove what lies under these keys. Backends remove nothing without one; `removal-permit.ts` makes
 * them.
 */
export type RemovalPermit = {
  readonly [permitBrand]: true
  readonly keys: readonly ObjectKey[]
  readonly reason: RemovalReason
}

export type DigestAlgorithm = 'sha256' | 'md5' | 'crc64nvme' | 'crc32'
/** A digest of all the bytes of an object; `value` is lower-case hex. */
export type Digest = { algorithm: DigestAlgorithm; value: string }

/**
 * Inclusive, as in HTTP. `end` absent: to the last byte. Suffix ranges are resolved above, where the size is
 * known.
 */
export type ByteRange = { start: number; end?: number }

/**
 * Bytes to put. `open` may be called several times and gives the same bytes each time; with a range only
 * those.
 * `digests` must hold the SHA-256; a backend refuses (kind `corrupt`) and stores nothing when the bytes
 * differ from it.
 */
export type Body = {
  size: number
  digests: Digest[]
  open(range?: ByteRange): Readable
  /**
   * The same bytes as a file, where they are one: read in large pieces into a buffer of the backend's own,
   * which takes 3 CPU-seconds per GB less than a stream in pieces of 64 KiB. Made by `fileBody`.
   */
  openFile?(): Promise<FileHandle>
}

/**
 * What a location holds under a key.
 * `attested` are digests of the whole object that the location itself computed over what it holds, and which
 * the probe saw to be true (an S3 ETag that is the MD5, a checksum header): evidence for proof level 3. Never
 * an echo of what we sent. `etag` is opaque, without quotes.
 */
export type ObjectInfo = {
  key: ObjectKey
  size: number
  modifiedAt: Date
  etag?: string
  attested: Digest[]
  /** As the location names it; absent where it names none (S3: STANDARD). */
  storageClass?: string
  /**
   * Of an archived object: how its restore stands; absent where none was asked for, or its copy is gone
   * again.
   */
  restore?: { isOngoing: boolean; availableUntil?: Date }
  /** Of a locked object, as far as we may know it. */
  retention?: Retention
  /** Where the location has versions. */
  versionId?: string
}

/**
 * What stands against a removal: nobody removes it before `until` (null: nothing is set), and nobody at all
 * while it is on hold. `versionId`: the version that this is about, where the location has versions.
 */
export type Retention = { until: Date | null; isOnHold: boolean; versionId?: string }

/** What the probe found out about a location; see `probe` of each backend. `null`: not known, count as no. */
export type Features = {
  /** The location itself refuses a second put to one key (If-None-Match, hard link). */
  conditionalPut: boolean | null
  /** A put with If-Match replaces only what it names, and is refused otherwise. Absent: as null. */
  conditionalReplace?: boolean | null
  /**
   * The same when the object arrives in parts (If-None-Match on CompleteMultipartUpload; Ceph ignores it).
   */
  conditionalComplete: boolean | null
  /** A put whose declared digest differs from its bytes is refused by the location (proof level 2). */
  enforcedDigests: DigestAlgorithm[]
  /** The location reports a digest of the whole object that it computed itself (proof level 3). */
  attestedDigests: DigestAlgorithm[]
  /**
   * The ETag of a multipart object is MD5(MD5s of parts)-count, so that it attests to the whole (proof level
   * 3).
   */
  multipartEtagIsMd5OfParts: boolean | null
  /** Largest object of a single put, in bytes. */
  maxPutBytes: number
  /** Present where the location can be written to by several parts. */
  multipart: { partBytes: number; maxParts: number } | null
  /**
   * A presigned put is carried out, and refused with other bytes, another length or type, under another key,
   * or late.
   */
  presignedPut?: boolean | null
  /** A presigned get answers ranges, with the content type and file name that were signed. */
  presignedGet?: boolean | null
  /** The location copies its own objects (`Copies`). */
  copies?: boolean | null
}

export type GetOptions = { range?: ByteRange; signal?: AbortSignal }
export type PutOptions = {
  contentType?: string
  storageClass?: string
  signal?: AbortSignal
  onProgress?(bytesSent: number): void
}
/**
 * What a later HEAD alone can be compared with; plain JSON, stored beside the replica. `md5`: of the whole
 * object, lower-case hex, of a body that went in one put. `etag`: as the location reported it, lower case, no
 * quotes.
 * `partBytes`, `parts`: how a multipart object was cut, so that its ETag can be recomputed from another copy.
 * `modifiedAtMs`: of a file in a folder, when it was written, in ms; another time says that somebody has
 * touched it.
 */
export type Evidence = {
  etag?: string
  md5?: string
  crc64nvme?: string
  partBytes?: number
  parts?: number
  modifiedAtMs?: number
}

export type PutResult = ObjectInfo & {
  /**
   * How the put itself speaks for the bytes: `enforced`, the location checked the declared digest (level 2);
   * `attested`, it also reports a digest of its own that equals what was sent, computed in the same pass as
   * the SHA-256 (level 3); `none`, it only said yes.
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
   * Throws `not-found`; `corrupt` for a range that begins past the last byte (the object is shorter than the
   * caller believes), while an `end` past it is cut. `size` is of the whole object. The caller must read the
   * stream to its end or destroy it; destroying frees the connection at once. A stream that cannot be
   * completed ends in an error (`unavailable`), never in a short success.
   */
  get(key: ObjectKey, options?: GetOptions): Promise<ObjectInfo & { stream: Readable }>
  /**
   * Never overwrites (`already-exists`); stores all of the body or nothing; verifies SHA-256 of what it reads
   * on the way. When a location has stored an object but reports another digest of it, the object stays
   * there, and the caller must look at it (`corrupt`).
   */
  put(key: ObjectKey, body: Body, options?: PutOptions): Promise<PutResult>
  /**
   * Removes what lies under the keys of the permit. An absent key is a success. Any key that could not be
   * deleted makes the whole call fail, after all were tried. `denied` for a permit that nobody made,
   * `unavailable` for one that is too old: what it rests on is looked at again. `versionId`, of one key:
   * where a deletion of the key alone would only hide it, that version goes. `isOnlyVersion`: no other
   * version of the key goes with it, whatever else a deletion there takes along.
   */
  delete(
    permit: RemovalPermit,
    options?: { signal?: AbortSignal; versionId?: string; isOnlyVersion?: boolean },
  ): Promise<void>
  /** All keys with the prefix, page after page, in no promised order. */
  list(prefix: string, options?: { after?: string; signal?: AbortSignal }): AsyncIterable<ObjectInfo>
  /**
   * The identity that was written to this location, or null where none is (a new location, or a mount that is
   * missing). Kept at a fixed name, `.glassine-location`; like every name that begins with a dot it is never
   * listed.
   */
  readMarker(options?: { signal?: AbortSignal }): Promise<string | null>
  /**
   * Whether a listing of this location shows the marker that `readMarker` reads: one request. Where it does
   * not, its listings are those of another place, or not to be believed.
   */
  listsMarker(options?: { signal?: AbortSignal }): Promise<boolean>
  /** Writes the identity; the only call that creates the location's root folder. Overwrites. */
  writeMarker(id: string): Promise<void>
  /**
   * The counter that this location and the ledger advance together (placement/locations/counter/counter.ts);
   * null: none is there. Kept at a fixed name, `.glassine-counter`.
   */
  readCounter(options?: { signal?: AbortSignal }): Promise<HeldCounter | null>
  /**
   * Replaces the counter if `expected` is the version that is held (null: none is), and gives the new
   * version; `already-exists` where another one is. With `features.conditionalReplace` the location itself
   * compares; else it is read first, and another writer of the same moment is noticed only at the next
   * comparison.
   */
  writeCounter(text: string, expected: string | null): Promise<string>
  /** Optional abilities are optional objects, never methods that throw. */
  readonly localFiles?: LocalFiles
  readonly presign?: Presign
  readonly multipart?: Multipart
  readonly streamingPut?: StreamingPuts
  readonly copies?: Copies
  readonly archive?: Archive
  readonly locks?: Locks
  close(): Promise<void>
}

/** A location whose objects are files of this machine. */
export type LocalFiles = {
  /** The file's absolute path. Only for a replica that is leased (placement/reads/recall) or being served. */
  path(key: ObjectKey): string
  /**
   * Takes a complete, fsynced file of the same location's staging area into place under the key, without
   * copying where the file system has hard links; fsyncs the folders. `already-exists` when the key is taken.
   * The staged file is left where it is (the caller removes it after commit); with no hard links it is moved.
   */
  adopt(stagedPath: string, key: ObjectKey): Promise<ObjectInfo>
  /** Bytes free for this process on the file system, and its size. */
  space(): Promise<{ freeBytes: number; totalBytes: number }>
}

/** The request must have exactly these headers, and is good until it expires. */
export type SignedPut = { url: string; headers: Record<string, string>; expiresAt: Date }

export type Presign = {
  /** Scheme, host and port of all its URLs. */
  origin(): Promise<string>
  /**
   * A URL for one key, whose answer has the headers that are given here. The same URL for the same arguments,
   * whenever it is called, so that browsers may keep what they got under it. `expiresAt` is earlier than
   * asked for where the credentials that it was signed with end before.
   */
  get(
    key: ObjectKey,
    options: {
      /** The signature holds from here on, at most seven days. */
      signedAt: Date
      expiresAt: Date
      contentType: string
      contentDisposition: string
      cacheControl: string
    },
  ): Promise<{ url: string; expiresAt: Date }>
  /**
   * Bound to this size and these digests: the location refuses anything else. `onlyIfAbsent` binds it to
   * If-None-Match too, for a location that was seen to refuse a second put. `expiresAt` as with `get`.
   */
  put(
    key: ObjectKey,
    options: {
      expiresInSeconds: number
      size: number
      digests: Digest[]
      contentType: string
      onlyIfAbsent?: boolean
    },
  ): Promise<SignedPut>
}

/**
 * `version`: names this very content at the location (an ETag); opaque. `ageMs`: since it was written, by the
 * location's own clock, where that tells.
 */
export type HeldCounter = { text: string; version: string; ageMs: number | null }

export type Multipart = {
  /** A put of more than this goes in parts. */
  readonly wholeBytes: number
  begin(
    key: ObjectKey,
    options?: { contentType?: string; signal?: AbortSignal },
  ): Promise<{ uploadId: string }>
  presignPart(
    key: ObjectKey,
    part: { uploadId: string; number: number; size: number; md5?: string; expiresInSeconds: number },
  ): Promise<SignedPut>
  listParts(
    key: ObjectKey,
    uploadId: string,
    options?: { signal?: AbortSignal },
  ): Promise<{ number: number; size: number; etag: string }[]>
  complete(
    key: ObjectKey,
    uploadId: string,
    parts: { number: number; etag: string }[],
    options?: { signal?: AbortSignal },
  ): Promise<ObjectInfo>
  /**
   * Ends an upload whose parts never became an object; that it is gone already is a success. The permit names
   * its key alone.
   */
  abort(permit: RemovalPermit, uploadId: string): Promise<void>
  listUnfinished(prefix: string): AsyncIterable<{ key: ObjectKey; uploadId: string; startedAt: Date }>
}

/**
 * Puts of bodies whose size and digest are known only at their end: parts go up while the rest of them still
 * arrives.
 */
export type StreamingPuts = {
  /** What is no longer than this is put in one piece, when it is all there. */
  readonly partBytes: number
  /**
   * Begins one, of a file that somebody else is appending to. `expectedBytes` is what was announced, null
   * where nothing was; the parts are chosen by it. Tried once: an upload whose answer gets lost stays at the
   * location.
   */
  begin(
    key: ObjectKey,
    options: {
      openFile(): Promise<FileHandle>
      expectedBytes: number | null
      contentType: string
      signal?: AbortSignal
    },
  ): Promise<StreamingPut>
}

/** One writer at a time: each call waits for the one before. */
export type StreamingPut = {
  readonly uploadId: string
  /**
   * Says how many bytes of the file may be read by now: sends every full part of them, and waits while enough
   * parts are under way, so that the sender is not faster than the location. Throws what a part failed with;
   * `too-large` over the most parts.
   */
  advance(availableBytes: number): Promise<void>
  /**
   * The file has all its bytes: sends the rest and makes one object of it, proven as by `put`. `corrupt` when
   * what was sent is not what the body's SHA-256 says; then nothing is stored.
   */
  complete(body: Body, signal?: AbortSignal): Promise<PutResult>
  /** Ends what is under way, and asks the location nothing. */
  stop(): Promise<void>
  /**
   * Stops, and gives the parts back. After `complete` it changes nothing. Throws when the location can't be
   * told.
   */
  abort(): Promise<void>
}

/** A location that copies its own objects without sending their bytes. */
export type Copies = {
  /**
   * Makes another object of the same bytes. `to` must be fresh. `size` is the source's; `partBytes`: how it
   * was cut, where it was put in parts, so that the copy, cut alike, gets the same ETag. The caller must look
   * at what is held afterwards. Throws `not-found`, and `archived` where the source would have to be restored
   * first.
   */
  copy(
    from: ObjectKey,
    to: ObjectKey,
    options: {
      storageClass: string
      size: number
      partBytes?: number
      contentType?: string
      signal?: AbortSignal
    },
  ): Promise<void>
}

/**
 * A location that keeps what is put there from being removed before a time, by anybody (Object Lock). A put
 * locks by itself.
 */
export type Locks = {
  /** For how many days what is put under the key is locked; null: not at all. Asks nobody. */
  daysOf(key: ObjectKey): number | null
  /** What stands against the removal of what the location holds, be it hidden; null: it holds nothing. */
  look(key: ObjectKey, options?: { signal?: AbortSignal }): Promise<Retention | null>
  /** Sets a later end. */
  extend(key: ObjectKey, until: Date, options?: { versionId?: string; signal?: AbortSignal }): Promise<void>
  /** Takes away the marks with which somebody hid it. False: there is nothing to bring back. */
  bringBack(key: ObjectKey, options?: { signal?: AbortSignal }): Promise<boolean>
  /**
   * What somebody's marks hide under a prefix, as it was: a listing does not tell it. One pass over all
   * versions.
   */
  listHidden(prefix: string, options?: { signal?: AbortSignal }): AsyncIterable<HiddenObject>
}

export type HiddenObject = { key: ObjectKey; size: number; modifiedAt: Date; storageClass?: string }

export type RestoreTier = 'expedited' | 'standard' | 'bulk'
/** A location that holds objects which must be restored before they can be read. */
export type Archive = {
  /**
   * Asks for a temporary copy that can be read for `days` once it is there; for one that is there already,
   * prolongs it.
   * `begun`, `ongoing` (an earlier request is under way) or `available`. Throws `denied` with the service's
   * own words where the object is not archived or the tier is not offered.
   */
  restore(
    key: ObjectKey,
    options: { tier: RestoreTier; days: number },
  ): Promise<'begun' | 'ongoing' | 'available'>
}

/**
 * What a call throws. An aborted call rejects with the signal's reason instead.
 *
 * | kind | meaning | retry |
 * | --- | --- | --- |
 * | not-found | nothing under the key; of a put: the file to be put is gone | no |
 * | already-exists | the key is taken | no |
 * | corrupt | the bytes are not what their digest or size says | no |
 * | denied | credentials or permissions; the message names the action that was refused | no |
 * | archived | held, but must be restored before it can be read | no |
 * | hidden | held, but somebody's delete marker hides it: not absent | no |
 * | retained | locked against removal; `retention` says until when | no |
 * | too-large | over a limit of the location, or no room left (`message` says which) | no |
 * | unavailable | time-out, 5xx, 429, connection lost, mount gone | yes |
 */
export type StorageErrorKind =
  | 'not-found'
  | 'already-exists'
  | 'corrupt'
  | 'denied'
  | 'archived'
  | 'hidden'
  | 'retained'
  | 'too-large'
  | 'unavailable'

export class StorageError extends Error {
  readonly kind: StorageErrorKind
  /** Of `unavailable`: when the location will be tried again; asking earlier is useless. */
  readonly retryAt: Date | undefined
  /**
   * Of `unavailable`: it concerns one object (two writers met, it is archived), and proves that the location
   * answers.
   */
  readonly isOfOneObject: boolean
  /** What an administrator can do about it. The message ends with it, in brackets. */
  readonly remedy: string | undefined
  readonly withoutRemedy: string
  /**
   * What the location itself answered, without the name of the call; if that is not known, the same as
   * `withoutRemedy`.
   */
  readonly said: string
  /** Of `retained`. */
  readonly retention: Retention | undefined

  /** `message` without the remedy at its end. */
  constructor(
    kind: StorageErrorKind,
    message: string,
    options: {
      cause?: unknown
      retryAt?: Date
      isOfOneObject?: boolean
      remedy?: string | undefined
      said?: string
      retention?: Retention
    } = {},
  ) {
    super(options.remedy === undefined ? message : `${message} (${options.remedy})`, options)
    this.name = 'StorageError'
    this.kind = kind
    this.retryAt = options.retryAt
    this.isOfOneObject = options.isOfOneObject ?? false
    this.remedy = options.remedy
    this.withoutRemedy = message
    this.said = options.said ?? message
    this.retention = options.retention
  }
}

export function isStorageError(error: unknown, kind?: StorageErrorKind): error is StorageError {
  return error instanceof StorageError && (kind === undefined || error.kind === kind)
}
