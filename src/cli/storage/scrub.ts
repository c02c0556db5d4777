import { plural } from '../../library/words.ts'
import type { Location } from '../../placement/location.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { type ScrubReport, scrubLocation } from '../../placement/scrub/scrub-location.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, type Style } from '../text.ts'

export type ScrubFromCliOptions = { yes?: boolean; json?: boolean }
export type Scrubbed = {
  id: string
  /** Null: another process is at it, or `error`. */
  report: ScrubReport | null
  error: string | null
}

/**
 * Reads all that a location holds and compares it with the SHA-256, whatever the budget says; of a bucket,
 * whose owner pays for that, only with --yes. Can be interrupted, and goes on there.
 */
export async function scrubFromCli(
  context: CliContext,
  locationId: string,
  options: ScrubFromCliOptions,
): Promise<ExitCode> {
  const stop = new AbortController()
  const interrupt = () => stop.abort()
  process.once('SIGINT', interrupt)
  try {
    return await context.withPlacement(async (placement) => {
      const location = requireLocation(placement, locationId)
      if (location.kind !== 'disk' && !options.yes) {
        context.print(whatItReads(location))
        return EXIT.attention
      }
      context.progress(`reading ${location.id} (${location.label})`)
      const onProgress = ({ read, wrong }: ScrubReport['found']) =>
        context.progress(
          `reading ${location.id}: ${plural(read.count, 'file')}, ${bytes(read.bytes)}${wrong > 0 ? `, ${plural(wrong, 'wrong one')}` : ''}`,
        )
      const [result] = await Promise.allSettled([
        scrubLocation(placement, location.id, { isUnlimited: true, onProgress, signal: stop.signal }),
      ])
      context.progress('')
      const scrubbed: Scrubbed = {
        id: location.id,
        report: result.status === 'fulfilled' ? result.value : null,
        error: result.status === 'rejected' ? (result.reason as Error).message : null,
      }
      context.print(options.json ? JSON.stringify(scrubbed, null, 2) : describeScrub(scrubbed, context.style))
      if (scrubbed.error !== null) return EXIT.failed
      const { report } = scrubbed
      return report !== null && report.found.wrong + report.found.unread === 0 ? EXIT.done : EXIT.attention
    })
  } finally {
    process.removeListener('SIGINT', interrupt)
  }
}

function whatItReads({ id, label }: Pick<Location, 'id' | 'label'>): string {
  return [
    `All originals and sidecars that are verified in ${label} would be read, which the provider bills.`,
    '"npx glassine storage status" says how many bytes they have. To read them:',
    `    npx glassine storage scrub ${id} --yes`,
  ].join('\n')
}

export function describeScrub({ id, report, error }: Scrubbed, style: Style): string {
  if (error !== null) return style.red(`▨  ${id}: ${error}`)
  if (report === null) return `□  ${id}: another process is reading it; see storage status`
  const { read, wrong, unread } = report.found
  const sum = `${plural(read.count, 'file')} (${bytes(read.bytes)}) read and right`
  const rest = [
    ...(wrong > 0 ? [`${plural(wrong, 'file')} with wrong bytes`] : []),
    ...(unread > 0 ? [`${plural(unread, 'file')} could not be read`] : []),
  ]
  const end = report.isFinished ? '' : '; interrupted: run it again to go on'
  if (rest.length === 0) return `■  ${id}: ${sum}${end}`
  return style.red(`▨  ${id}: ${rest.join(' and ')}; ${sum}${end}`)
}
