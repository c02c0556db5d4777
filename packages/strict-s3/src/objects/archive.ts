/** Archived objects: what may be read of them, and what their restores look like from outside. */
import type { StrictProfile } from '../profiles.ts'
import { S3Error } from '../wire/s3-error.ts'
import type { ObjectVersion } from './object-store.ts'

/** When a request is served, and under which profile. */
type Moment = { now: Date; profile: StrictProfile }

const archiveClasses = ['GLACIER', 'DEEP_ARCHIVE']

export const isArchiveClass = (storageClass: string): boolean => archiveClasses.includes(storageClass)

/** The clock that restores run by; tests put it forward. */
export function archiveNow(moment: Moment): number {
  return moment.now.getTime() + moment.profile.archiveClockAheadMs
}

/** `restored` while the temporary copy stands; then the object is `archived` again. */
export function archiveState(
  moment: Moment,
  version: ObjectVersion,
): 'readable' | 'archived' | 'ongoing' | 'restored' {
  if (!isArchiveClass(version.storageClass)) return 'readable'
  if (version.restore === undefined || archiveNow(moment) >= Date.parse(version.restore.expiresAt))
    return 'archived'
  return archiveNow(moment) < Date.parse(version.restore.readyAt) ? 'ongoing' : 'restored'
}

/** Throws 403 InvalidObjectState for bytes that would have to be restored first. */
export function assertReadable(moment: Moment, version: ObjectVersion): void {
  const state = archiveState(moment, version)
  if (state === 'readable' || state === 'restored') return
  throw new S3Error('InvalidObjectState', { details: { StorageClass: version.storageClass } })
}

/** `x-amz-restore`, while there is something to say. */
export function restoreHeader(moment: Moment, version: ObjectVersion): Record<string, string> {
  const state = archiveState(moment, version)
  if (state === 'ongoing') return { 'x-amz-restore': 'ongoing-request="true"' }
  if (state !== 'restored') return {}
  const expiry = new Date(version.restore!.expiresAt).toUTCString()
  return { 'x-amz-restore': `ongoing-request="false", expiry-date="${expiry}"` }
}
