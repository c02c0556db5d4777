/**
 * What a line of the catalogue says, of a user, an asset or an album; and what one must look like to be
 * believed. Who can write to a bucket can write a catalogue, so nothing in it is taken without a check, and
 * no entry can name another user's key. No password, token or key is in it.
 */
import { z } from 'zod'
import { partsOfKey } from '../../placement/keys.ts'
import { EMAIL } from '../users/email.ts'
import { isRealDay, isStorableTime, tryWallClock } from '../wall-clock.ts'

/** Of one object: that of the largest bucket. */
const MAX_BYTES = 50 * 2 ** 40
const MAX_REASON = 250
/** Of one asset; and of one album. With the longest description, their lines have less than 2 MiB. */
export const MAX_ALBUMS = 10_000
export const MAX_MEMBERS = 10_000
/**
 * PostgreSQL takes neither a zero byte nor half of a character; the whole batch would be tried again for
 * ever.
 */
const text = (maxLength: number) =>
  z
    .string()
    .max(maxLength)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), 'holds a zero byte or half a character')
const TEXT = text(10_000)
const ID = z.string().regex(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
const TIME = z.iso
  .datetime()
  .refine((value) => isRealDay(value) && isStorableTime(new Date(value)), 'is no time that can be stored')
const ZONE = text(100).refine((zone) => tryWallClock(new Date(0), zone) !== null, 'is no time zone')
const SHA256 = z.string().regex(/^[0-9a-f]{64}$/)
const SHA1 = z.string().regex(/^[0-9a-f]{40}$/)
/** As the database has it: no hour 24, and no second 60. */
const WALL_CLOCK = z
  .string()
  .regex(/^\d{4}-\d\d-\d\d ([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?$/)
  .refine(
    (value) => isRealDay(value) && value >= '0001-01-01' && value <= '9999-12-31 23:59:59.999',
    'is no time that can be stored',
  )
const EXTENSION = z.string().regex(/^[a-z0-9]{1,10}$/)

/** `keys`: where it was verified, by the name of the location. */
const OBJECT = z.strictObject({
  id: ID,
  size: z.int().min(0).max(MAX_BYTES),
  sha256: SHA256,
  contentType: z
    .string()
    .regex(/^[\w.+-]+\/[\w.+-]+$/)
    .max(100),
  extension: EXTENSION,
  keys: z.record(text(100), text(500)),
})

const USER = z.strictObject({
  id: ID,
  email: EMAIL,
  name: TEXT,
  isAdmin: z.boolean(),
  createdAt: TIME,
  deletedAt: TIME.nullable(),
})

/** What the user has said of it, against what the file says; absent: nothing. */
const SAID = z.strictObject({
  fields: z.array(text(100)).max(50),
  description: text(100_000),
  rating: z.int().min(-1).max(5).nullable(),
  latitude: z.number().min(-90).max(90).nullable(),
  longitude: z.number().min(-180).max(180).nullable(),
  dateTimeOriginal: TIME.nullable(),
  timeZone: ZONE.nullable(),
})

const ASSET = z.strictObject({
  id: ID,
  owner: ID,
  type: z.enum(['IMAGE', 'VIDEO', 'AUDIO', 'OTHER']),
  name: TEXT.min(1),
  mimeType: z
    .string()
    .regex(/^[\w.+-]+\/[\w.+-]+$/)
    .max(100),
  sha1: SHA1,
  original: OBJECT,
  sidecar: OBJECT.nullable(),
  fileCreatedAt: TIME,
  fileModifiedAt: TIME,
  localDateTime: WALL_CLOCK,
  timeZone: ZONE.nullable(),
  createdAt: TIME,
  /** Since when it is in the trash. */
  trashedAt: TIME.nullable(),
  isFavorite: z.boolean(),
  visibility: z.enum(['timeline', 'archive', 'hidden', 'locked']),
  livePhotoVideo: ID.nullable(),
  isEmbedded: z.boolean(),
  durationMs: z.int().min(0).nullable(),
  albums: z.array(z.strictObject({ id: ID, since: TIME })).max(MAX_ALBUMS),
  said: SAID.nullable(),
})

const ALBUM = z.strictObject({
  id: ID,
  name: TEXT,
  description: text(100_000),
  order: z.enum(['asc', 'desc']),
  /** The asset that is shown for it. */
  cover: ID.nullable(),
  createdAt: TIME,
  members: z
    .array(z.strictObject({ user: ID, role: z.enum(['owner', 'editor', 'viewer']) }))
    .max(MAX_MEMBERS),
})

const GONE = z.strictObject({ kind: z.enum(['user', 'asset', 'album']), id: ID })

const ENTRY = z.union([
  z.strictObject({ user: USER }),
  z.strictObject({ asset: ASSET }),
  z.strictObject({ album: ALBUM }),
  z.strictObject({ gone: GONE }),
])

export type CatalogueObject = z.output<typeof OBJECT>
export type UserEntry = z.output<typeof USER>
export type AssetEntry = z.output<typeof ASSET>
export type AlbumEntry = z.output<typeof ALBUM>
export type Entry = z.output<typeof ENTRY>
export type Subject = 'user' | 'asset' | 'album'
export type ReadEntry = { kind: Subject; id: string; isGone: boolean; value: object }

/** What an entry says, or why it is not believed. */
export function readEntry(line: unknown): ReadEntry | { refused: string } {
  const parsed = ENTRY.safeParse(line)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    return refused(`${issue?.path.join('.') || 'entry'}: ${issue?.message ?? 'is none'}`)
  }
  const entry = parsed.data
  if ('gone' in entry) return { ...entry.gone, isGone: true, value: entry.gone }
  if ('user' in entry) return { kind: 'user', id: entry.user.id, isGone: false, value: entry.user }
  if ('album' in entry) return { kind: 'album', id: entry.album.id, isGone: false, value: entry.album }
  const { asset } = entry
  for (const [kind, object] of [
    ['original', asset.original],
    ['sidecar', asset.sidecar],
  ] as const)
    for (const key of Object.values(object?.keys ?? {}))
      if (!isKeyOf(key, asset, kind))
        return refused(`${kind}.keys: "${key}" is no key of an ${kind} of this user`)
  return { kind: 'asset', id: asset.id, isGone: false, value: asset }
}

/** It is kept and shown, and what was refused may be in it. */
function refused(reason: string): { refused: string } {
  const shown = reason.length > MAX_REASON ? `${reason.slice(0, MAX_REASON)}…` : reason
  return { refused: shown.toWellFormed().replaceAll('\0', '\ufffd') }
}

/** Whether the key is one that a file of this kind of the asset's owner may have. */
export function isKeyOf(
  key: string,
  { owner }: Pick<AssetEntry, 'owner'>,
  kind: 'original' | 'sidecar',
): boolean {
  const parts = partsOfKey(key)
  return parts !== null && parts.ownerId === owner && parts.assetId !== null && parts.kind === kind
}
