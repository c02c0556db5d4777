import type { RestoreOption, RestorePlan } from '../api-types.ts'
import { plural } from '../format.ts'

/** How long readable copies may be kept, in days; the first request shows prices for `USUAL_DAYS`. */
export const DAYS = [1, 3, 7, 14, 30, 90]
export const USUAL_DAYS = 7

export const TIER_NAMES = { bulk: 'Bulk', standard: 'Standard', expedited: 'Expedited' } as const

/** `5 hours`, `5 minutes`. */
export function formatWait(minutes: number): string {
  const [value, unit] = minutes < 60 ? [minutes, 'minute'] : [Math.round(minutes / 60), 'hour']
  return `${value} ${unit}${value === 1 ? '' : 's'}`
}

/**
 * `usually within 5 hours, about 0.02 USD`: neither is promised, and never is there a figure that nobody
 * listed.
 */
export function describeOption({ expectedMinutes, price }: Omit<RestoreOption, 'tier'>): string {
  const wait = expectedMinutes === null ? '' : `usually within ${formatWait(expectedMinutes)}, `
  if (price === null) return `${wait}price not known`
  const amount = price.amount > 0 && price.amount < 0.01 ? 'under 0.01' : `about ${price.amount.toFixed(2)}`
  return `${wait}${amount} ${price.currency}`
}

/** Those that would have to be restored, and are not being restored. */
export function archivedIn({ count, notOffered }: RestorePlan): number {
  return count + notOffered
}

/** How the originals of an album stand, one sentence for each state that there is; `when` writes a time. */
export function restoreSentences(plan: RestorePlan, when: (iso: string) => string): string[] {
  const { restoring, expectedAt, restored, availableUntil } = plan
  const archived = archivedIn(plan)
  const sentences: string[] = []
  if (archived > 0) sentences.push(`${plural(archived, 'original is', 'originals are')} archived.`)
  if (restoring > 0) {
    const by = expectedAt === null ? '' : `, expected by ${when(expectedAt)}`
    sentences.push(`${plural(restoring, 'is', 'are')} being restored${by}.`)
  }
  if (restored > 0 && availableUntil !== null) {
    const until = restored === 1 ? 'until' : 'the first until'
    sentences.push(
      `${plural(restored, 'is', 'are')} restored and can be opened, ${until} ${when(availableUntil)}.`,
    )
  }
  return sentences
}

/** `24 Nov 2026, 18:05`, in the reader's own way. */
export function formatMoment(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}
