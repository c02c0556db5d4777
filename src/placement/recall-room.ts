/** Room for recalled copies on the media volume: `recallMaxBytes` for all of them, first come first served. */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSlots, type Slots } from '../storage/slots.ts'
import type { Placement, RecalledFile } from './placement.ts'

const SPACE_POLL_MS = 250

/** Only what has its room counts: of those that wait, none stands in another's way. */
export type RecallRoom = { files: Set<RecalledFile>; turn: Slots }

export function openRecallRoom(): RecallRoom {
  return { files: new Set(), turn: openSlots(1) }
}

/**
 * Gives a file its room. Removes the least recently used copies that nobody uses until it fits; waits while all are in use.
 * Throws the signal's reason. Never asked for more than `recallMaxBytes`.
 */
export async function takeRoom(
  placement: Placement,
  file: RecalledFile,
  signal?: AbortSignal,
): Promise<void> {
  const { files, turn } = placement.recallRoom
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

/** Removes a copy, its file and its claim to room. */
export async function dropCopy({ recalled, recallRoom }: Placement, file: RecalledFile): Promise<void> {
  if (recalled.get(file.objectId) === file) recalled.delete(file.objectId)
  await rm(file.path, { force: true })
  recallRoom.files.delete(file)
}
