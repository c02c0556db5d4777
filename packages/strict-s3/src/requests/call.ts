/** One request on its way through the server, and what it is answered with. */

import type { BucketRecord, ObjectStore } from '../objects/object-store.ts'
import type { OperationName } from '../operation-names.ts'
import type { StrictProfile } from '../profiles.ts'
import type { Authentication } from '../wire/authenticate.ts'
import type { RequestBody } from './request-body.ts'

export type Call = {
  operation: OperationName
  method: string
  /** Empty only for operations on the service. */
  bucketName: string
  /** Empty for operations on a bucket. */
  key: string
  query: Map<string, string>
  /** Lower-case names; parameters that a presigned URL carries in place of headers are among them. */
  headers: Map<string, string>
  authentication: Authentication
  requestId: string
  now: Date
  store: ObjectStore
  profile: StrictProfile
  region: string
  /** `http://host:port`, for locations in answers. */
  endpoint: string
  /** Stored bytes are to differ from what came (a fault, or a profile that damages). */
  damage: boolean
  /** A fault: the page of a listing shows so many keys, and says that nothing follows. */
  shortListing?: { keep: number; isReversed?: boolean }
  /**
   * `checksumsAreOfObject`: checksum headers speak of the object, not of this body (CompleteMultipartUpload).
   */
  body(maxBytes: number, options?: { checksumsAreOfObject?: boolean }): RequestBody
}

/** A call on a bucket that exists. */
export type BucketCall = Call & { bucket: BucketRecord }

/** A body whose bytes are produced while they are sent. */
export type StreamedBody = { length: number; open(): AsyncIterable<Buffer> }

export type Reply = {
  status: number
  headers: Record<string, string>
  /** XML, bytes to come, or none. For HEAD a `StreamedBody` only gives the length. */
  body: string | StreamedBody | null
}

export const emptyReply = (status: number, headers: Record<string, string> = {}): Reply => ({
  status,
  headers,
  body: null,
})
export const xmlReply = (xml: string, headers: Record<string, string> = {}): Reply => ({
  status: 200,
  headers: { 'content-type': 'application/xml', ...headers },
  body: xml,
})
