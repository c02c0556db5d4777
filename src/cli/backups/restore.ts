import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import type { Config } from '../../config.ts'
import { type BackupHeader, countRows, newestMigration } from '../../database/backups/format.ts'
import { KEY_FILE_NAME, keyIn, readKeyFile, writeKeyFile } from '../../database/backups/key-file.ts'
import { loadBackup, migrationsOf } from '../../database/backups/load-backup.ts'
import { checkBackup } from '../../database/backups/read-backup.ts'
import { recipientOf, unseal } from '../../database/backups/seal.ts'
import { migrate } from '../../database/migrate.ts'
import { AppError, isAppError } from '../../errors.ts'
import { ago, count, plural } from '../../library/words.ts'
import { silentLog } from '../../log.ts'
import {
  assertAsNamed,
  type FoundBackup,
  findBackups,
  peekAt,
  readFound,
} from '../../placement/backups/found-backups.ts'
import type { Location } from '../../placement/location.ts'
import { JOBS_SECTION } from '../../queue/backup-jobs.ts'
import { type CliContext, EXIT, type ExitCode, type PartsWithoutLedger } from '../context.ts'
import { adoptFromCli } from '../storage/adopt.ts'
import { bytes } from '../text.ts'

export type RestoreOptions = { from: string; at?: string; keyFile?: string; yes?: boolean; adopt?: boolean }
type Key = { identity: string; recipient: string }
type Chosen = { found: FoundBackup; header: BackupHeader; ofAll: number }

/** What a new disk may hold, and is no file of anybody's. */
const OF_THE_DISK = ['lost+found']
/** What a location's copy is read in. */
const READ_BYTES = 256 * 1024

/**
 * Brings an installation back from a backup at a location, on a machine that has none: its database, its backup
 * key and the marker of its media folder. Nothing at the location is changed; what it holds beyond the backup is
 * met by the adoption that follows.
 */
export async function restoreFromBackup(context: CliContext, options: RestoreOptions): Promise<ExitCode> {
  const restored = await context.withoutLedger(async (parts) => {
    await parts.assertNoInstallation()
    const location = parts.locations.get(options.from)
    if (location === undefined) {
      const names = [...parts.locations.keys()].join(', ')
      throw new AppError('invalid', `unknown location "${options.from}". Available: ${names}`)
    }
    await assertMediaFolder(parts)
    const key = await askForKey(context, parts.config, options.keyFile)
    const chosen = await choose(location, key.identity, options.at)
    await migrationsOf(chosen.header)
    if (!options.yes) {
      await checkWhole(context, location, chosen, key)
      describePlan(context, parts.config, location, chosen, options)
      return null
    }
    await restore(context, parts, location, chosen, key)
    return [...parts.locations.keys()]
  })
  if (restored === null) return EXIT.attention
  if (options.adopt) return adoptAll(context)
  context.print(
    [
      '',
      'The locations hold what came after the backup. These commands count it, and take it over; nothing is removed:',
      ...restored.map((id) => `    glassine storage adopt ${id} --yes`),
      'Then start the server. Until then nothing is written there.',
    ].join('\n'),
  )
  return EXIT.done
}

/** The media folder is new, or that of the installation. @throws AppError conflict where it holds other files */
async function assertMediaFolder({ config, locations }: PartsWithoutLedger): Promise<void> {
  const folder = config.storage.local.mediaLocation
  if ((await locations.get('local')!.backend.readMarker()) !== null) return
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const others = names.filter((name) => !OF_THE_DISK.includes(name))
  if (others.length > 0)
    throw new AppError(
      'conflict',
      `The media folder ${folder} is not empty, and is none of Glassine's: it has no marker. Empty it, or name another one in storage.local.mediaLocation. Nothing was changed.`,
    )
}

