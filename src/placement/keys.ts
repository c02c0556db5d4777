import { randomBytes } from 'node:crypto'
import type { ObjectKind } from '../database/schema.ts'
import type { ObjectKey } from '../storage/backend.ts'

const SAFE_EXTENSION = /^[a-z0-9]{1,10}$/

/** A file extension fit for a key: lower case, letters and digits only; `bin` for anything else. */
export function safeExtension(extension: string): string {
  const lower = extension.toLowerCase().replace(/^\./, '')
  return SAFE_EXTENSION.test(lower) ? lower : 'bin'
}

/**
 * A key that was never used: `users/{userId}/{assetId}/{kind}.{random}.{extension}`. Ids only, no text of a user's; 128
 * random bits per write attempt, so that no attempt can meet another one's bytes. The location's prefix is the backend's.
 */
export function freshKey(what: {
  ownerId: string
  assetId: string | null
  kind: ObjectKind
  extension: string
}): ObjectKey {
  const random = randomBytes(16).toString('hex')
  return `users/${what.ownerId}/${what.assetId ?? 'profile'}/${what.kind}.${random}.${safeExtension(what.extension)}` as ObjectKey
}

/** A key read back from the ledger. */
export function knownKey(key: string): ObjectKey {
  return key as ObjectKey
}
