/** What the page says of sessions. */
import type { Session } from '../api-types.ts'

/** The device as its client named it, and its system; both may be unknown. */
export function deviceName({ deviceType, deviceOS }: Pick<Session, 'deviceType' | 'deviceOS'>): string {
  if (deviceType === '' && deviceOS === '') return 'An unknown device'
  if (deviceType === '' || deviceType === deviceOS) return deviceOS
  return deviceOS === '' ? deviceType : `${deviceType} on ${deviceOS}`
}

/**
 * When it was used last: `today`, `yesterday`, `5 days ago`, by the reader's calendar. The server notes
 * minutes.
 */
export function lastUse(iso: string, now: Date): string {
  const used = new Date(iso)
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime()
  // Rounded: a day with a change of the clock has 23 or 25 hours.
  const days = Math.max(0, Math.round((midnight(now) - midnight(used)) / 86_400_000))
  if (days === 0) return `today, ${used.toLocaleTimeString(undefined, { timeStyle: 'short' })}`
  return days === 1 ? 'yesterday' : `${days} days ago`
}
