import { randomBytes } from 'node:crypto'
import { readFile, readlink } from 'node:fs/promises'
import { findProcess } from '../../database/embedded/process-identity.ts'

/**
 * `place/pid/startedAt/random`. The place is this boot of this kernel and, in a container, its table of
 * processes: where two ids name the same place, the one can look whether the other's process still lives,
 * without waiting for its heartbeat to grow old.
 */
export async function makeWorkerId(): Promise<string> {
  const self = await findProcess(process.pid)
  return [await readPlace(), process.pid, self?.startedAt ?? '', randomBytes(6).toString('hex')].join('/')
}

async function readPlace(): Promise<string> {
  try {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
    const namespace = /\d+/.exec(await readlink('/proc/self/ns/pid'))?.[0] ?? ''
    return `${boot}.${namespace}`
  } catch {
    return randomBytes(8).toString('hex') // not Linux: only the heartbeat tells
  }
}

/** True when `other` ran at the same place as `own` and its process is gone. */
export async function isKnownDead(other: string, own: string): Promise<boolean> {
  const [place, pid, startedAt] = other.split('/')
  if (place !== own.split('/')[0]) return false
  const found = await findProcess(Number(pid))
  return found === null || found.startedAt !== startedAt
}
