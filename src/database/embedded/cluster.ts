import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, chown, link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { AppError } from '../../errors.ts'
import { POSTGRES_MAJOR, type PostgresBinaries } from './binaries.ts'
import { findProcess } from './process-identity.ts'

const run = promisify(execFile)

/** Where the parts of an embedded PostgreSQL lie. */
export type ClusterPaths = {
  folder: string
  cluster: string
  password: string
  port: string
  log: string
  /** One file per process that uses the server; the last one to leave stops it. */
  clients: string
  startLock: string
}

export function clusterPaths(dataDir: string): ClusterPaths {
  const folder = join(dataDir, 'postgres')
  return {
    folder,
    cluster: join(folder, 'cluster'),
    password: join(folder, 'password'),
    port: join(folder, 'port'),
    log: join(folder, 'server.log'),
    clients: join(folder, 'clients'),
    startLock: join(folder, 'starting'),
  }
}

/** Makes the cluster unless it is there, and returns the password. Call under the start lock. */
export async function prepareCluster(paths: ClusterPaths, binaries: PostgresBinaries): Promise<string> {
  if (existsSync(paths.cluster)) {
    await checkVersion(paths)
    return readPassword(paths)
  }
  const password = await createPassword(paths)
  // initdb into another name, then rename: a kill in between leaves rubbish, never half a cluster.
  const unfinished = `${paths.cluster}.unfinished`
  await rm(unfinished, { recursive: true, force: true })
  if (binaries.owner !== null) {
    await mkdir(unfinished, { mode: 0o700 })
    await chown(unfinished, binaries.owner.uid, binaries.owner.gid)
    await chown(paths.password, binaries.owner.uid, binaries.owner.gid)
    // To pass through, not to look into.
    for (const folder of [dirname(paths.folder), paths.folder]) await chmod(folder, 0o711)
  }
  const { file, args, options } = binaries.command('initdb', [
    `--pgdata=${unfinished}`,
    '--username=glassine',
    `--pwfile=${paths.password}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // Collates and folds case the same on every machine, whatever its locales.
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--locale=C',
    '--no-instructions',
  ])
  try {
    await run(file, args, { cwd: '/', env: options.env, uid: options.uid, gid: options.gid })
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true })
    const { stderr } = error as { stderr?: string }
    throw new AppError(
      'unavailable',
      `The embedded PostgreSQL could not be set up in ${paths.folder}: ${stderr?.trim()}`,
      {
        cause: error,
      },
    )
  }
  await rename(unfinished, paths.cluster)
  return password
}

async function checkVersion(paths: ClusterPaths): Promise<void> {
  const found = (await readFile(join(paths.cluster, 'PG_VERSION'), 'utf8')).trim()
  if (found !== String(POSTGRES_MAJOR)) {
    throw new AppError(
      'conflict',
      `${paths.cluster} was made by PostgreSQL ${found}, and this Glassine brings PostgreSQL ${POSTGRES_MAJOR}. ` +
        `Start the Glassine that made it, or serve the folder with a PostgreSQL ${found} of yours and set database.url.`,
    )
  }
}

async function readPassword(paths: ClusterPaths): Promise<string> {
  try {
    return (await readFile(paths.password, 'utf8')).trim()
  } catch (cause) {
    throw new AppError(
      'conflict',
      `${paths.password} cannot be read, and ${paths.cluster} opens only with it.`,
      { cause },
    )
  }
}

async function createPassword(paths: ClusterPaths): Promise<string> {
  if (existsSync(paths.password)) return readPassword(paths)
  const password = randomBytes(24).toString('hex')
  const unfinished = `${paths.password}.unfinished`
  await writeFile(unfinished, `${password}\n`, { mode: 0o600 })
  await rename(unfinished, paths.password)
  return password
}

/** The postmaster of this cluster, as its lock file tells; null when none runs. */
export type Postmaster = {
  pid: number
  startedAt: string
  port: number
  isReady: boolean
  isStopping: boolean
}

/**
 * postmaster.pid by line: 1 pid, 2 data folder, 3 start, 4 port, 5 socket folder, 6 address, 7 shared memory,
 * 8 status.
 */
export async function findPostmaster(paths: ClusterPaths): Promise<Postmaster | null> {
  const lines = await readLockFile(paths)
  if (lines === null) return null
  const found = await findProcess(Number(lines[0]))
  if (found === null || !isPostmasterOf(paths, found.command)) return null
  const status = lines[7]?.trim()
  return {
    pid: found.pid,
    startedAt: found.startedAt,
    port: Number(lines[3]),
    isReady: status === 'ready',
    isStopping: status === 'stopping',
  }
}

function isPostmasterOf(paths: ClusterPaths, command: string): boolean {
  return command.includes('postgres') && command.includes(paths.cluster)
}

async function readLockFile(paths: ClusterPaths): Promise<string[] | null> {
  const text = await readFile(join(paths.cluster, 'postmaster.pid'), 'utf8').catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    },
  )
  return text === null ? null : text.split('\n')
}

/**
 * PostgreSQL takes any living process of the pid in a left-over lock file for its own kind and refuses to
 * start; after a restart of a container that pid is often somebody else. It makes an exception for its parent
 * process, so we write ourselves in: the file stays, and with it the check that no old backend still holds
 * the shared memory.
 */
export async function disarmStaleLock(paths: ClusterPaths): Promise<void> {
  const lines = await readLockFile(paths)
  if (lines === null) return
  lines[0] = String(process.pid)
  await writeFile(join(paths.cluster, 'postmaster.pid'), lines.join('\n'))
}

/**
 * Below those that Linux gives to outgoing connections: a PostgreSQL that died must come back on the same
 * port, which none of those may have taken meanwhile.
 */
const LOWEST_PORT = 20_000
const HIGHEST_PORT = 32_767

/**
 * The port of the last start where it is still free and none of `lost`, else a fresh one; remembered. A
 * guess: somebody else may take it before PostgreSQL does.
 */
export async function choosePort(paths: ClusterPaths, lost: readonly number[] = []): Promise<number> {
  const remembered = Number(await readFile(paths.port, 'utf8').catch(() => '0'))
  const isWorthATry = remembered !== 0 && !lost.includes(remembered)
  const port = (isWorthATry ? await tryListen(remembered) : null) ?? (await freshPort())
  if (port === null)
    throw new AppError('unavailable', 'No free port on 127.0.0.1 for the embedded PostgreSQL.')
  await writeFile(paths.port, `${port}\n`)
  return port
}

async function freshPort(): Promise<number | null> {
  for (let tries = 0; tries < 20; tries++) {
    const port = await tryListen(randomInt(LOWEST_PORT, HIGHEST_PORT + 1))
    if (port !== null) return port
  }
  return tryListen(0)
}

function tryListen(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(null))
    server.listen({ port, host: '127.0.0.1' }, () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : null))
    })
  })
}

/**
 * Runs `action` while no other process of ours starts or sets up the same cluster. A dead holder's lock is
 * taken over.
 */
export async function withStartLock<T>(paths: ClusterPaths, action: () => Promise<T>): Promise<T> {
  const own = `${paths.startLock}.${process.pid}`
  const self = await findProcess(process.pid)
  await writeFile(own, `${process.pid} ${self?.startedAt}`)
  try {
    for (;;) {
      try {
        await link(own, paths.startLock) // appears with its content, unlike open with O_EXCL
        break
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      }
      const [pid, startedAt] = (await readFile(paths.startLock, 'utf8').catch(() => '')).split(' ')
      const holder = await findProcess(Number(pid))
      if (pid && holder?.startedAt !== startedAt) await rm(paths.startLock, { force: true })
      else await new Promise((resolve) => setTimeout(resolve, 20))
    }
    try {
      return await action()
    } finally {
      await rm(paths.startLock, { force: true })
    }
  } finally {
    await rm(own, { force: true })
  }
}
