/**
 * Brings an installation back on a machine that has none: its database, its backup key, and the marker of its
 * media folder. Nothing is changed at the location that the backup is read from.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { assertRecipient, noteRestored } from '../../database/backups/installation.ts'
import { KEY_FILE_NAME, readKeyFile, writeKeyFile } from '../../database/backups/key-file.ts'
import { loadBackup } from '../../database/backups/load-backup.ts'
import { unseal } from '../../database/backups/seal.ts'
import { migrate } from '../../database/migrate.ts'
import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { JOBS_SECTION } from '../../queue/backup-jobs.ts'
import { MARKER_NAME } from '../../storage/object-key.ts'
import type { Location } from '../location.ts'
import { type ChosenBackup, checkChosen } from './choose-backup.ts'
import { readFound } from './found-backups.ts'

/** What a new disk may hold, and is no file of anybody's. */
const OF_THE_DISK = ['lost+found']
const READ_BYTES = 256 * 1024
/** Of our own: what else lies in the data folder may be somebody's media folder. */
const FOLDER_BEGIN = '.glassine-restore-'
const FETCHED = 'backup.age'

/**
 * The media folder is new, or that of an installation. @throws AppError conflict where it holds other files
 */
export async function assertMediaFolder(local: Location, folder: string): Promise<void> {
  if ((await local.backend.readMarker()) !== null) return
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  // A restore that was killed while it wrote the marker has left half of one.
  if (names.every((name) => OF_THE_DISK.includes(name) || name.startsWith(`${MARKER_NAME}.`))) return
  throw new AppError(
    'conflict',
    `The media folder ${folder} is not empty, and is none of Glassine's: it has no marker. Empty it, or name another one in storage.local.mediaLocation. Nothing was changed.`,
  )
}

type Parts = {
  dataDir: string
  local: Location
  /** Where the backup is. */
  location: Location
  chosen: ChosenBackup
  key: { identity: string; recipient: string }
  /** Makes the database where there is none; throws where there is an installation. */
  withEmpty<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T>
  /** What else is to hold of the restored rows, in the transaction that makes them count. */
  beforeCommit(client: pg.ClientBase): Promise<void>
  log: Log
  onProgress(text: string): void
}

/**
 * Fetches the backup, reads it to its end, and only then makes and fills the database. Killed at any point,
 * it can be called again: either nothing was restored, or all of it.
 */
export async function restoreInstallation({
  dataDir,
  local,
  location,
  chosen,
  key,
  withEmpty,
  beforeCommit,
  log,
  onProgress,
}: Parts): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await removeInterrupted(dataDir)
  const folder = await mkdtemp(join(dataDir, FOLDER_BEGIN))
  const file = join(folder, FETCHED)
  const takenAt = new Date(chosen.header.takenAt)
  const sealed = () => createReadStream(file, { highWaterMark: READ_BYTES })
  try {
    onProgress(`fetching ${chosen.found.key}`)
    await pipeline(readFound(location, chosen.found), createWriteStream(file, { mode: 0o600 }))
    await checkChosen(location, chosen, key.identity, sealed())
    await withEmpty(async (pool) => {
      await loadBackup(pool, unseal(sealed(), key.identity), {
        sections: [JOBS_SECTION],
        onTable: (name) => onProgress(`restoring ${name}`),
        beforeCommit: async (client) => {
          await assertRecipient(client, key.recipient)
          await noteRestored(client, takenAt)
          await beforeCommit(client)
          await markMediaFolder(client, local)
          const own = join(dataDir, KEY_FILE_NAME)
          if ((await readKeyFile(own)) === null) await writeKeyFile(own, key)
        },
      })
      // As at any start of this version.
      await migrate(pool, log)
      // Where the backed up database was too old to note it. Without it, the backup that was restored is
      // taken for one of another line, which only keeps it longer.
      await noteRestored(pool, takenAt)
    })
  } finally {
    await removeFetched(folder)
  }
}

/** What a restore that was killed has fetched. */
async function removeInterrupted(dataDir: string): Promise<void> {
  for (const entry of await readdir(dataDir, { withFileTypes: true }))
    if (entry.isDirectory() && entry.name.startsWith(FOLDER_BEGIN))
      await removeFetched(join(dataDir, entry.name))
}

/** The one file that a restore makes, and its folder where nothing else lies in it. */
async function removeFetched(folder: string): Promise<void> {
  await rm(join(folder, FETCHED), { force: true })
  await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(error.code ?? '')) throw error
  })
}

/**
 * Without its marker the server would take the new folder for a disk that is not mounted. Written before the
 * commit: a server that starts right after it must find it, and one too many does no harm.
 */
async function markMediaFolder(client: pg.ClientBase, local: Location): Promise<void> {
  const { rows } = await client.query<{ marker: string | null }>(
    'select marker from location where id = $1',
    [local.id],
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
