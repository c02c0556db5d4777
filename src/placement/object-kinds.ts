/**
 * The kinds of objects, and how each is configured. Another kind is one more line here, and its name in
 * `ObjectKind`.
 */
import type { ObjectKind } from '../database/schema.ts'

type Row = {
  /** Its key in `storage.locations` and `storage.classes`. */
  configKey: string
  /** Its key in `storage.delivery`; null: no client gets it by itself. */
  deliveryKey: 'originals' | 'previews' | 'encodedVideos' | null
  /**
   * Its class may be one that must be restored before it is read: no page shows it at once, and who has lost
   * the ledger does not need it to get anything back.
   */
  mayBeArchived: boolean
}

export const OBJECT_KINDS = {
  original: { configKey: 'originals', deliveryKey: 'originals', mayBeArchived: true },
  thumbnail: { configKey: 'thumbnails', deliveryKey: 'previews', mayBeArchived: false },
  preview: { configKey: 'previews', deliveryKey: 'previews', mayBeArchived: false },
  fullsize: { configKey: 'fullsize', deliveryKey: 'previews', mayBeArchived: false },
  'encoded-video': { configKey: 'encodedVideos', deliveryKey: 'encodedVideos', mayBeArchived: false },
  sidecar: { configKey: 'sidecars', deliveryKey: null, mayBeArchived: false },
  'profile-image': { configKey: 'profileImages', deliveryKey: 'previews', mayBeArchived: false },
  'person-face': { configKey: 'personFaces', deliveryKey: 'previews', mayBeArchived: false },
  'database-backup': { configKey: 'databaseBackups', deliveryKey: null, mayBeArchived: false },
  catalogue: { configKey: 'catalogue', deliveryKey: null, mayBeArchived: false },
} as const satisfies Record<ObjectKind, Row>

/** By the configuration alone: their own rules make and remove them, and no campaign moves them. */
export const KINDS_WITHOUT_CAMPAIGNS: readonly ObjectKind[] = ['database-backup', 'catalogue']

type Kinds = typeof OBJECT_KINDS
export type KindKey = Kinds[ObjectKind]['configKey']
export type DeliveryKey = NonNullable<Kinds[ObjectKind]['deliveryKey']>

/** A value for each kind, made of its line of the table. */
export function forEachKind<Value>(
  make: (row: Kinds[ObjectKind], kind: ObjectKind) => Value,
): Record<ObjectKind, Value> {
  const entries = Object.entries(OBJECT_KINDS).map(([kind, row]) => [kind, make(row, kind as ObjectKind)])
  return Object.fromEntries(entries) as Record<ObjectKind, Value>
}

/** A value for each key of the configuration that stands for a kind, in the order of the table. */
export function forEachKindKey<Value>(make: (row: Kinds[ObjectKind]) => Value): Record<KindKey, Value> {
  const entries = Object.values(OBJECT_KINDS).map((row) => [row.configKey, make(row)])
  return Object.fromEntries(entries) as Record<KindKey, Value>
}
