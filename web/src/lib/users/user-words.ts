/** What the page says of users who are deleted. */
import type { ServerStatistics, User } from '../api-types.ts'
import { formatBytes, formatWallClock, plural } from '../format.ts'

type Counts = Pick<ServerStatistics['usageByUser'][number], 'photos' | 'videos' | 'usage'>

const DAY_MS = 86_400_000

/** What goes with a user: `1,204 photos and 1 video, 3.42 GiB of originals`. */
export function whatGoes({ photos, videos, usage }: Counts): string {
  if (photos === 0 && videos === 0 && usage === 0) return 'no photos'
  const kinds = [photos > 0 && plural(photos, 'photo'), videos > 0 && plural(videos, 'video')].filter(Boolean)
  return [kinds.join(' and '), `${formatBytes(usage)} of originals`].filter(Boolean).join(', ')
}

/** Until when a user can be restored who was deleted then, on the clock of whoever looks. */
export function restorableUntil(deletedAt: Date, delayDays: number): string {
  const until = new Date(deletedAt.getTime() + delayDays * DAY_MS)
  return formatWallClock(new Date(until.getTime() - until.getTimezoneOffset() * 60_000).toISOString())
}

/** How it stands with a deleted user; '' for one who is there. */
export function deletionState(user: Pick<User, 'status' | 'deletedAt'>, delayDays: number): string {
  if (user.status === 'removing') return 'is being removed for good'
  if (user.deletedAt === null) return ''
  return `deleted; can be restored until ${restorableUntil(new Date(user.deletedAt), delayDays)}`
}
