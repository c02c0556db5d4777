/** What people ask of a campaign, in their words, and what it is for placement. */
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { CampaignPlan, Limits } from '../../placement/migration/campaign-rows.ts'
import { type KindKey, OBJECT_KINDS } from '../../placement/object-kinds.ts'

export type LimitsWish = {
  /** Of all workers together; absent or null: none. */
  bytesPerSecond?: number | null | undefined
  /** Of the day by the server's clock, `HH:MM`; absent or null: always. */
  hours?: { from: string; until: string } | null | undefined
  workers?: number | undefined
  /** How long both copies are kept at least; absent: a week. */
  holdHours?: number | undefined
}

export type CampaignWish = {
  /** As in `storage.locations`. */
  kinds: readonly string[]
  from: readonly string[]
  to: readonly string[]
  /** Ids; absent or null: everybody's. */
  users?: readonly string[] | null | undefined
  /** Ids; absent or null: in albums or not. */
  albums?: readonly string[] | null | undefined
  olderThanDays?: number | null | undefined
  youngerThanDays?: number | null | undefined
  limits?: LimitsWish | undefined
}

const DEFAULT_WORKERS = 2
const DEFAULT_HOLD_HOURS = 168
const TIME = /^([01]\d|2[0-3]):([0-5]\d)$/

/** The keys of the configuration that stand for kinds. */
export const KIND_KEYS = Object.values(OBJECT_KINDS).map(({ configKey }) => configKey) as KindKey[]

/** @throws AppError invalid, which names the field */
export function planOf(wish: CampaignWish): CampaignPlan {
  const { olderThanDays = null, youngerThanDays = null } = wish
  if (olderThanDays !== null && youngerThanDays !== null && youngerThanDays <= olderThanDays)
    throw new AppError('invalid', 'youngerThanDays must be more than olderThanDays: else nothing is left')
  return {
    kinds: [...new Set(wish.kinds.map(kindOf))],
    fromIds: [...new Set(wish.from)],
    toIds: [...new Set(wish.to)],
    ownerIds: wish.users ?? null,
    albumIds: wish.albums ?? null,
    olderThanDays,
    youngerThanDays,
    reverseOf: null,
    ...limitsOf(wish.limits ?? {}),
  }
}

/** @throws AppError invalid, which names the field */
export function limitsOf({ bytesPerSecond, hours, workers, holdHours }: LimitsWish): Limits {
  return {
    bytesPerSecond: bytesPerSecond ?? null,
    hours: hours ? hoursOf(hours) : null,
    workers: workers ?? DEFAULT_WORKERS,
    holdHours: holdHours ?? DEFAULT_HOLD_HOURS,
  }
}

function hoursOf({ from, until }: { from: string; until: string }): NonNullable<Limits['hours']> {
  const [fromMinute, untilMinute] = [minuteOf(from, 'from'), minuteOf(until, 'until')]
  if (fromMinute === untilMinute)
    throw new AppError('invalid', 'hours: from and until are the same; leave hours out to work at any time')
  return { fromMinute, untilMinute }
}

function minuteOf(time: string, field: string): number {
  const [, hour, minute] = TIME.exec(time) ?? []
  if (hour === undefined || minute === undefined)
    throw new AppError('invalid', `hours.${field}: write it like 22:00, not "${time}"`)
  return Number(hour) * 60 + Number(minute)
}

function kindOf(key: string): ObjectKind {
  const found = Object.entries(OBJECT_KINDS).find(([, { configKey }]) => configKey === key)
  if (!found) throw new AppError('invalid', `kinds: "${key}" is none; write ${KIND_KEYS.join(', ')}`)
  return found[0] as ObjectKind
}

/** @throws AppError not-found, which names the first address that nobody has */
export async function usersByEmail(db: Queryable, emails: readonly string[]): Promise<string[]> {
  const ids: string[] = []
  for (const email of emails) {
    const user = await db
      .selectFrom('app_user')
      .select('id')
      .where('email', '=', email.toLowerCase())
      .executeTakeFirst()
    if (!user) throw new AppError('not-found', `nobody has the e-mail address ${email}`)
    ids.push(user.id)
  }
  return ids
}
