/** What the banner says while a place is in trouble. Pure. */
import type { PlaceInTrouble, StorageHealth } from '../api-types.ts'
import { formatAgo, formatTimeLeft } from '../format.ts'
import { placeName } from './place-name.ts'

/** For administrators: which place, since when, and why. */
export function troubleSentence(place: PlaceInTrouble, now: Date): string {
  const name = placeName(place.label)
  if (place.drillEndsAt !== null) {
    const leftMs = Math.max(0, new Date(place.drillEndsAt).getTime() - now.getTime())
    return `${name} is closed by a simulated outage${sinceWords(place.since, now)}, which ends by itself in ${formatTimeLeft(leftMs)}.`
  }
  if (place.isBeingAdopted) return `${name} is being taken over${sinceWords(place.since, now)}.`
  if (place.conflict === 'another-ledger')
    return `${name} was used by another database; you have to decide how it continues${sinceWords(place.since, now).replace(/^ since/, '. Noticed')}.`
  if (place.conflict === 'older-place')
    return `${name} holds an older state than the database; you have to decide how it continues${sinceWords(place.since, now).replace(/^ since/, '. Noticed')}.`
  if (place.waitsUntil !== null) {
    const leftMs = Math.max(0, new Date(place.waitsUntil).getTime() - now.getTime())
    return `${name} is written to again in ${formatTimeLeft(leftMs)}, if no other server is seen there by then; you need not do anything.`
  }
  const what = place.isAway ? "can't be reached" : 'is not well'
  return `${name} ${what}${sinceWords(place.since, now)}.`
}

/** ` since 14:02 (5 min ago)`, or nothing where it is not known. */
export function sinceWords(since: string | null, now: Date): string {
  if (since === null) return ''
  const at = new Date(since)
  const time = `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`
  return ` since ${time} (${formatAgo(since, now)})`
}

/** `Works: browsing and uploading. Waits: ...` */
export function effects({ works, waits }: Pick<StorageHealth, 'works' | 'waits'>): string {
  return [
    works.length === 0 ? '' : `Works: ${works.join(', ')}.`,
    waits.length === 0 ? '' : `Waits: ${waits.join('; ')}.`,
  ]
    .filter((text) => text !== '')
    .join(' ')
}
