/** Archived objects: what may be read of them, and what their restores look like from outside. */
import type { Call } from './call.ts'
import type { ObjectVersion } from './object-store.ts'
import { S3Error } from './s3-error.ts'

const archiveClasses = ['GLACIER', 'DEEP_ARCHIVE']

export const isArchiveClass = (storageClass: string): boolean => archiveClasses.includes(storageClass)

/** The clock that restores run by; tests put it forward. */
export function archiveNow(call: Pick<Call, 'now' | 'profile'>): number {
  return call.now.getTime() + call.profile.archiveClockAheadMs
}

/** `restored` while the temporary copy stands; then the object is `archived` again. */
export function archiveState(
  call: Pick<Call, 'now' | 'profile'>,
  version: ObjectVersion,
): 'readable' | 'archived' | 'ongoing' | 'restored' {
  if (!isArchiveClass(version.storageClass)) return 'readable'
  if (version.restore === undefined || archiveNow(call) >= Date.parse(version.restore.expiresAt))
    return 'archived'
  return archiveNow(call) < Date.parse(version.restore.readyAt) ? 'ongoing' : 'restored'
}

/** Throws 403 InvalidObjectState for bytes that would have to be restored first. */
export function assertReadable(call: Pick<Call, 'now' | 'profile'>, version: ObjectVersion): void {
  const state = archiveState(call, version)
  if (state === 'readable' || state === 'restored') return
  throw new S3Error('InvalidObjectState', { details: { StorageClass: version.storageClass } })
}

/** `x-amz-restore`, while there is something to say. */
export function restoreHeader(
  call: Pick<Call, 'now' | 'profile'>,
  version: ObjectVersion,
): Record<string, string> {
  const state = archiveState(call, version)
  if (state === 'ongoing') return { 'x-amz-restore': 'ongoing-request="true"' }
  if (state !== 'restored') return {}
  const expiry = new Date(version.restore!.expiresAt).toUTCString()
  return { 'x-amz-restore': `ongoing-request="false", expiry-date="${expiry}"` }
}
