import { randomBytes } from 'node:crypto'
import type { ObjectKind } from '../database/schema.ts'
import type { ObjectKey } from '../storage/backend.ts'

export const USERS_PREFIX = 'users/'
const BACKUPS_PREFIX = 'backups/'
const CATALOGUE_PREFIX = 'catalogue/'
/** What all keys begin with, in their order: nothing else at a location is ours. */
export const KEY_PREFIXES: readonly string[] = [BACKUPS_PREFIX, CATALOGUE_PREFIX, USERS_PREFIX]

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
 *
 * A batch of the catalogue is `catalogue/{installation}/{UTC time}.{random}.jsonl.gz`, and the text of a
 * user's month `catalogue/texts/{userId}/{year-month}.{random}.txt`, whose object dates from that month's
 * beginning.
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
  if (what.kind === 'catalogue') return catalogueKey(what, what.createdAt ?? new Date(), random)
  return `${USERS_PREFIX}${what.ownerId}/${what.assetId ?? 'profile'}/${what.kind}.${random}.${safeExtension(what.extension)}` as ObjectKey
}

function catalogueKey(
  { ownerId, extension }: { ownerId: string; extension: string },
  time: Date,
  random: string,
): ObjectKey {
  const name =
    extension === CATALOGUE_TEXT
      ? `texts/${ownerId}/${time.toISOString().slice(0, 7)}.${random}.txt`
      : `${ownerId}/${timeInKey(time)}.${random}.jsonl.gz`
  return `${CATALOGUE_PREFIX}${name}` as ObjectKey
}

/** The extensions of the catalogue's objects, which tell texts from batches. */
export const CATALOGUE_TEXT = 'txt'
export const CATALOGUE_BATCH = 'gz'

/** A key read back from the ledger. */
export function knownKey(key: string): ObjectKey {
  return key as ObjectKey
}

/** An id as PostgreSQL writes it. What else could be taken for one it refuses. */
const ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const KEY_PARTS = pattern(String.raw`users/(ID)/(ID|profile)/([a-z-]+)\.[0-9a-f]{32}\.[a-z0-9]+`)
const BACKUP_KEY = pattern(
  String.raw`backups/(ID)/(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)Z\.[0-9a-f]{32}\.age`,
)

function pattern(source: string): RegExp {
  return new RegExp(`^${source.replaceAll('ID', ID)}$`)
}

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

const BATCH_KEY = pattern(String.raw`catalogue/(ID)/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.[0-9a-f]{32}\.jsonl\.gz`)
const TEXT_KEY = pattern(String.raw`catalogue/texts/(ID)/[+-]?\d+-\d\d\.[0-9a-f]{32}\.txt`)

/** Whose batch of a catalogue lies under the key; null for any other key. */
export function installationOfBatchKey(key: string): string | null {
  return BATCH_KEY.exec(key)?.[1] ?? null
}

/** What all keys of batches begin with: those of one installation, or of all that a location holds. */
export function cataloguePrefix(installation: string | null): string {
  return installation === null ? CATALOGUE_PREFIX : `${CATALOGUE_PREFIX}${installation}/`
}

/** Whether the key is one of the catalogue of this installation. Texts name their user alone. */
export function isCatalogueKey(key: string, installation: string): boolean {
  return installationOfBatchKey(key) === installation || TEXT_KEY.test(key)
}

/** What a key of `freshKey` says of itself; null for anything else. */
export function partsOfKey(key: string): { ownerId: string; assetId: string | null; kind: string } | null {
  const backup = partsOfBackupKey(key)
  if (backup !== null) return { ownerId: backup.installation, assetId: null, kind: 'database-backup' }
  const catalogueOwner = installationOfBatchKey(key) ?? TEXT_KEY.exec(key)?.[1]
  if (catalogueOwner !== undefined) return { ownerId: catalogueOwner, assetId: null, kind: 'catalogue' }
  const [, ownerId, assetId, kind] = KEY_PARTS.exec(key) ?? []
  if (ownerId === undefined || assetId === undefined || kind === undefined) return null
  return { ownerId, assetId: assetId === 'profile' ? null : assetId, kind }
}
