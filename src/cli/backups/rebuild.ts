import { AppError, isAppError } from '../../errors.ts'
import { beginRebuild, isRebuildUnderWay } from '../../library/catalogue/adoption/rebuild.ts'
import { count } from '../../library/words.ts'
import { silentLog } from '../../log.ts'
import { assertMediaFolder } from '../../placement/backups/restore-installation.ts'
import { installationsWithCatalogue } from '../../placement/catalogue/find-batches.ts'
import { ownersOfOriginals } from '../../placement/catalogue/owners.ts'
import type { Location } from '../../placement/location.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { adoptCatalogueFromCli } from '../catalogue/adopt.ts'
import { type CliContext, EXIT, type ExitCode, type PartsWithoutLedger } from '../context.ts'
import { adoptAll } from './restore.ts'

/**
 * Makes an installation of what a location holds, where there is no backup, or nobody has its key: users,
 * assets and albums of the catalogue, and of the keys what no catalogue names. Passwords, sessions and
 * settings are lost.
 */
export async function rebuildFromCatalogue(
  context: CliContext,
  options: { from: string; installation?: string; yes?: boolean },
): Promise<ExitCode> {
  const isMade = await context.withoutLedger(async (parts) => {
    if (await isBegun(parts)) {
      if (!options.yes)
        context.print(
          `A rebuild has begun here and is not over. To go on with it:\n    glassine rebuild --from ${options.from} --yes`,
        )
      return options.yes === true
    }
    const location = requireLocation(parts, options.from)
    const { mediaLocation } = parts.config.storage.local
    await assertMediaFolder(parts.locations.get('local')!, mediaLocation)
    const installation = await chooseInstallation(location, options.installation)
    const owners = await ownersOfOriginals(location)
    const originals = [...owners.values()].reduce((sum, one) => sum + one, 0)
    if (!options.yes) {
      context.print(
        [
          `${location.label} holds ${count(originals)} originals of ${count(owners.size)} people${installation === null ? ', and no catalogue' : ` and the catalogue of the installation ${installation}`}.`,
          'Users, albums, names and dates come from the catalogue. What no catalogue names gets the name of its key, and its date from the file.',
          'Passwords, API keys and settings are not in a catalogue: if there is a backup and its key, glassine restore brings them back, too.',
          'Each original is read once, which a bucket bills. Nothing there is changed or removed.',
          '',
          `To do it:\n    glassine rebuild --from ${options.from}${options.installation === undefined ? '' : ` --installation ${options.installation}`} --yes`,
        ].join('\n'),
      )
      return false
    }
    await parts.withEmpty((pool) => beginRebuild(pool, installation, silentLog))
    return true
  })
  if (!isMade) return EXIT.attention
  const code = await adoptAll(context)
  context.print('')
  const found = await adoptCatalogueFromCli(context, { yes: true, isRebuild: true, isFresh: true })
  return code === EXIT.done ? found : code
}

/**
 * Whether this command was cut short here. @throws AppError conflict where there is any other installation
 */
async function isBegun(
  parts: Pick<PartsWithoutLedger, 'assertNoInstallation' | 'withAny'>,
): Promise<boolean> {
  try {
    await parts.assertNoInstallation()
    return false
  } catch (error) {
    if (isAppError(error, 'conflict') && (await parts.withAny(isRebuildUnderWay))) return true
    throw error
  }
}

/** Null where the location has no catalogue at all. */
async function chooseInstallation(location: Location, wanted: string | undefined): Promise<string | null> {
  const all = await installationsWithCatalogue(location)
  if (wanted !== undefined) {
    if (all.has(wanted)) return wanted
    throw new AppError('invalid', `--installation: ${location.label} holds no catalogue of "${wanted}"`)
  }
  if (all.size <= 1) return [...all.keys()][0] ?? null
  const lines = [...all].map(
    ([id, batches]) => `    --installation ${id} (${count(batches)} files of its catalogue)`,
  )
  throw new AppError(
    'invalid',
    `${location.label} holds the catalogues of several installations. Choose one:\n${lines.join('\n')}`,
  )
}
