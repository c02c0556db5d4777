import { sql } from 'kysely'
import { z } from 'zod'
import type { Database } from '../../database/connect.ts'
import { AVATAR_COLORS } from './avatar-colors.ts'

const flag = z.boolean().optional()
const shown = z.object({ enabled: flag, sidebarWeb: flag }).optional()

/**
 * A change of preferences: any part of any section (Immich's `UserPreferencesUpdateDto`). Unknown names are
 * dropped.
 */
export const preferencesChange = z.object({
  albums: z.object({ defaultAssetOrder: z.enum(['asc', 'desc']).optional() }).optional(),
  avatar: z.object({ color: z.enum(AVATAR_COLORS).optional() }).optional(),
  cast: z.object({ gCastEnabled: flag }).optional(),
  download: z
    .object({ archiveSize: z.number().int().min(1).optional(), includeEmbeddedVideos: flag })
    .optional(),
  emailNotifications: z.object({ enabled: flag, albumInvite: flag, albumUpdate: flag }).optional(),
  folders: shown,
  memories: z
    .object({ enabled: flag, duration: z.number().int().min(1).optional(), sidebarWeb: flag })
    .optional(),
  people: z
    .object({ enabled: flag, sidebarWeb: flag, minimumFaces: z.number().int().min(1).optional() })
    .optional(),
  purchase: z.object({ showSupportBadge: flag, hideBuyButtonUntil: z.iso.datetime().optional() }).optional(),
  ratings: z.object({ enabled: flag }).optional(),
  recentlyAdded: z.object({ sidebarWeb: flag }).optional(),
  sharedLinks: shown,
  tags: shown,
})
export type PreferencesChange = z.infer<typeof preferencesChange>

/**
 * Every section and value: a client takes the absence of one for a crash. Sizes in bytes, durations in
 * seconds.
 */
export type Preferences = Required<{
  [Section in keyof Omit<PreferencesChange, 'avatar'>]: Required<NonNullable<PreferencesChange[Section]>>
}>

/**
 * What holds until a user changes it. Sections of features that this server does not have yet are off, which
 * makes Immich's clients hide them; so is the invitation to buy Immich.
 */
const DEFAULTS: Preferences = {
  albums: { defaultAssetOrder: 'desc' },
  cast: { gCastEnabled: false },
  download: { archiveSize: 4 * 1024 ** 3, includeEmbeddedVideos: false },
  emailNotifications: { enabled: true, albumInvite: false, albumUpdate: false },
  folders: { enabled: false, sidebarWeb: false },
  memories: { enabled: true, duration: 5, sidebarWeb: false },
  people: { enabled: false, sidebarWeb: false, minimumFaces: 3 },
  purchase: { showSupportBadge: false, hideBuyButtonUntil: '2999-12-31T00:00:00.000Z' },
  ratings: { enabled: false },
  recentlyAdded: { sidebarWeb: false },
  sharedLinks: { enabled: false, sidebarWeb: false },
  tags: { enabled: false, sidebarWeb: false },
}

/** What Immich's clients take for granted where they are told nothing. */
const IMMICH_DEFAULTS: Preferences = merge(DEFAULTS, {
  emailNotifications: { albumInvite: true, albumUpdate: true },
  people: { enabled: true },
  purchase: { showSupportBadge: true, hideBuyButtonUntil: '2022-02-12T00:00:00.000Z' },
  sharedLinks: { enabled: true },
})

/**
 * What a client must be told of a user: all that differs from Immich's defaults. `stored`:
 * `app_user.preferences`. Devices hear of a change of `DEFAULTS` only if a migration gives every user another
 * `preferences_update_id`.
 */
export function differenceFromImmich(stored: object): Record<string, unknown> {
  return differenceFrom(IMMICH_DEFAULTS, merge(DEFAULTS, stored))
}

/** The user's preferences, complete. */
export async function getPreferences(db: Database, userId: string): Promise<Preferences> {
  const row = await db
    .selectFrom('app_user')
    .select('preferences')
    .where('id', '=', userId)
    .executeTakeFirstOrThrow()
  return merge(DEFAULTS, row.preferences)
}

/** Merges the change into what is stored, which is only what differs from the defaults; returns the whole. */
export async function updatePreferences(
  db: Database,
  userId: string,
  change: PreferencesChange,
): Promise<Preferences> {
  const { avatar, ...sections } = change
  return db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('app_user')
      .select('preferences')
      .where('id', '=', userId)
      .forUpdate()
      .executeTakeFirstOrThrow()
    const whole = merge(merge(DEFAULTS, row.preferences), sections)
    await tx
      .updateTable('app_user')
      .set({
        preferences: JSON.stringify(differenceFrom(DEFAULTS, whole)),
        ...(avatar?.color && { avatar_color: avatar.color }),
        updated_at: sql`now()`,
      })
      .where('id', '=', userId)
      .execute()
    return whole
  })
}

/** A copy of `base` in which every defined value of `change` replaces its own, objects being merged. */
function merge<Base extends object>(base: Base, change: object): Base {
  const result = structuredClone(base) as Record<string, unknown>
  for (const [name, value] of Object.entries(change)) {
    if (value === undefined) continue
    result[name] = isObject(value) ? merge(isObject(result[name]) ? result[name] : {}, value) : value
  }
  return result as Base
}

/** What of `whole` is not as in `base`, section by section. */
function differenceFrom(base: object, whole: object): Record<string, unknown> {
  const others = base as Record<string, unknown>
  const difference: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(whole)) {
    const other = others[name]
    if (isObject(value) && isObject(other)) {
      const part = differenceFrom(other, value)
      if (Object.keys(part).length > 0) difference[name] = part
    } else if (value !== other) difference[name] = value
  }
  return difference
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
