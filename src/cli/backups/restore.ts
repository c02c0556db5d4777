import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../config.ts'
import { countRows, newestMigration } from '../../database/backups/format.ts'
import { KEY_FILE_NAME, keyIn, readKeyFile } from '../../database/backups/key-file.ts'
import { migrationsOf } from '../../database/backups/load-backup.ts'
import { recipientOf } from '../../database/backups/seal.ts'
import { AppError } from '../../errors.ts'
import { ago, count, plural } from '../../library/words.ts'
import { silentLog } from '../../log.ts'
import { type ChosenBackup, checkChosen, chooseBackup } from '../../placement/backups/choose-backup.ts'
import { assertMediaFolder, restoreInstallation } from '../../placement/backups/restore-installation.ts'
import { forgetCatalogueAdoption } from '../../placement/catalogue/adoption-state.ts'
import type { Location } from '../../placement/location.ts'
import { requireLocation } from '../../placement/locations/locations.ts'
import { adoptCatalogueFromCli } from '../catalogue/adopt.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { adoptFromCli } from '../storage/adopt.ts'
import { bytes } from '../text.ts'

export type RestoreOptions = { from: string; at?: string; keyFile?: string; yes?: boolean; adopt?: boolean }
type Key = { identity: string; recipient: string }

/**
 * Brings an installation back from a backup at a location, on a machine that has none: its database, its
 * backup key and the marker of its media folder. Nothing at the location is changed; what it holds beyond the
 * backup is met by the adoption that follows.
 */
export async function restoreFromBackup(context: CliContext, options: RestoreOptions): Promise<ExitCode> {
  const restored = await context.withoutLedger(async (parts) => {
    await parts.assertNoInstallation()
    const location = requireLocation(parts, options.from)
    const local = parts.locations.get('local')!
    await assertMediaFolder(local, parts.config.storage.local.mediaLocation)
    const key = await askForKey(context, parts.config, options.keyFile)
    const chosen = await chooseBackup(location, key.identity, options.at)
    await migrationsOf(chosen.header)
    if (!options.yes) {
      context.progress(`reading ${chosen.found.key}`)
      await checkChosen(location, chosen, key.identity)
      context.progress('')
      describePlan(context, parts.config, location, chosen, options)
      return null
    }
    await restoreInstallation({
      dataDir: parts.config.dataDir,
      ...{ local, location, chosen, key },
      withEmpty: parts.withEmpty,
      beforeCommit: forgetCatalogueAdoption,
      log: silentLog,
      onProgress: (text) => context.progress(text),
    })
    context.progress('')
    context.print(
      `Restored: ${count(countRows(chosen.header))} rows, as they were at ${chosen.found.takenAt.toISOString()}. The backup key lies in the data folder again.`,
    )
    return [...parts.locations.keys()]
  })
  if (restored === null) return EXIT.attention
  if (options.adopt) {
    const code = await adoptAll(context)
    context.print('')
    const found = await adoptCatalogueFromCli(context, { yes: true, isFresh: true })
    return code === EXIT.done ? found : code
  }
  context.print(
    [
      '',
      'The locations hold what came after the backup. These commands take them over, and bring it back; nothing is removed:',
      ...restored.map((id) => `    glassine storage adopt ${id} --yes`),
      '    glassine catalogue adopt --yes',
      'Then start the server. Until then nothing is written there.',
    ].join('\n'),
  )
  return EXIT.done
}

export async function askForKey(
  context: CliContext,
  config: Config,
  keyFile: string | undefined,
): Promise<Key> {
  const own = join(config.dataDir, KEY_FILE_NAME)
  const there = await readKeyFile(own)
  let typed: string
  if (keyFile !== undefined) {
    typed = await readFile(keyFile, 'utf8').catch((error: Error) => {
      throw new AppError('invalid', `--key-file: ${error.message}`, { cause: error })
    })
  } else if (there !== null) typed = there
  else if (context.input.isTerminal)
    typed = await context.input.askHidden('The backup key (it is not shown): ')
  else throw new AppError('invalid', 'Name the file with the backup key: --key-file FILE')
  const identity = keyIn(typed)
  const recipient = await recipientOf(identity)
  if (there !== null && there !== identity)
    throw new AppError('conflict', `${own} holds another key. Move it away first. Nothing was changed.`)
  return { identity, recipient }
}

function describePlan(
  { print, style }: CliContext,
  config: Config,
  location: Location,
  { found, header, ofAll }: ChosenBackup,
  { from }: RestoreOptions,
): void {
  const rowsOf = (name: string) => header.tables.find((table) => table.name === name)?.rows ?? 0
  print(
    [
      style.bold(
        `The backup of ${found.takenAt.toISOString().slice(0, 16).replace('T', ' ')} UTC (${ago(found.takenAt.toISOString(), new Date())}) can be restored.`,
      ),
      `${location.label} holds ${plural(ofAll, 'backup')} of this installation; this is ${found.key} (${bytes(found.size)}).`,
      '',
      `It brings back ${plural(rowsOf('app_user'), 'user')}, ${plural(rowsOf('asset'), 'asset')}, ${plural(rowsOf('album'), 'album')} and ${plural(rowsOf('glassine_jobs'), 'job')}: ${count(countRows(header))} rows in all,`,
      `made by Glassine ${header.glassine} (${newestMigration(header)}) on PostgreSQL ${header.postgres}.`,
      `The database: ${config.database.url === null ? `a new one in ${config.dataDir}` : 'the empty one of database.url'}. The media folder: ${config.storage.local.mediaLocation}.`,
      'Nothing at the location is changed.',
      '',
      `To do it:\n    glassine restore --from ${from} --at ${found.key} --yes`,
    ].join('\n'),
  )
}

/** One after the other; what fails with one keeps no other from being taken over. */
export async function adoptAll(context: CliContext): Promise<ExitCode> {
  const ids = await context.withPlacement(async ({ locations }) =>
    [...locations.values()].filter(({ isReadOnly }) => !isReadOnly).map(({ id }) => id),
  )
  let code: ExitCode = EXIT.done
  for (const id of ids) {
    context.print('')
    try {
      const one = await adoptFromCli(context, id, { yes: true })
      if (one !== EXIT.done) code = one
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      context.print(context.style.red(`${id}: ${error.message}`))
      code = EXIT.attention
    }
  }
  return code
}
