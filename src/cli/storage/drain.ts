import { drainSentences } from '../../library/server/words/drain-words.ts'
import { plural } from '../../library/words.ts'
import { beginDrain, cancelDrain } from '../../placement/locations/drains.ts'
import { retireLocation } from '../../placement/locations/retire.ts'
import { type DrainStatus, drainStatuses } from '../../placement/reports/drain-status.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes } from '../text.ts'

export type DrainOptions = { cancel?: boolean; json?: boolean }

/** Begins to empty a location, or, where that is under way, says how far it is. */
export async function drainFromCli(
  context: CliContext,
  locationId: string,
  { cancel = false, json = false }: DrainOptions,
): Promise<ExitCode> {
  const status = await context.withPlacement(async (placement) => {
    await (cancel ? cancelDrain : beginDrain)(placement, locationId)
    return (await drainStatuses(placement)).get(locationId) ?? null
  })
  if (json) context.print(JSON.stringify(status, null, 2))
  else if (status === null)
    context.print(`${locationId} is not drained any more: files belong there as the configuration says.`)
  else {
    context.print(drainLines(locationId, status).join('\n'))
    context.print('The servers and workers do it. Pausing the queue Copying pauses it; --cancel ends it.')
  }
  return status !== null && status.failures.length + status.waitingKinds.length > 0
    ? EXIT.attention
    : EXIT.done
}

export function drainLines(locationId: string, status: DrainStatus): string[] {
  const units = { bytes, files: (count: number) => plural(count, 'file') }
  return drainSentences(status, units).map((sentence) => `${locationId}: ${sentence}`)
}

/** Refuses, with the numbers, while anything is left there. */
export async function retireFromCli(
  context: CliContext,
  locationId: string,
  options: { json?: boolean },
): Promise<ExitCode> {
  await context.withPlacement((placement) => retireLocation(placement, locationId))
  context.print(
    options.json
      ? JSON.stringify({ retired: locationId })
      : `${locationId} is retired. Take its description out of the configuration of every process, and run "npx glassine storage reload".\n` +
          'Its files .glassine-location and .glassine-counter stay there: remove them before anybody uses the place anew.',
  )
  return EXIT.done
}
