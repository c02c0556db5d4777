/** What a history knows of its photos, from what it was told and from what it did. */
import { createHash } from 'node:crypto'

/** `trashed`: in the trash, from where it may come back. */
export type Photo = { assetId: string; bytes: Buffer; sha256: string; isTrashed: boolean }
export type Model = {
  /** Acknowledged, and not deleted for good. */
  photos: Photo[]
  /** SHA-256 of what was deleted for good. */
  deleted: Set<string>
  /** Direct uploads that were not refused, by their ids. */
  pending: Map<string, Buffer>
  /** Sent, and answered with an error. */
  refused: Buffer[]
  /** Places and keys whose bytes the world has spoiled. */
  spoiled: Set<string>
  counts: Record<string, number>
}

export const newModel = (): Model => ({
  photos: [],
  deleted: new Set(),
  pending: new Map(),
  refused: [],
  spoiled: new Set(),
  counts: {},
})

export const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

export function count(model: Model, what: string): void {
  model.counts[what] = (model.counts[what] ?? 0) + 1
}

export function acknowledge(model: Model, assetId: string, bytes: Buffer): void {
  const sha256 = sha256Of(bytes)
  const known = model.photos.find((photo) => photo.assetId === assetId)
  // A duplicate that was in the trash comes back.
  if (known) known.isTrashed = false
  else model.photos.push({ assetId, bytes, sha256, isTrashed: false })
  model.deleted.delete(sha256)
}
