/**
 * A real PostgreSQL from npm, for those who have none: started on first use, found again after any kind of
 * end, restarted when it dies, stopped by the last process that leaves.
 *
 * The server is its own session (`detached`): Ctrl-C in a terminal reaches every process of the group, and
 * PostgreSQL must stop after the jobs that use it, not with them.
 */
import { spawn } from 'node:child_process'
import { chown, mkdir, open, readFile, rename, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { AppError } from '../../errors.ts'
import { type FileLock, tryLock } from '../../file-lock.ts'
import type { Log } from '../../log.ts'
import { findPostgresBinaries, type PostgresBinaries } from './binaries.ts'
import { type ClusterPaths, clusterPaths, OWN_POSTGRES, prepareCluster, waitForLock } from './cluster.ts'
import { explainFailedStart, LOG_LINE_PREFIX, lackOfFiles, readCode } from './failed-start.ts'
import { checkSocketPath, holdFolder } from './held-folder.ts'
import { clearLeftOvers } from './left-overs.ts'
import { SILENCE_MS } from './older.ts'
import {
  endPostmaster,
  findPostmaster,
  isListening,
  readLockFile,
  SOCKET_FOLDER,
  signal,
  socketOf,
} from './postmaster.ts'
import { isPostgresIn } from './process-identity.ts'

export type EmbeddedPostgres = {
  /**
   * `postgres://` with the generated password. Leads to this very cluster, whatever is renamed, and for as
   * long as this process lives.
   */
  url: string
  /** @throws where it runs in another container, so that this process cannot see it */
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
const POLL_MS = 5

/** For one family on a small machine: about 40 MB resident in all. */
const SETTINGS: Record<string, string> = {
  listen_addresses: '', // a port can be taken by anybody else's, a socket in its folder cannot
  unix_socket_directories: SOCKET_FOLDER,
  unix_socket_permissions: '0700',
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

type Options = {
  dataDir: string
  log: Log
  /** False: no fsync, for tests. */
  durable?: boolean
  /** For tests: how long nothing must have been written by an older Glassine that nobody can see. */
  silenceMs?: number
  /** The data folder leads to another one now. This process must end: its paths mix up two installations. */
  onMoved?: (error: AppError) => void
}

/**
 * Starts, or finds running, the PostgreSQL of `{dataDir}/postgres`.
 * @throws AppError conflict (cluster of another major version, or one that somebody else uses), unavailable
 * (cannot start; the message holds its log)
 */
export async function startEmbeddedPostgres(options: Options): Promise<EmbeddedPostgres> {
  const dataDir = resolve(options.dataDir)
  const { folder } = clusterPaths(dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const held = { folder: holdFolder(folder).path }
  const named = clusterPaths(dataDir, held)
  // Waits while the last one who used it ends it. Meanwhile, as each of the two takes some milliseconds:
  const joining = waitForLock(named.inUse, 'shared')
  try {
    const binaries = await findPostgresBinaries(named.cluster)
    const password = await prepareCluster(named, binaries)
    return await startInUse({ ...options, dataDir }, { held, binaries, password, inUse: await joining })
  } catch (error) {
    await joining.then(
      (inUse) => inUse.release(),
      () => undefined,
    )
    throw error
  }
}

type Prepared = { held: { folder: string }; binaries: PostgresBinaries; password: string; inUse: FileLock }

async function startInUse(
  options: Options,
  { held, binaries, password, inUse }: Prepared,
): Promise<EmbeddedPostgres> {
  const { log, dataDir } = options
  const named = clusterPaths(dataDir, held)
  const cluster = holdFolder(named.cluster)
  checkSocketPath(socketOf(cluster.path))
  const paths = clusterPaths(dataDir, { ...held, cluster: cluster.path })
  const url = `postgres://glassine:${password}@${encodeURIComponent(cluster.path)}/${DATABASE}`
  const settings = { ...SETTINGS, ...(options.durable === false ? NOT_DURABLE : {}) }
  const silenceMs = options.silenceMs ?? SILENCE_MS
  let isStopping = false
  const starting: Starting = { paths, binaries, settings, url, silenceMs, log, isOver: () => isStopping }
  let pid = await ensureRunning(starting)

  let watching: Promise<void> | null = null
  const watch = setInterval(() => {
    if (watching === null) watching = watchOnce().finally(() => (watching = null))
  }, WATCH_INTERVAL_MS)
  watch.unref()

  async function watchOnce(): Promise<void> {
    try {
      if (isStopping) return
      if (!(await cluster.isAt(paths.name))) return await leaveMoved()
      const found = await findPostmaster(paths)
      if (found !== null && found.pid === pid && !found.isStopping) return
      if (found === null && pid === null && (await isListening(paths))) return
      if (found?.isStopping) {
        // SIGTERM makes it wait, without new connections, until the last client leaves: for ever, since that
        // is us.
        log.error({ pid: found.pid }, 'somebody ends the embedded PostgreSQL; making it quick')
        signal(found.pid, 'SIGINT')
      }
      log.error({ pid }, 'the embedded PostgreSQL has ended; starting it again')
      pid = await ensureRunning(starting)
      log.info({ pid }, 'the embedded PostgreSQL runs again')
    } catch (error) {
      if (!isStopping)
        log.error({ error: (error as Error).message }, 'the embedded PostgreSQL does not start; trying again')
    }
  }

  /**
   * The paths of media would lead into a folder that belongs to another ledger. Without a database nothing is
   * read or removed there.
   */
  async function leaveMoved(): Promise<void> {
    clearInterval(watch)
    if (pid !== null && (await isPostgresIn(pid, paths.cluster))) signal(pid, 'SIGINT')
    const error = new AppError(
      'conflict',
      `${paths.name} is no longer the database that this process uses: the data folder was moved or replaced ` +
        'while Glassine ran. Its PostgreSQL is ended, and nothing is lost. Stop the server and all workers before you move it.',
    )
    log.error({ cluster: paths.name }, error.message)
    options.onMoved?.(error)
  }

  return {
    url,
    isOfAnotherUser: binaries.owner !== null,
    get pid() {
      if (pid === null) throw new Error(`the PostgreSQL of ${paths.name} runs in another container`)
      return pid
    },
    async stop(withinMs = 8_000) {
      if (isStopping) return
      isStopping = true
      clearInterval(watch)
      await watching
      await leave({ paths, log, pid }, inUse, withinMs)
    },
    kill() {
      isStopping = true
      clearInterval(watch)
      if (pid !== null) signal(pid, 'SIGQUIT')
    },
  }
}

/** The last one to leave ends it, and lets nobody in meanwhile. Of two at once, one is the last. */
async function leave(
  { paths, log, pid }: { paths: ClusterPaths; log: Log; pid: number | null },
  inUse: FileLock,
  withinMs: number,
): Promise<void> {
  await inUse.release()
  const alone = await tryLock(paths.inUse, 'exclusive', OWN_POSTGRES).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return 'removed' as const // with all that the folder held
      throw error
    },
  )
  if (alone === null) return
  const found = alone === 'removed' ? pid : ((await findPostmaster(paths))?.pid ?? null)
  try {
    if (found !== null) await endPostmaster(paths, found, withinMs, log)
    else if (await isListening(paths))
      log.warn({}, 'the embedded PostgreSQL runs in another container, and goes on there')
  } finally {
    if (alone !== 'removed') await alone.release()
  }
}

type Starting = {
  paths: ClusterPaths
  binaries: PostgresBinaries
  settings: Record<string, string>
  url: string
  silenceMs: number
  log: Log
  /** Nobody needs it any more. */
  isOver: () => boolean
}

/**
 * The pid of the postmaster that answers: of the one that runs, null where that is in another container, or
 * of a new one.
 *
 * Who has the lock of the cluster starts it, and hands the lock on to it: until the last of its processes is
 * gone, in whatever container, nobody else can start one.
 */
async function ensureRunning(starting: Starting): Promise<number | null> {
  const { paths, url, log } = starting
  const say = sayWhileWaiting(log)
  while (!starting.isOver()) {
    if (await ensureDatabase(url)) return (await findPostmaster(paths))?.pid ?? null
    const lock = await tryLock(paths.version, 'exclusive', OWN_POSTGRES)
    if (lock !== null) {
      try {
        return await startNew(starting, lock)
      } finally {
        await lock.release()
      }
    }
    say()
    await sleep(10 * POLL_MS)
  }
  throw new Error('it is not needed any more')
}

async function startNew(starting: Starting, lock: FileLock): Promise<number> {
  const { paths, binaries, settings, url, log } = starting
  const lack = await lackOfFiles(dirname(paths.name))
  if (lack !== null) throw new AppError('unavailable', `The embedded PostgreSQL was not started. ${lack}`)
  await clearLeftOvers(paths, log, starting)
  const child = await spawnPostgres(paths, binaries, settings, lock)
  const say = sayWhileWaiting(log)
  for (;;) {
    // Before the look: what has ended says no more.
    const { hasEnded } = child
    const found = await readLockFile(paths)
    if (found?.pid === child.pid && found?.status === 'ready' && (await ensureDatabase(url))) return child.pid
    if (hasEnded) return failStart(paths, child)
    say()
    await sleep(POLL_MS)
  }
}

async function failStart(paths: ClusterPaths, child: SpawnedPostgres): Promise<never> {
  const how = { code: readCode(await readLog(paths, child.logFrom)), exitCode: child.exitCode }
  const reason = await explainFailedStart({ folder: dirname(paths.name), cluster: paths.cluster }, how)
  throw new AppError(
    'unavailable',
    `The embedded PostgreSQL did not start. ${reason === null ? '' : `${reason} `}Its log says: ${await logTail(paths)}`,
  )
}

function sayWhileWaiting(log: Log): () => void {
  const beganAt = performance.now()
  let saidAt = beganAt
  return () => {
    if (performance.now() - saidAt < 5_000) return
    saidAt = performance.now()
    const seconds = Math.round((saidAt - beganAt) / 1000)
    log.info({ seconds }, 'waiting for the embedded PostgreSQL to recover or to end')
  }
}

/** What it says is in the log from byte `logFrom` on. */
type SpawnedPostgres = { pid: number; hasEnded: boolean; exitCode: number | null; logFrom: number }

/**
 * Where each of its processes is, whatever is renamed. PostgreSQL writes its control file by the absolute
 * path of its folder: with a name, the one of a moved folder would overwrite that of the folder in its
 * place. The name stands in a setting of ours instead, for who looks at a list of processes, and for an
 * older Glassine, which knows its PostgreSQL by that.
 */
const DATA_FOLDER = process.platform === 'linux' ? '/proc/self/cwd' : null

async function spawnPostgres(
  paths: ClusterPaths,
  binaries: PostgresBinaries,
  settings: Record<string, string>,
  lock: FileLock,
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
    const flags = Object.entries({ ...settings, 'glassine.cluster': paths.name }).flatMap(([name, value]) => [
      '-c',
      `${name}=${value}`,
    ])
    const { file, args, options } = binaries.command('postgres', ['-D', DATA_FOLDER ?? paths.name, ...flags])
    const stdio = ['ignore', output.fd, output.fd, lock.descriptor] as const
    const child = spawn(file, args, { ...options, cwd: paths.cluster, detached: true, stdio: [...stdio] })
    const logFrom = isFull ? 0 : size
    const state: SpawnedPostgres = { pid: child.pid ?? 0, hasEnded: false, exitCode: null, logFrom }
    child.once('error', () => (state.hasEnded = true))
    child.once('exit', (exitCode) => Object.assign(state, { hasEnded: true, exitCode }))
    child.unref()
    return state
  } finally {
    await output.close()
  }
}

/**
 * Connects, and makes our database on the first start. False when nobody listens, or it takes no connections
 * yet or any more.
 */
async function ensureDatabase(url: string): Promise<boolean> {
  try {
    await withClient(url, async () => undefined)
  } catch (error) {
    const { code = '' } = error as { code?: string }
    if (code === '3D000') return makeDatabase(url)
    // 53: more clients than it takes, which is a life as well. 57P: it starts or ends.
    if (code.startsWith('53')) return true
    if (code.startsWith('57P') || !SQLSTATE.test(code)) return false
    throw error
  }
  return true
}

/** All else is of the system, or of a connection that was cut. */
const SQLSTATE = /^[0-9A-Z]{5}$/

async function makeDatabase(url: string): Promise<true> {
  const maintenance = new URL(url)
  maintenance.pathname = '/postgres'
  await withClient(maintenance.href, (client) => client.query(`create database ${DATABASE}`)).catch(
    (failure) => {
      if (failure.code !== '42P04' && failure.code !== '23505') throw failure // another process was first
    },
  )
  return true
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
