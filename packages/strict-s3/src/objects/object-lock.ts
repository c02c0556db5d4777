/**
 * Object Lock: until when a version may not be removed, and by whom. Where AWS refuses, it is refused here.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
 */
import type { Call } from '../requests/call.ts'
import { isDenied } from '../requests/denied.ts'
import { S3Error } from '../wire/s3-error.ts'
import type { BucketRecord, ObjectVersion, Retention } from './object-store.ts'

type Locked = Pick<ObjectVersion, 'retention' | 'legalHold'>

const LOCK_HEADER = /^x-amz-object-lock-/
const DAY_MS = 24 * 3_600_000

export function requireObjectLock(bucket: BucketRecord): void {
  if (bucket.objectLock == null)
    throw new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' })
}

/** What the headers of a put, a copy or the begin of an upload ask for, or the bucket's default. */
export function lockFromRequest(call: Call & { bucket: BucketRecord }): Locked {
  const { headers, bucket, profile, now } = call
  const asksForLock = [...headers.keys()].some((name) => LOCK_HEADER.test(name))
  if (!asksForLock) return defaultLock(bucket, now)
  requireObjectLock(bucket)
  const locked: Locked = {}
  const mode = headers.get('x-amz-object-lock-mode')
  const until = headers.get('x-amz-object-lock-retain-until-date')
  if ((mode === undefined) !== (until === undefined)) {
    throw new S3Error('InvalidArgument', {
      message: 'x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied',
    })
  }
  if (mode !== undefined && until !== undefined) {
    if (isDenied(profile, 'PutObjectRetention')) throw new S3Error('AccessDenied')
    locked.retention = readRetention(mode, until, now)
  } else {
    Object.assign(locked, defaultLock(bucket, now))
  }
  const hold = headers.get('x-amz-object-lock-legal-hold')
  if (hold !== undefined) {
    if (isDenied(profile, 'PutObjectLegalHold')) throw new S3Error('AccessDenied')
    locked.legalHold = readHold(hold)
  }
  return locked
}

function defaultLock({ objectLock }: BucketRecord, now: Date): Locked {
  const rule = objectLock?.default
  if (!rule) return {}
  return {
    retention: { mode: rule.mode, until: new Date(now.getTime() + rule.days * DAY_MS).toISOString() },
  }
}

/**
 * Whoever locks bytes must have said which ones: AWS takes no such put, nor any in a bucket that locks by
 * default, without a digest of its body.
 */
export function requireDigest(
  call: Call & { bucket: BucketRecord },
  body: { hasContentMd5: boolean; declaredChecksum: string | null },
): void {
  const isLocked =
    [...call.headers.keys()].some((name) => LOCK_HEADER.test(name)) || call.bucket.objectLock?.default != null
  if (!isLocked || body.hasContentMd5 || body.declaredChecksum !== null) return
  // What a profile that ignores checksums leaves unread was declared nevertheless.
  if ([...call.headers.keys()].some((name) => /^x-amz-(sdk-)?checksum-(?!type|mode)/.test(name))) return
  throw new S3Error('InvalidRequest', {
    message:
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  })
}

export function readRetention(mode: string, until: string, now: Date): Retention {
  if (mode !== 'GOVERNANCE' && mode !== 'COMPLIANCE')
    throw new S3Error('InvalidArgument', { message: 'Unknown wormMode directive.' })
  const time = Date.parse(until)
  if (Number.isNaN(time))
    throw new S3Error('InvalidArgument', {
      message: 'The retain until date must be provided in ISO 8601 format',
    })
  if (time <= now.getTime())
    throw new S3Error('InvalidArgument', { message: 'The retain until date must be in the future!' })
  return { mode, until: new Date(time).toISOString() }
}

export function readHold(text: string): boolean {
  if (text !== 'ON' && text !== 'OFF') throw new S3Error('MalformedXML')
  return text === 'ON'
}

/** Throws AccessDenied while a version may not be removed. */
export function assertRemovable(call: Call, version: ObjectVersion): void {
  if (version.legalHold) throw protectedByLock()
  const { retention } = version
  if (!retention || Date.parse(retention.until) <= call.now.getTime()) return
  if (retention.mode === 'GOVERNANCE' && mayBypass(call)) return
  throw protectedByLock()
}

/**
 * A retention may always become longer, and a governance one stricter. Anything else needs the right to
 * bypass governance, and is never possible for compliance.
 */
export function assertMayRetain(
  call: Call,
  { retention: before }: ObjectVersion,
  after: Retention | undefined,
): void {
  if (!before || Date.parse(before.until) <= call.now.getTime()) return
  const isLonger = after !== undefined && Date.parse(after.until) >= Date.parse(before.until)
  const isAsStrict = after?.mode === before.mode || after?.mode === 'COMPLIANCE'
  if (isLonger && isAsStrict) return
  if (before.mode === 'GOVERNANCE' && mayBypass(call)) return
  throw protectedByLock()
}

function mayBypass({ headers, profile }: Call): boolean {
  if (headers.get('x-amz-bypass-governance-retention')?.toLowerCase() !== 'true') return false
  if (isDenied(profile, 'BypassGovernanceRetention')) throw new S3Error('AccessDenied')
  return true
}

function protectedByLock(): S3Error {
  return new S3Error('AccessDenied', { message: 'Access Denied because object protected by object lock.' })
}

/** Of HEAD and GET, for those who may know. */
export function lockHeaders({ profile }: Call, version: ObjectVersion): Record<string, string> {
  const headers: Record<string, string> = {}
  if (version.retention && !isDenied(profile, 'GetObjectRetention')) {
    headers['x-amz-object-lock-mode'] = version.retention.mode
    headers['x-amz-object-lock-retain-until-date'] = version.retention.until
  }
  if (version.legalHold !== undefined && !isDenied(profile, 'GetObjectLegalHold'))
    headers['x-amz-object-lock-legal-hold'] = version.legalHold ? 'ON' : 'OFF'
  return headers
}
