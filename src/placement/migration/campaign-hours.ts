/** The hours of the day in which a campaign may work. Pure. */
import type { Limits } from './campaign-rows.ts'

const DAY_MINUTES = 24 * 60

/** In how many ms it may work; 0: now. By the server's own clock and time zone. */
export function waitForHoursMs(hours: Limits['hours'], now: Date): number {
  if (hours === null) return 0
  const minute = now.getHours() * 60 + now.getMinutes()
  const { fromMinute, untilMinute } = hours
  const isOpen =
    fromMinute < untilMinute
      ? minute >= fromMinute && minute < untilMinute
      : minute >= fromMinute || minute < untilMinute
  if (isOpen) return 0
  const minutes = (fromMinute - minute + DAY_MINUTES) % DAY_MINUTES
  return minutes * 60_000 - now.getSeconds() * 1_000 - now.getMilliseconds()
}

/** How much of a day that is, from 0 to 1. */
export function shareOfDay(hours: Limits['hours']): number {
  if (hours === null) return 1
  return ((hours.untilMinute - hours.fromMinute + DAY_MINUTES) % DAY_MINUTES) / DAY_MINUTES
}
