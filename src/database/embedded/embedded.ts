/**
 * A real PostgreSQL from npm, for those who have none: started on first use, found again after any kind of
 * end, restarted when it dies, stopped by the last process that leaves.
 *
 * The server is its own session (`detached`): Ctrl-C in a terminal reaches every process of the group, and
 * PostgreSQL must stop after the jobs that use it, not with them.
 */
import { spawn } from 'node:child_process'
import { chown, mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import pg from 'pg'
import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { findPostgresBinaries, type PostgresBinaries } from './binaries.ts'
import { addClient, removeClient } from './clients.ts'
import {
  type ClusterPaths,
  choosePort,
  clusterPaths,
  disarmStaleLock,
  findPostmaster,
  type Postmaster,
  prepareCluster,
  withStartLock,
} from './cluster.ts'
import { explainFailedStart, LOG_LINE_PREFIX, readCode } from './failed-start.ts'

export type EmbeddedPostgres = {
  /** `postgres://` with the generated password. */
  url: string
  pid: number
  /** It does not run as root: then it runs as somebody else, who has to pass through the data folder. */
  isOfAnotherUser: boolean
  /**
   * Takes this process off; where it was the last one, a fast shutdown, at most `withinMs` (8 s), then an
   * immediate one.
   */
  stop(withinMs?: number): Promise<void>
  /** Ends the server at once, even if others use it, and does not wait. It recovers at the next start. */
  kill(): void
}

const DATABASE = 'glassine'
const WATCH_INTERVAL_MS = 500
const MAX_LOG_BYTES = 4 * 1024 * 1024
/** How many ports are tried in one start when others take them first. */
const PORT_TRIES = 5
/**
 * The hint comes with EADDRINUSE only, whose own words differ between C libraries. `listen` has none: it
 * fails so when somebody has bound the port as we did and listened first.
 */
const PORT_TAKEN = /Is another postmaster already running on port|could not listen on /

/** For one family on a small machine: about 40 MB resident in all. */
const SETTINGS: Record<string, string> = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '100',
  shared_buffers: '64MB',
  work_mem: '8MB',
  maintenance_work_mem: '64MB',
  max_wal_size: '512MB',
  autovacuum_max_workers: '2',
  io_method: 'sync', // saves the three processes of `worker`
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  log_line_prefix: LOG_LINE_PREFIX,
  log_min_error_statement: 'panic', // statements may hold what nobody should read in a log
  password_encryption: 'scram-sha-256',
}
/** Only for tests, whose data is thrown away. */
const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', autovacuum: 'off' }

/**
 * Starts, or finds running, the PostgreSQL of `{dataDir}/postgres`.
 * @param options.durable false: no fsync, for tests
 * @param options.choosePort for tests
 * @throws AppError conflict (cluster of another major version), unavailable (cannot start; the message holds
 * its log)
 */
export async function startEmbeddedPostgres(options: {
  dataDir: string
  log: Log
  durable?: boolean
  choosePort?: typeof choosePort
}): Promise<EmbeddedPostgres> {
  const { log } = options
  const paths = clusterPaths(resolve(options.dataDir))
  await mkdir(resolve(options.dataDir), { recursive: true, mode: 0o700 })
  await mkdir(paths.folder, { recursive: true, mode: 0o700 })
  await addClient(paths.clients)
  const binaries = await findPostgresBinaries(paths.cluster)
  const settings = { ...SETTINGS, ...(options.durable === false ? NOT_DURABLE : {}) }

  const starting: Starting = { paths, binaries, settings, choosePort: options.choosePort ?? choosePort, log }

  const password = await withStartLock(paths, () => prepareCluster(paths, binaries))
  let postmaster = await ensureRunning(starting, null)
  const url = `postgres://glassine:${password}@127.0.0.1:${postmaster.port}/${DATABASE}`
  await ensureDatabase(url)

  let isStopping = false
  let watching: Promise<void> | null = null
  const watch = setInterval(() => {
    if (watching === null) watching = watchOnce().finally(() => (watching = null))
  }, WATCH_INTERVAL_MS)
  watch.unref()

  async function watchOnce(): Promise<void> {
    try {
      if (isStopping) return
      const found = await findPostmaster(paths)
      if (found?.pid === postmaster.pid && !found.isStopping) return
      if (found?.isStopping) {
        // SIGTERM makes it wait, without new connections, until the last client leaves: for ever, since that
        // is us.
        log.error({ pid: found.pid }, 'somebody ends the embedded PostgreSQL; making it quick')
        signal(found.pid, 'SIGINT')
      }
      log.error({ pid: postmaster.pid }, 'the embedded PostgreSQL has ended; starting it again')
      postmaster = await ensureRunning(starting, postmaster.port)
      log.info({ pid: postmaster.pid }, 'the embedded PostgreSQL runs again')
    } catch (error) {
      log.error({ error: (error as Error).message }, 'the embedded PostgreSQL does not start; trying again')
    }
  }

  return {
    url,
    isOfAnotherUser: binaries.owner !== null,
    get pid() {
      return postmaster.pid
    },
    async stop(withinMs = 8_000) {
      if (isStopping) return
      isStopping = true
      clearInterval(watch)
      await watching
      if (await removeClient(paths.clients)) return
      await stopPostmaster(paths, withinMs, log)
    },
    kill() {
      isStopping = true
      clearInterval(watch)
      signal(postmaster.pid, 'SIGQUIT')
    },
  }
}

type Starting = {
  paths: ClusterPaths
  binaries: PostgresBinaries
  settings: Record<string, string>
  choosePort: typeof choosePort
  log: Log
}

/**
 * The postmaster, ready for connections: the one that runs, or a new one. With `port`, on that port and no
 * other.
 */
