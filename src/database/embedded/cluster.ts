import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, chown, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { AppError } from '../../errors.ts'
import { type FileLock, tryLock } from '../../file-lock.ts'
import { POSTGRES_MAJOR, type PostgresBinaries } from './binaries.ts'
import { isThere } from './is-there.ts'

const run = promisify(execFile)

/** What a data folder's owner may do instead, where a second PostgreSQL could not be kept away from it. */
export const OWN_POSTGRES = 'or set database.url to a PostgreSQL of yours'

/** Where the parts of an embedded PostgreSQL lie. */
export type ClusterPaths = {
  folder: string
  cluster: string
  /** Its name, for messages and for programs; it may come to lead to another folder. */
  name: string
  /** Locked by PostgreSQL for as long as one of its processes lives: of all its files the one that stays. */
  version: string
  /** PostgreSQL's own lock, with its pid. */
  lockFile: string
  password: string
  log: string
  /** Each process that uses the server shares its lock; the last one to leave stops it. */
  inUse: string
  /** Locked while the cluster is made. */
  setup: string
}

/** @param held what leads to `{dataDir}/postgres`, and to the cluster in it, whatever is renamed */
export function clusterPaths(
  dataDir: string,
  held: { folder?: string; cluster?: string } = {},
): ClusterPaths {
  const name = join(dataDir, 'postgres')
  const folder = held.folder ?? name
  const cluster = held.cluster ?? join(folder, 'cluster')
  return {
    folder,
    cluster,
    name: join(name, 'cluster'),
    version: join(cluster, 'PG_VERSION'),
    lockFile: join(cluster, 'postmaster.pid'),
    password: join(folder, 'password'),
    log: join(folder, 'server.log'),
    inUse: join(folder, 'in-use'),
    setup: join(folder, 'setup'),
  }
}

/** Makes the cluster unless it is there, and returns the password. */
export async function prepareCluster(paths: ClusterPaths, binaries: PostgresBinaries): Promise<string> {
  // It appears with all that is in it.
  if (await isThere(paths.cluster)) {
    await checkVersion(paths)
    return readPassword(paths)
  }
  const lock = await waitForLock(paths.setup, 'exclusive')
  try {
    return (await isThere(paths.cluster)) ? await readPassword(paths) : await makeCluster(paths, binaries)
  } finally {
    await lock.release()
  }
}

async function makeCluster(paths: ClusterPaths, binaries: PostgresBinaries): Promise<string> {
  const password = await createPassword(paths)
  // initdb into another name, then rename: a kill in between leaves rubbish, never half a cluster.
  const suffix = '.unfinished'
  const unfinished = `${paths.cluster}${suffix}`
  await rm(unfinished, { recursive: true, force: true })
  if (binaries.owner !== null) {
    await mkdir(unfinished, { mode: 0o700 })
    await chown(unfinished, binaries.owner.uid, binaries.owner.gid)
    await chown(paths.password, binaries.owner.uid, binaries.owner.gid)
    // To pass through, not to look into.
    const folder = dirname(paths.name)
    for (const above of [dirname(folder), folder]) await chmod(above, 0o711)
  }
  const { file, args, options } = binaries.command('initdb', [
    `--pgdata=${paths.name}${suffix}`,
    '--username=glassine',
    `--pwfile=${join(dirname(paths.name), 'password')}`,
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
      `The embedded PostgreSQL could not be set up in ${dirname(paths.name)}: ${stderr?.trim()}`,
      {
        cause: error,
      },
    )
  }
  await rename(unfinished, paths.cluster)
  return password
}

async function checkVersion(paths: ClusterPaths): Promise<void> {
  const found = (await readFile(paths.version, 'utf8')).trim()
  if (found !== String(POSTGRES_MAJOR)) {
    throw new AppError(
      'conflict',
      `${paths.name} was made by PostgreSQL ${found}, and this Glassine brings PostgreSQL ${POSTGRES_MAJOR}. ` +
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
      `The file password beside ${paths.name} cannot be read, and the database opens only with it.`,
      { cause },
    )
  }
}

async function createPassword(paths: ClusterPaths): Promise<string> {
  if (await isThere(paths.password)) return readPassword(paths)
  const password = randomBytes(24).toString('hex')
  const unfinished = `${paths.password}.unfinished`
  const file = await open(unfinished, 'w', 0o600)
  try {
    await file.writeFile(`${password}\n`)
    await file.sync() // initdb does the same with all that it writes
  } finally {
    await file.close()
  }
  await rename(unfinished, paths.password)
  return password
}

const LOCK_POLL_MS = 20

/** Makes the file where it is missing. What holds the lock is a process of ours that starts or stops. */
export async function waitForLock(path: string, kind: 'shared' | 'exclusive'): Promise<FileLock> {
  await (await open(path, 'a', 0o600)).close()
  for (;;) {
    const lock = await tryLock(path, kind, OWN_POSTGRES)
    if (lock !== null) return lock
    await sleep(LOCK_POLL_MS)
  }
}
