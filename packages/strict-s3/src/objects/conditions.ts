/** `If-Match` and its kin, on reads and on writes. RFC 9110 section 13, and S3's conditional writes. */

import type { StrictProfile } from '../profiles.ts'
import { S3Error } from '../wire/s3-error.ts'
import type { ObjectVersion } from './object-store.ts'

const etagsOf = (header: string): string[] =>
  header.split(',').map((etag) => etag.trim().replace(/^"|"$/g, ''))
const matches = (header: string, etag: string): boolean =>
  etagsOf(header).some((given) => given === '*' || given === etag)

/** HTTP dates have whole seconds. */
const wholeSeconds = (iso: string): number => Math.floor(Date.parse(iso) / 1000)

/**
 * Throws 412, or 304 with the headers that a cache needs. `prefix` serves CopyObject
 * (`x-amz-copy-source-if-match`).
 */
export function checkReadConditions(headers: Map<string, string>, version: ObjectVersion, prefix = ''): void {
  const etag = version.etag
  const modified = wholeSeconds(version.createdAt)
  const get = (name: string): string | undefined => headers.get(`${prefix}${name}`)
  const failed = (condition: string) =>
    new S3Error('PreconditionFailed', { details: { Condition: condition } })
  const notModified = () =>
    prefix === ''
      ? new S3Error('NotModified', {
          headers: { etag: `"${etag}"`, 'last-modified': new Date(modified * 1000).toUTCString() },
        })
      : failed('If-None-Match')

  const ifMatch = get('if-match')
  const since = get('if-unmodified-since')
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, etag)) throw failed('If-Match')
  } else if (since !== undefined && modified > wholeSeconds(since)) throw failed('If-Unmodified-Since')

  const ifNoneMatch = get('if-none-match')
  const modifiedSince = get('if-modified-since')
  if (ifNoneMatch !== undefined) {
    if (matches(ifNoneMatch, etag)) throw notModified()
  } else if (modifiedSince !== undefined && modified <= wholeSeconds(modifiedSince)) throw notModified()
}

/** A write's own conditions; called early, to spare the transfer, and again when it counts. */
export function checkWriteConditions(
  headers: Map<string, string>,
  current: ObjectVersion | undefined,
  profile: StrictProfile,
  operation: 'put' | 'complete',
): void {
  const ifNoneMatch = headers.get('if-none-match')
  const ifMatch = headers.get('if-match')
  if (ifNoneMatch === undefined && ifMatch === undefined) return
  if (operation === 'put' ? profile.ignoreConditionalPut : profile.ignoreConditionalComplete) return
  if (profile.refuseConditionalPut || (ifNoneMatch !== undefined && ifNoneMatch !== '*')) {
    throw new S3Error('NotImplemented', {
      details: { Header: ifNoneMatch === undefined ? 'If-Match' : 'If-None-Match' },
    })
  }
  const held = current && !current.deleteMarker ? current : undefined
  if (ifNoneMatch !== undefined && held) {
    throw new S3Error('PreconditionFailed', { details: { Condition: 'If-None-Match' } })
  }
  if (ifMatch !== undefined) {
    if (!held) throw new S3Error('NoSuchKey')
    if (!matches(ifMatch, held.etag))
      throw new S3Error('PreconditionFailed', { details: { Condition: 'If-Match' } })
  }
}
