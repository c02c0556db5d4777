/**
 * Config -> the database, and the embedded PostgreSQL where that is configured. Apart from `app.ts`, so that
 * a command about users or backups loads no storage, which is a third of its start.
 */
import { relative } from 'node:path'
import type pg from 'pg'
import type { Config } from './config.ts'
import { holdsCluster, noInstallation, prepareDataFolder } from './data-folder.ts'
import { connectDatabase, type Database } from './database/connect.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './database/embedded/embedded.ts'
import { isSetUp, migrate } from './database/migrate.ts'
import { AppError } from './errors.ts'
import type { Log } from './log.ts'

export type OpenDatabase = {
  db: Database
  /** The embedded PostgreSQL runs as another user, since it does not run as root. */
  isOfAnotherUser: boolean
  pool: pg.Pool
  close(): Promise<void>
  /**
   * The milliseconds within which `close` must be over: the embedded PostgreSQL, which is last, gets what is
   * left.
   */
  finishWithin(withinMs: number): void
  kill(): void
}

/**
 * `mustExist`: nothing is made where there is no installation yet, and nothing is migrated. `isToBeRestored`:
 * nothing is migrated, since a backup is to be loaded.
 */
export type OpenOptions = { mustExist?: boolean; isToBeRestored?: boolean }

/**
 * The database alone, migrated: enough for commands that touch no file.
 * @throws AppError not-found: there is no installation, and it `mustExist`
 */
export async function openDatabase(
  config: Config,
  log: Log,
  { mustExist = false, isToBeRestored = false }: OpenOptions = {},
): Promise<OpenDatabase> {
  const isEmbedded = config.database.url === null
  if (mustExist && isEmbedded && !(await holdsCluster(config.dataDir)))
    throw noInstallation(fromHere(config.dataDir), 'set GLASSINE_DATA to its data folder')
  await prepareDataFolder(config.dataDir)
  await using cleanup = new AsyncDisposableStack()
  let finishAt = Number.POSITIVE_INFINITY
  let embedded: EmbeddedPostgres | undefined
  if (isEmbedded) {
    const started = await startEmbeddedPostgres({ dataDir: config.dataDir, log, onMoved: endProcess })
    embedded = started
    cleanup.defer(() => started.stop(Math.min(8_000, Math.max(1_000, finishAt - performance.now()))))
  }
  const url = config.database.url ?? embedded?.url ?? ''
  const { pool, db } = connectDatabase(url, log, { maxConnections: config.database.maxConnections })
  cleanup.defer(() => endPool(pool))
  const prepare = async () => {
    if (mustExist && !isEmbedded && !(await isSetUp(pool)))
      throw noInstallation(
        'the database of database.url',
        'correct it, or set GLASSINE_CONFIG to the file with the right one',
      )
    if (isToBeRestored) await pool.query('select')
    else await migrate(pool, log)
  }
  await prepare().catch((error: Error & { code?: string }) => {
    if (error instanceof AppError || isEmbedded) throw error
    throw new AppError('unavailable', `database.url: PostgreSQL can't be used: ${describe(error)}`, {
      cause: error,
    })
  })
  const parts = cleanup.move()
  return {
    db,
    pool,
    isOfAnotherUser: embedded?.isOfAnotherUser ?? false,
    close: () => parts.disposeAsync(),
    finishWithin(withinMs) {
      finishAt = performance.now() + withinMs
    },
    kill: () => embedded?.kill(),
  }
}

/** As an error that nobody caught (bin/lifecycle.ts): in good order, with an exit code that says so. */
function endProcess(error: AppError): void {
  setImmediate(() => {
    throw error
  })
}

/** `./data` where that is shorter: as people would type it. */
function fromHere(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') || short === '' ? path : `./${short}`
}

/** A connection that is still in use must not keep the process alive. */
async function endPool(pool: pg.Pool): Promise<void> {
  await Promise.race([pool.end(), new Promise((resolve) => setTimeout(resolve, 500).unref())])
}

/** Connection errors of Node hold one message per address, and none of their own. */
function describe(error: Error & { code?: string }): string {
  return error.message || error.code || error.name
}
