/**
 * PostgreSQL as Glassine started it before it had a socket in its folder: it listened on a port of the
 * machine, held no lock of ours, and each process that used it had a file in `clients`.
 */
import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import type { ClusterPaths } from './cluster.ts'
import { isThere } from './is-there.ts'
import { endPostmaster, findPostmaster } from './postmaster.ts'
import { findProcess } from './process-identity.ts'

/**
 * Longer than the minute after which a Glassine that runs writes down what the clock shows, which is in the
 * write-ahead log then.
 */
export const SILENCE_MS = 130_000
const ENDS_WITHIN_MS = 60_000

const FILES = ['clients', 'port', 'starting']

/** Whether an older Glassine was the last to start one here. */
export async function wasOlder(paths: ClusterPaths): Promise<boolean> {
  const found = await Promise.all(FILES.map((name) => isThere(join(paths.folder, name))))
  return found.includes(true)
}

/**
 * Ends one that was left behind without a user.
 * @throws AppError conflict where an older Glassine uses it
 */
export async function endOlder(paths: ClusterPaths, log: Log): Promise<void> {
  const users = await findUsers(paths)
  const running = await findPostmaster(paths)
  if (running === null && !users.isStarting) return
  if (users.pids.length > 0) {
    throw new AppError(
      'conflict',
      `An older Glassine (process ${users.pids.join(', ')}) still uses the database in ${paths.name}. ` +
        'Stop it, the server and all of its workers, then start again.',
    )
  }
  if (running === null) return
  log.info({ pid: running.pid }, 'ending the PostgreSQL that an older Glassine has left behind')
  await endPostmaster(paths, running.pid, ENDS_WITHIN_MS, log)
}

/** The processes of an older Glassine, as its files name them: `pid` and when it started. */
async function findUsers(paths: ClusterPaths): Promise<{ pids: number[]; isStarting: boolean }> {
  const pids: number[] = []
  for (const name of await readdir(join(paths.folder, 'clients')).catch(unlessGone<string[]>([]))) {
    if (await isAlive(name, await read(join(paths.folder, 'clients', name)))) pids.push(Number(name))
  }
  const [pid = '', startedAt = ''] = (await read(join(paths.folder, 'starting'))).split(' ')
  const isStarting = await isAlive(pid, startedAt)
  return { pids: isStarting ? [...new Set([...pids, Number(pid)])] : pids, isStarting }
}

function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(unlessGone(''))
}

/** Whoever a disk that fails for a moment does not show may live. */
function unlessGone<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead
    throw error
  }
}

async function isAlive(pid: string, startedAt: string): Promise<boolean> {
  return startedAt !== '' && (await findProcess(Number(pid)))?.startedAt === startedAt
}

/**
 * One that this process can't see, in another container, is known by what it writes. Its own lock file is
 * there after a power cut as well, so it says nothing.
 * @throws AppError conflict where something is written
 */
export async function waitForSilence(paths: ClusterPaths, log: Log, silenceMs: number): Promise<void> {
  const before = await lastWritten(paths)
  const age = Date.now() - before
  const waitMs = age < 0 ? silenceMs : silenceMs - age
  if (waitMs <= 0) return
  log.info(
    { seconds: Math.ceil(waitMs / 1000) },
    'an older Glassine did not end in order; waiting to see that it no longer writes to the database',
  )
  await sleep(waitMs)
  if ((await lastWritten(paths)) === before) return
  throw new AppError(
    'conflict',
    `Another PostgreSQL writes to ${paths.name}, maybe in another container. ` +
      'Stop the older Glassine there, the server and all of its workers, then start again.',
  )
}

async function lastWritten(paths: ClusterPaths): Promise<number> {
  const log = join(paths.cluster, 'pg_wal')
  const files = (await readdir(log)).map((name) => join(log, name))
  const times = await Promise.all(
    [join(paths.cluster, 'global', 'pg_control'), ...files].map((file) =>
      stat(file).then(
        (found) => found.mtimeMs,
        (error: NodeJS.ErrnoException) => {
          if (error.code === 'ENOENT') return 0 // a segment that was recycled in this moment
          throw error
        },
      ),
    ),
  )
  return Math.max(...times)
}

/** From then on nothing is asked for any more. */
export async function forgetOlder(paths: ClusterPaths): Promise<void> {
  for (const name of FILES) await rm(join(paths.folder, name), { recursive: true, force: true })
}
