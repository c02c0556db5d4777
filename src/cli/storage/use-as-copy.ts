import type { Config } from '../../config.ts'
import { plural } from '../../library/words.ts'
import { bucketNameOf } from '../../placement/location.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { type CopyPlan, planCopy, useAsCopy } from '../../placement/takeover/use-as-copy.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes } from '../text.ts'

export type UseAsCopyOptions = { yes?: boolean; json?: boolean }

/** Without --yes it says in numbers what it would do, and ends with 3: somebody has to decide. */
export async function useAsCopyFromCli(
  context: CliContext,
  locationId: string,
  options: UseAsCopyOptions,
): Promise<ExitCode> {
  return context.withPlacement(async (placement, config) => {
    requireLocation(placement, locationId)
    const plan = options.yes
      ? await useAsCopy(placement, locationId, { region: regionOf(config, locationId) })
      : await planCopy(placement, locationId)
    if (options.json) context.print(JSON.stringify({ ...plan, isDone: options.yes === true }, null, 2))
    else context.print(describeCopy(locationId, plan, options.yes === true))
    return options.yes ? EXIT.done : EXIT.attention
  })
}

/** Of a bucket at AWS, whose address is made of it. */
function regionOf({ storage }: Config, locationId: string): string {
  const name = bucketNameOf(locationId)
  return (name === 's3' ? storage.s3 : storage.buckets[name])?.region ?? 'us-east-1'
}

export function describeCopy(
  id: string,
  { readThere, writtenTo, originalIs }: CopyPlan,
  isDone: boolean,
): string {
  const files = `${plural(readThere.count, 'file')} (${bytes(readThere.bytes)})`
  return [
    `This installation ${isDone ? 'is' : 'becomes'} a copy. ${files} stay at the location of the original and are read there:`,
    `    ${originalIs}`,
    'Nothing is ever written or removed there. What is new goes to:',
    `    ${writtenTo}`,
    '',
    isDone
      ? 'Start the server again: from then on it works as a copy.'
      : `Stop the server, then run:\n    npx glassine storage use-as-copy ${id} --yes`,
  ].join('\n')
}
