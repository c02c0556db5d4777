import { nameAgain, placesStatus } from '../library/processing/waiting-places.ts'
import { plural } from '../library/words.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'

export type PlacesOptions = { update?: boolean; json?: boolean }

/** How many places have names; with `--update`, those of older data wait for newer ones. */
export async function printPlaces(context: CliContext, options: PlacesOptions): Promise<ExitCode> {
  const status = await context.withPlacement(async ({ db }) => {
    if (options.update) await nameAgain(db)
    return placesStatus(db)
  })
  const { waiting, outdated } = status
  context.print(
    options.json
      ? JSON.stringify(status, null, 2)
      : [
          `${plural(waiting, 'asset')} with coordinates ${waiting === 1 ? 'waits' : 'wait'} for the name of the place.`,
          `${plural(outdated, 'asset')} ${outdated === 1 ? 'has a name' : 'have names'} of older data.`,
        ].join('\n'),
  )
  return EXIT.done
}
