import type { Listing } from '../../api-types.ts'
import { formatAgo, formatBytes, formatCount, plural } from '../../format.ts'

export function listingWhen(listing: Listing | null, now: Date): string {
  if (listing?.underWay) return `under way, ${formatCount(listing.underWay.count)} so far`
  if (listing?.seenAt == null) return 'none yet'
  const { unknown } = listing
  const strays =
    unknown.count === 0
      ? ''
      : `; ${plural(unknown.count, 'file')} (${formatBytes(unknown.bytes)}) that Glassine does not know, left alone`
  return `${formatAgo(listing.seenAt, now)}${strays}`
}

/**
 * What needs somebody: files that were proven and are not there as they were, and a listing that can't go on.
 */
export function listingWarnings(listing: Listing | null): string[] {
  if (listing === null) return []
  const { missing, different, underWay } = listing
  const warnings: string[] = []
  if (missing > 0) warnings.push(`${plural(missing, 'proven file')} missing in the last listing.`)
  if (different > 0) warnings.push(`${plural(different, 'proven file')} changed since the proof.`)
  if (underWay?.error) warnings.push(`The listing can't go on now: ${underWay.error}`)
  return warnings
}
