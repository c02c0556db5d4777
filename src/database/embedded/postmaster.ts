/** The postmaster of a cluster: who it is, whether it answers, and how it is ended. */
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log.ts'
import type { ClusterPaths } from './cluster.ts'
import { isPostgresIn } from './process-identity.ts'

/** From the cluster, into which PostgreSQL changes before it listens: no path is too long for it then. */
export const SOCKET_FOLDER = '.'
/** A part of the socket's name and no port of the machine; what programs take where none is given. */
const SOCKET_NAME = '.s.PGSQL.5432'

export function socketOf(cluster: string): string {
  return join(cluster, SOCKET_NAME)
}

/**
 * `postmaster.pid` by line: 1 pid, 2 data folder, 3 start, 4 port, 5 socket folder, 6 address, 7 shared
 * memory, 8 status.
 */
export type LockFile = { lines: string[]; pid: number; socketFolder: string; status: string }

/** Null when PostgreSQL was ended in order, or never started. */
export async function readLockFile(paths: ClusterPaths): Promise<LockFile | null> {
  const text = await readFile(paths.lockFile, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (text === null) return null
  const lines = text.split('\n')
  const [pid = '', , , , socketFolder = '', , , status = ''] = lines.map((line) => line.trim())
  return { lines, pid: Number(pid), socketFolder, status }
}

export type Postmaster = { pid: number; isStopping: boolean }

/** Null when none runs, or none that this process could see: it may be in another container. */
export async function findPostmaster(paths: ClusterPaths): Promise<Postmaster | null> {
  const lock = await readLockFile(paths)
  if (lock === null || !(await isPostgresIn(lock.pid, paths.cluster))) return null
  return { pid: lock.pid, isStopping: lock.status === 'stopping' }
}

/**
 * Whether somebody listens on the cluster's socket, also one in another container. Only "refused" and "no
 * such file" mean that nobody does.
 */
export function isListening(paths: ClusterPaths): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketOf(paths.cluster))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'),
    )
  })
}

/**
 * A fast shutdown (SIGINT: ends sessions, writes a checkpoint); where that takes too long, an immediate one
 * (SIGQUIT), after which the next start recovers.
 */
export async function endPostmaster(
  paths: ClusterPaths,
  pid: number,
  withinMs: number,
  log: Log,
): Promise<void> {
  if (!(await isPostgresIn(pid, paths.cluster))) return
  signal(pid, 'SIGINT')
  const quitAt = performance.now() + withinMs - 500
  let hasQuit = false
  while (await isPostgresIn(pid, paths.cluster)) {
    if (!hasQuit && performance.now() > quitAt) {
      hasQuit = true
      log.warn({ pid }, 'the embedded PostgreSQL takes too long to end; it will recover at the next start')
      signal(pid, 'SIGQUIT')
    }
    await sleep(10)
  }
}

export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
