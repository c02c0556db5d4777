/**
 * A content delivery network in front of a bucket: addresses under which it hands out what the bucket holds,
 * signed so that nobody can make one. Pure: what is signed and for how long is the caller's.
 *
 * Every address is `{baseUrl}/{key at the service}?response-cache-control=..&response-content-disposition=..&
 * response-content-type=..` and then the signature's own parameters. The three are S3's names, so that a
 * network whose origin is the bucket only has to pass them on.
 */
import type { ObjectKey } from '../backend.ts'
import { escapeUri } from '../s3/requests/http.ts'
import { escapeKey } from '../s3/requests/signature.ts'

export type CdnFile = {
  key: ObjectKey
  /** What the answer has to say of itself. */
  contentType: string
  contentDisposition: string
  cacheControl: string
  /** The signature holds from here ... */
  signedAt: Date
  /** ... to here. Both in whole seconds. */
  expiresAt: Date
  /**
   * The reader is a browser of the person whose folder the key is in: may be given cookies for that folder.
   */
  isOwnersBrowser: boolean
}

/** `cookies`: whole values of `Set-Cookie`, to be sent along with the redirect. */
export type SignedAddress = { url: string; cookies: string[] }

export type Cdn = {
  /** Scheme, host and port of every address. */
  readonly origin: string
  sign(file: CdnFile): SignedAddress
  /**
   * Values of `Set-Cookie` that end those which `sign` gave for the folder of this user; none where it gives
   * none.
   */
  endCookies(userId: string): string[]
}

/**
 * The address without its signature. Percent-encoded so that no `*`, a wildcard in policies, is ever in it.
 */
export function addressOf(baseUrl: string, keyPrefix: string, file: CdnFile): string {
  const path = escapeKey(keyPrefix + file.key)
  const query = [
    ['response-cache-control', file.cacheControl],
    ['response-content-disposition', file.contentDisposition],
    ['response-content-type', file.contentType],
  ].map(([name, value]) => `${name}=${escapeUri(value!)}`)
  return `${baseUrl.replace(/\/+$/, '')}/${path}?${query.join('&')}`
}

export function epochSeconds(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}