async function ensureRunning(starting: Starting, port: number | null): Promise<Postmaster> {
  const { paths, log } = starting
  return withStartLock(paths, async () => {
    const found = await waitUntilSettled(paths, log)
    if (found !== null) return found
    if (port === null) return startOnFreePort(starting)
    return (await startOn(starting, port)) ?? failStart(paths, `Somebody else has port ${port}.`)
  })
}

/** Call under the start lock: whoever has taken a port is then none of ours with the same cluster. */
async function startOnFreePort(starting: Starting): Promise<Postmaster> {
  const { paths, log } = starting
  const lost: number[] = []
  while (lost.length < PORT_TRIES) {
    const port = await starting.choosePort(paths, lost)
    const started = await startOn(starting, port)
    if (started !== null) return started
    lost.push(port)
    log.warn({ port }, 'somebody else took the port of the embedded PostgreSQL before it did')
  }
  return failStart(paths, `Others took the ports that were free a moment before: ${lost.join(', ')}.`)
}

/** Null when somebody else has the port. */
async function startOn(starting: Starting, port: number): Promise<Postmaster | null> {
  const { paths, binaries, settings, log } = starting
  await disarmStaleLock(paths)
  const child = await spawnPostgres(paths, binaries, { ...settings, port: String(port) })
  const started = await waitUntilSettled(paths, log, child)
  if (started !== null || PORT_TAKEN.test(await readLog(paths, child.logFrom))) return started
  const how = { code: readCode(await readLog(paths, child.logFrom)), exitCode: child.exitCode }
  return failStart(paths, (await explainFailedStart(paths.folder, how)) ?? '')
}

async function failStart(paths: ClusterPaths, reason = ''): Promise<never> {
  throw new AppError(
    'unavailable',
    `The embedded PostgreSQL did not start. ${reason && `${reason} `}Its log says: ${await logTail(paths)}`,
  )
}

/** Waits through start-up, recovery and shutdown. Null when no postmaster runs (any more). */
async function waitUntilSettled(
  paths: ClusterPaths,
  log: Log,
  child: { hasEnded: boolean } = { hasEnded: true },
): Promise<Postmaster | null> {
  const beganAt = performance.now()
  let saidAt = beganAt
  for (;;) {
    const postmaster = await findPostmaster(paths)
    if (postmaster?.isReady) return postmaster
    if (postmaster === null && child.hasEnded) return null
    if (performance.now() - saidAt > 5_000) {
      saidAt = performance.now()
      log.info(
        { seconds: Math.round((saidAt - beganAt) / 1000) },
        `waiting for the embedded PostgreSQL to ${postmaster?.isStopping ? 'end' : 'recover'}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** What it says is in the log from byte `logFrom` on. */
type SpawnedPostgres = { hasEnded: boolean; exitCode: number | null; logFrom: number }

async function spawnPostgres(
  paths: ClusterPaths,
  binaries: PostgresBinaries,
  settings: Record<string, string>,
): Promise<SpawnedPostgres> {
  const size = await stat(paths.log).then(
    (found) => found.size,
    () => 0,
  )
  const isFull = size > MAX_LOG_BYTES
  if (isFull) await rename(paths.log, `${paths.log}.old`)
  const output = await open(paths.log, 'a', 0o600)
  if (binaries.owner !== null) await chown(paths.log, binaries.owner.uid, binaries.owner.gid)
  try {
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const { file, args, options } = binaries.command('postgres', ['-D', paths.cluster, ...flags])
    const child = spawn(file, args, { ...options, detached: true, stdio: ['ignore', output.fd, output.fd] })
    const state: SpawnedPostgres = { hasEnded: false, exitCode: null, logFrom: isFull ? 0 : size }
    child.once('error', () => (state.hasEnded = true))
    child.once('exit', (exitCode) => Object.assign(state, { hasEnded: true, exitCode }))
    child.unref()
    return state
  } finally {
    await output.close()
  }
}

async function stopPostmaster(paths: ClusterPaths, withinMs: number, log: Log): Promise<void> {
  const postmaster = await findPostmaster(paths)
  if (postmaster === null) return
  // SIGINT is a fast shutdown (ends sessions, writes a checkpoint); SIGQUIT an immediate one (recovery at
  // next start).
  signal(postmaster.pid, 'SIGINT')
  const quitAt = performance.now() + withinMs - 500
  let hasQuit = false
  while ((await findPostmaster(paths))?.pid === postmaster.pid) {
    if (!hasQuit && performance.now() > quitAt) {
      hasQuit = true
      log.warn(
        { pid: postmaster.pid },
        'the embedded PostgreSQL takes too long to end; it will recover at the next start',
      )
      signal(postmaster.pid, 'SIGQUIT')
    }
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Connects, and makes our database on the first start. */
async function ensureDatabase(url: string): Promise<void> {
  try {
    await withClient(url, async () => undefined)
  } catch (error) {
    if ((error as { code?: string }).code !== '3D000') throw error
    const maintenance = new URL(url)
    maintenance.pathname = '/postgres'
    await withClient(maintenance.href, (client) => client.query(`create database ${DATABASE}`)).catch(
      (failure) => {
        if (failure.code !== '42P04' && failure.code !== '23505') throw failure // another process was first
      },
    )
  }
}

async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}

async function readLog(paths: ClusterPaths, from = 0): Promise<string> {
  const bytes = await readFile(paths.log).catch(() => Buffer.alloc(0))
  return bytes.toString('utf8', from)
}

async function logTail(paths: ClusterPaths): Promise<string> {
  return (await readLog(paths)).trimEnd().split('\n').slice(-6).join('\n')
}
