import { randomBytes } from 'node:crypto'
import type { ObjectKind } from '../database/schema.ts'
import type { ObjectKey } from '../storage/backend.ts'

export const USERS_PREFIX = 'users/'
const BACKUPS_PREFIX = 'backups/'
/** What all keys begin with, in their order: nothing else at a location is ours. */
export const KEY_PREFIXES: readonly string[] = [BACKUPS_PREFIX, USERS_PREFIX]

const SAFE_EXTENSION = /^[a-z0-9]{1,10}$/

/** A file extension fit for a key: lower case, letters and digits only; `bin` for anything else. */
export function safeExtension(extension: string): string {
  const lower = extension.toLowerCase().replace(/^\./, '')
  return SAFE_EXTENSION.test(lower) ? lower : 'bin'
}

/**
 * A key that was never used: `users/{userId}/{assetId}/{kind}.{random}.{extension}`. Ids only, no text of a
 * user's; 128 random bits per write attempt, so that no attempt can meet another one's bytes. The location's
 * prefix is the backend's.
 *
 * A backup of the database is `backups/{installation}/{UTC time}.{random}.age`: who has lost the ledger finds
 * it by a listing, and sees which one is the newest. Its owner is the installation, and its time that of its
 * snapshot.
 */
export function freshKey(what: {
  ownerId: string
  assetId: string | null
  kind: ObjectKind
  extension: string
  createdAt?: Date
}): ObjectKey {
  const random = randomBytes(16).toString('hex')
  if (what.kind === 'database-backup')
    return `${BACKUPS_PREFIX}${what.ownerId}/${timeInKey(what.createdAt ?? new Date())}.${random}.age` as ObjectKey
  return `${USERS_PREFIX}${what.ownerId}/${what.assetId ?? 'profile'}/${what.kind}.${random}.${safeExtension(what.extension)}` as ObjectKey
}

/** A key read back from the ledger. */
export function knownKey(key: string): ObjectKey {
  return key as ObjectKey
}

const KEY_PARTS = /^users\/([0-9a-f-]{36})\/([0-9a-f-]{36}|profile)\/([a-z-]+)\.[0-9a-f]{32}\.[a-z0-9]+$/

const BACKUP_KEY = /^backups\/([0-9a-f-]{36})\/(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\.[0-9a-f]{32}\.age$/

/** `2026-05-04T03-02-01Z`: sorts as time does, and is a file name everywhere. */
export function timeInKey(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(':', '-')}Z`
}

/** What the key of a backup says of it; null for any other key. */
export function partsOfBackupKey(key: string): { installation: string; takenAt: Date } | null {
  const [, installation, day, hour, minute, second] = BACKUP_KEY.exec(key) ?? []
  if (installation === undefined) return null
  const takenAt = new Date(`${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(takenAt.getTime()) ? null : { installation, takenAt }
}

/** What all keys of backups begin with: those of one installation, or of all that a location holds. */
export function backupsPrefix(installation: string | null): string {
  return installation === null ? BACKUPS_PREFIX : `${BACKUPS_PREFIX}${installation}/`
}

/** What a key of `freshKey` says of itself; null for anything else. */
export function partsOfKey(key: string): { ownerId: string; assetId: string | null; kind: string } | null {
  const backup = partsOfBackupKey(key)
  if (backup !== null) return { ownerId: backup.installation, assetId: null, kind: 'database-backup' }
  const [, ownerId, assetId, kind] = KEY_PARTS.exec(key) ?? []
  if (ownerId === undefined || assetId === undefined || kind === undefined) return null
  return { ownerId, assetId: assetId === 'profile' ? null : assetId, kind }
}
