/**
 * How S3 services differ, as data. Code uses only what cannot be found out by trying (the first group); the
 * rest are facts for people and expectations, which the probe compares with what it finds. What it finds
 * counts.
 */
import type { Traits } from '../../traits.ts'

export type S3Provider = {
  name: string
  /** For people. */
  title: string
  /** Matched against the endpoint's host where the setting says `auto`. */
  host: RegExp | null

  /** `http://host/bucket/key` rather than `http://bucket.host/key`. */
  forcePathStyle: boolean
  /** DeleteObjects works; otherwise keys are deleted one by one. */
  deleteObjects: boolean
  /**
   * A DELETE only hides the newest version, in every bucket: all versions of the key are deleted by their
   * ids. Elsewhere versioning is the owner's choice, and what it keeps is the owner's.
   */
  deleteVersions: boolean
  maxParts: number
  /** Largest body of one PUT, in bytes. */
  maxPutBytes: number
  /** Lifecycle rules can be set; without them no rule is asked for. */
  hasLifecycle: boolean
  /** CORS rules can be set; without them browsers never reach the bucket. */
  hasCors: boolean

  /** What `storage.s3.region` has to be; null: the region of the bucket, or anything. */
  region: string | null
  /** All parts but the last must be of one size. Ours always are. */
  equalParts: boolean
  /** Header that speaks for the bytes of a put and that the service is known to check. */
  checksumHeader: 'content-md5'
  /** More writes a second to one key are refused; null: no limit known. */
  writesPerKeyPerSecond: number | null
  /** An object is billed for so many days, deleted or not. */
  minimumStorageDays: number
  /** An object is billed for so many bytes at least. */
  minimumBilledBytes: number
  /** Expected of the probe; what is not named is not known. */
  expects: Traits
  /** What to know about it. */
  notes: string[]
}
