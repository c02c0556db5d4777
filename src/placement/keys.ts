import { randomBytes } from 'node:crypto'
import type { ObjectKind } from '../database/schema.ts'
import type { ObjectKey } from '../storage/backend.ts'

/** What all keys begin with: nothing else at a location is ours. */
export const KEY_PREFIX = 'users/'

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
 */
export function freshKey(what: {
  ownerId: string
  assetId: string | null
  kind: ObjectKind
  extension: string
}): ObjectKey {
  const random = randomBytes(16).toString('hex')
  return `${KEY_PREFIX}${what.ownerId}/${what.assetId ?? 'profile'}/${what.kind}.${random}.${safeExtension(what.extension)}` as ObjectKey
}

/** A key read back from the ledger. */
export function knownKey(key: string): ObjectKey {
  return key as ObjectKey
}

const KEY_PARTS = /^users\/([0-9a-f-]{36})\/([0-9a-f-]{36}|profile)\/([a-z-]+)\.[0-9a-f]{32}\.[a-z0-9]+$/

/** What a key of `freshKey` says of itself; null for anything else. */
export function partsOfKey(key: string): { ownerId: string; assetId: string | null; kind: string } | null {
  const [, ownerId, assetId, kind] = KEY_PARTS.exec(key) ?? []
  if (ownerId === undefined || assetId === undefined || kind === undefined) return null
  return { ownerId, assetId: assetId === 'profile' ? null : assetId, kind }
}