async function askForKey(context: CliContext, config: Config, keyFile: string | undefined): Promise<Key> {
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

/**
 * The newest one that the key opens, or the one that was asked for. One that is damaged is never passed over in
 * silence: who restores an older one must have said so.
 */
async function choose(location: Location, identity: string, at: string | undefined): Promise<Chosen> {
  const all = await findBackups(location)
  if (all.length === 0)
    throw new AppError('not-found', `There is no backup at ${location.label}: nothing lies under backups/.`)
  const wanted = at === undefined ? all : upTo(all, at)
  const failed: { found: FoundBackup; error: AppError }[] = []
  for (const found of wanted) {
    try {
      const header = await peekAt(location, found, identity)
      const own = failed.filter((one) => one.found.installation === found.installation)
      if (own[0] !== undefined) throw damagedNewest(own[0].found, own[0].error, found)
      return {
        found,
        header,
        ofAll: all.filter(({ installation }) => installation === found.installation).length,
      }
    } catch (error) {
      if (!isAppError(error, 'invalid') && !isAppError(error, 'corrupt')) throw error
      if (error.details?.isChoice === true) throw error
      failed.push({ found, error })
    }
  }
  const damage = failed.find(({ error }) => error.code === 'corrupt')
  if (damage !== undefined) throw new AppError('corrupt', `${damage.found.key}: ${damage.error.message}`)
  throw new AppError(
    'invalid',
    `The key opens none of the ${plural(wanted.length, 'backup')} at ${location.label}: they were made for another one.`,
  )
}

function upTo(all: readonly FoundBackup[], at: string): FoundBackup[] {
  const named = all.filter(({ key }) => key === at)
  if (named.length > 0) return named
  const time = /^\d{4}-\d\d-\d\d/.test(at)
    ? new Date(at.replace(/T(\d\d)-(\d\d)-(\d\d)Z$/, 'T$1:$2:$3Z'))
    : null
  if (time === null || Number.isNaN(time.getTime()))
    throw new AppError('invalid', '--at: write a key of the listing, or a time such as 2026-05-04T03:00:00Z')
  const older = all.filter(({ takenAt }) => takenAt.getTime() <= time.getTime())
  if (older.length === 0) throw new AppError('not-found', `There is no backup from ${at} or before it.`)
  return older
}

function damagedNewest(bad: FoundBackup, error: AppError, before: FoundBackup | undefined): AppError {
  const next =
    before === undefined
      ? 'There is none before it.'
      : `The one before it is of ${before.takenAt.toISOString()}; to restore that one:\n    glassine restore ... --at ${before.key}`
  return new AppError('corrupt', `The newest backup, ${bad.key}, can't be used: ${error.message}\n${next}`, {
    cause: error,
    details: { isChoice: true },
  })
}

/** Reads all of it, and writes nothing. */
async function checkWhole(
  context: CliContext,
  location: Location,
  chosen: Chosen,
  { identity }: Key,
): Promise<void> {
  context.progress(`reading ${chosen.found.key}`)
  await orNameNext(location, chosen.found, async () => {
    const { header } = await checkBackup(unseal(readFound(location, chosen.found), identity))
    assertAsNamed(header, chosen.found)
  })
  context.progress('')
}

/** An error of a backup that is damaged behind its header tells which one could be taken instead. */
async function orNameNext<T>(location: Location, found: FoundBackup, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!isAppError(error, 'corrupt')) throw error
    const own = (await findBackups(location)).filter(
      ({ installation }) => installation === found.installation,
    )
    throw damagedNewest(found, error, own[own.findIndex(({ key }) => key === found.key) + 1])
  }
}

function describePlan(
  { print, style }: CliContext,
  config: Config,
  location: Location,
  { found, header, ofAll }: Chosen,
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

async function restore(
  context: CliContext,
  { config, locations, withEmpty }: PartsWithoutLedger,
  location: Location,
  chosen: Chosen,
  key: Key,
): Promise<void> {
  const { found } = chosen
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 })
  const folder = join(config.dataDir, 'restore')
  // What an interrupted restore has fetched.
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { mode: 0o700 })
  const file = join(folder, 'backup.age')
  const sealed = () => createReadStream(file, { highWaterMark: READ_BYTES })
  try {
    context.progress(`fetching ${found.key} (${bytes(found.size)})`)
    await pipeline(readFound(location, found), createWriteStream(file, { mode: 0o600 }))
    // All of it, before there is a database.
    await orNameNext(location, found, async () => {
      const { header } = await checkBackup(unseal(sealed(), key.identity))
      assertAsNamed(header, found)
    })
    await withEmpty(async (pool) => {
      await loadBackup(pool, unseal(sealed(), key.identity), {
        sections: [JOBS_SECTION],
        onTable: (name) => context.progress(`restoring ${name}`),
        beforeCommit: async (client) => {
          await assertSameKey(client, key)
          await markMediaFolder(client, locations.get('local')!)
          const own = join(config.dataDir, KEY_FILE_NAME)
          if ((await readKeyFile(own)) === null) await writeKeyFile(own, key)
        },
      })
      // As at any start of this version.
      await migrate(pool, silentLog)
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  context.progress('')
  context.print(
    `Restored: ${count(countRows(chosen.header))} rows, as they were at ${found.takenAt.toISOString()}. The backup key lies in the data folder again.`,
  )
}

/** Later backups are made for the recipient that the database names. @throws AppError conflict */
async function assertSameKey(client: pg.ClientBase, { recipient }: Key): Promise<void> {
  const { rows } = await client.query<{ isSame: boolean }>(
    'select exists (select from installation where recipient = $1) as "isSame"',
    [recipient],
  )
  if (!rows[0]!.isSame)
    throw new AppError(
      'conflict',
      'The backup says that its installation has another key. Nothing was restored.',
    )
}

/** Without its marker the server would take the new folder for a disk that is not mounted. */
async function markMediaFolder(client: pg.ClientBase, local: Location): Promise<void> {
  const { rows } = await client.query<{ marker: string | null }>(
    "select marker from location where id = 'local'",
  )
  const marker = rows[0]?.marker ?? null
  const held = await local.backend.readMarker()
  if (marker === null || held === marker) return
  if (held !== null)
    throw new AppError(
      'conflict',
      `${local.label} is the media folder of another installation. Nothing was restored.`,
    )
  await local.backend.writeMarker(marker)
}

/** One after the other; what fails with one keeps no other from being taken over. */
async function adoptAll(context: CliContext): Promise<ExitCode> {
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
