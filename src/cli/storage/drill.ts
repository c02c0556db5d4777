import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { plural } from '../../library/words.ts'
import {
  blockableLocations,
  currentDrills,
  type Drill,
  startDrill,
  stopDrill,
} from '../../placement/locations/drill.ts'
import type { Placement } from '../../placement/placement.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

export type DrillOptions = { minutes?: string; stop?: boolean; wait: boolean; json?: boolean }

const LOOK_INTERVAL_MS = 1_000

/**
 * Makes a place unreachable for some minutes and shows how many are left. Ending the command does not end the
 * drill: that ends by itself, or with --stop.
 */
export async function runDrill(
  context: CliContext,
  named: string | undefined,
  options: DrillOptions,
): Promise<ExitCode> {
  if (options.stop) return stop(context, named, options)
  const minutes = Number(options.minutes ?? 5)
  return context.withPlacement(async (placement) => {
    const locationId = named ?? onlyLocation(placement)
    const drill = await startDrill(placement, { locationId, minutes, actor: 'cli' })
    if (options.json) {
      const { startedAt, endsAt } = drill
      context.print(JSON.stringify({ location: locationId, startedAt, endsAt }, null, 2))
    } else context.print(describeBegin(drill))
    if (!options.wait) return EXIT.done
    for (;;) {
      const current = (await currentDrills(placement.db)).find((one) => one.locationId === locationId)
      if (current === undefined) break
      context.progress(`drill of ${locationId}: ${timeLeft(current.leftMs)}`)
      await sleep(Math.min(LOOK_INTERVAL_MS, Math.max(1, current.leftMs)))
    }
    context.progress('')
    if (!options.json) context.print(describeEnd(locationId))
    return EXIT.done
  })
}

/** @throws AppError invalid where it would have to be guessed */
function onlyLocation(placement: Placement): string {
  const [only, ...others] = blockableLocations(placement)
  if (only === undefined) throw new AppError('invalid', 'there is no bucket whose outage could be simulated')
  if (others.length > 0) throw new AppError('invalid', `name a location: ${[only, ...others].join(', ')}`)
  return only
}

/** Without a name, every drill. */
async function stop(
  context: CliContext,
  locationId: string | undefined,
  options: DrillOptions,
): Promise<ExitCode> {
  if (options.minutes !== undefined) {
    throw new AppError('invalid', '--stop ends the drill now: leave out --minutes')
  }
  const stopped = await context.withPlacement((placement) => stopDrill(placement, locationId ?? null))
  if (options.json) context.print(JSON.stringify({ stopped }, null, 2))
  else if (stopped.length === 0)
    context.print(`No drill${locationId === undefined ? '' : ` of ${locationId}`} runs.`)
  else context.print(stopped.map(describeEnd).join('\n'))
  return EXIT.done
}

export function describeBegin({ locationId, endsAt, leftMs }: Drill): string {
  return [
    `${locationId} can't be reached for ${plural(Math.round(leftMs / 60_000), 'minute')}, until ${endsAt.toISOString()}.`,
    `It ends by itself; glassine storage drill ${locationId} --stop ends it earlier.`,
  ].join('\n')
}

function describeEnd(locationId: string): string {
  return `The drill of ${locationId} is over. What waited goes on by itself: glassine storage status shows it.`
}

export function timeLeft(leftMs: number): string {
  const seconds = Math.ceil(leftMs / 1_000)
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s left`
}
