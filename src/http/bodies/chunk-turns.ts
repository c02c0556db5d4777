import { setImmediate as beforeNextLoop } from 'node:timers'

/** Chunks (64 KiB) of uploads that are hashed and written between two looks at the network: about 2 ms. */
const CHUNKS_PER_LOOP = 8

let taken = 0
let isScheduled = false
const waiting: (() => void)[] = []

/**
 * Resolves when a chunk of an upload may be worked on. All uploads of this process take turns; a slow sender
 * keeps nobody waiting. Without turns, 200 uploads whose bytes are all here were hashed in a row, and every
 * other request waited for a second.
 */
export async function chunkTurn(): Promise<void> {
  if (!isScheduled) {
    isScheduled = true
    beforeNextLoop(startLoop)
  }
  if (taken < CHUNKS_PER_LOOP) taken++
  else await new Promise<void>((resolve) => waiting.push(resolve))
}

function startLoop(): void {
  const next = waiting.splice(0, CHUNKS_PER_LOOP)
  taken = next.length
  for (const start of next) start()
  isScheduled = taken > 0
  if (isScheduled) beforeNextLoop(startLoop)
}
