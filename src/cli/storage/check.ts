import { plural } from '../../library/words.ts'
import { checkListing, type ListingReport } from '../../placement/listing/check-listing.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, type Style } from '../text.ts'

export type Checked = {
  id: string
  label: string
  /** Null: another process is at it, or `error`. */
  report: ListingReport | null
  error: string | null
}

/**
 * Lists every place, or the one that is named, and lays it beside the ledger: what is missing or changed
 * stops counting as a copy.
 */
export async function checkFromCli(
  context: CliContext,
  locationId: string | undefined,
  options: { json?: boolean },
): Promise<ExitCode> {
  const checked = await context.withPlacement(async (placement) => {
    const all: Checked[] = []
    const locations =
      locationId === undefined ? placement.locations.values() : [requireLocation(placement, locationId)]
    for (const { id, label } of locations) {
      context.progress(`listing ${id} (${label})`)
      const onProgress = ({ listed }: ListingReport['found']) =>
        context.progress(`listing ${id}: ${plural(listed.count, 'file')}, ${bytes(listed.bytes)}`)
      const [result] = await Promise.allSettled([checkListing(placement, id, { isNow: true, onProgress })])
      all.push({
        id,
        label,
        report: result.status === 'fulfilled' ? result.value : null,
        error: result.status === 'rejected' ? (result.reason as Error).message : null,
      })
    }
    context.progress('')
    return all
  })
  if (options.json) context.print(JSON.stringify(checked, null, 2))
  else context.print(checked.map((one) => describeCheck(one, context.style)).join('\n'))
  if (checked.some(({ error }) => error !== null)) return EXIT.failed
  const isFine = ({ report }: Checked) =>
    report === null || report.found.missing + report.found.different === 0
  return checked.every(isFine) ? EXIT.done : EXIT.attention
}

export function describeCheck({ id, report, error }: Checked, style: Style): string {
  if (error !== null) return style.red(`▨  ${id}: ${error}`)
  if (report === null) return `□  ${id}: another process is listing it; see storage status`
  const { listed, unknown, missing, different } = report.found
  const held = `${plural(listed.count, 'file')} (${bytes(listed.bytes)}) listed`
  const strays =
    unknown.count === 0
      ? ''
      : `; ${plural(unknown.count, 'file')} (${bytes(unknown.bytes)}) of them not known to Glassine, and left alone until you decide (storage reconcile)`
  if (missing + different === 0) return `■  ${id}: ${held}, and nothing that was proven is missing${strays}`
  return style.red(
    `▨  ${id}: ${plural(missing, 'proven file')} missing and ${plural(different, 'changed file')}; ${held}${strays}`,
  )
}
