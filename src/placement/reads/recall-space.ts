/**
 * Space for recalled copies on the media volume: `recallMaxBytes` for all of them, first come first served.
 */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSemaphore, type Semaphore } from '../../storage/guards/semaphore.ts'
import type { Placement } from '../placement.ts'
import { processState } from '../process-state.ts'

const SPACE_POLL_MS = 250

/**
 * A copy of an object's bytes in the recall folder. Never counted as a replica, safe to delete when nobody
 * uses it.
 */
export type RecalledFile = {
  objectId: string
  path: string
  size: number
  users: number
  lastUsedAt: number
  ready: Promise<void>
  /** Of one that is not ready: ends its waiting and its download. */
  filling: AbortController | null
}

type State = {
  /** By object id; also those that still wait for space. */
  copies: Map<string, RecalledFile>
  /** Only what has its space counts: of those that wait, none stands in another's way. */
  files: Set<RecalledFile>
  turn: Semaphore
}
const stateOf = processState<State>(() => ({ copies: new Map(), files: new Set(), turn: openSemaphore(1) }))

/** The copies of this process: those that are shared, by object id, and those that take space now. */
export function recalledCopies(placement: Placement): {
  byObject: ReadonlyMap<string, RecalledFile>
  onDisk: ReadonlySet<RecalledFile>
} {
  const { copies, files } = stateOf(placement)
  return { byObject: copies, onDisk: files }
}

export function copyOf(placement: Placement, objectId: string): RecalledFile | undefined {
  return stateOf(placement).copies.get(objectId)
}

/** From now on, every caller that wants a copy of the object finds this one. */
export function shareCopy(placement: Placement, file: RecalledFile): void {
  stateOf(placement).copies.set(file.objectId, file)
}

/**
 * A caller that wants a copy of the object makes a new one; `file` itself stays. Without `file`: whichever
 * there is.
 */
export function unshareCopy(placement: Placement, objectId: string, file?: RecalledFile): void {
  const { copies } = stateOf(placement)
  if (file === undefined || copies.get(objectId) === file) copies.delete(objectId)
}

/**
 * Gives a file its space. Removes the least recently used copies that nobody uses until it fits; waits while
 * all are in use. Throws the signal's reason. Never asked for more than `recallMaxBytes`.
 */
export async function reserveSpace(
  placement: Placement,
  file: RecalledFile,
  signal?: AbortSignal,
): Promise<void> {
  const { files, turn } = stateOf(placement)
  const next = await turn.take(signal)
  try {
    for (;;) {
      let taken = 0
      for (const { size } of files) taken += size
      if (taken + file.size <= placement.settings.recallMaxBytes) break
      const [idle] = [...files].filter(({ users }) => users === 0).sort((a, b) => a.lastUsedAt - b.lastUsedAt)
      if (idle) await dropCopy(placement, idle)
      // Aborted, it rejects with an error of its own; the reason is said below.
      else await sleep(SPACE_POLL_MS, undefined, { signal }).catch(() => undefined)
      signal?.throwIfAborted()
    }
    files.add(file)
  } finally {
    next()
  }
}

/** Removes a copy, its file and its claim to space. */
export async function dropCopy(placement: Placement, file: RecalledFile): Promise<void> {
  unshareCopy(placement, file.objectId, file)
  await rm(file.path, { force: true })
  stateOf(placement).files.delete(file)
}
