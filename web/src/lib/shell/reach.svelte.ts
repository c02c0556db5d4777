/** Whether the server can be reached at all: said as soon as it is known that it can't. */
import { ping } from '../api.ts'
import { live } from '../live.svelte.ts'

const ASK_MS = 3000
/** A server that takes longer for a ping is of no use to this page either. */
const ANSWER_MS = 8000

export const reach = $state({ isLost: false })

/**
 * Asks while the websocket is not connected; a proxy may let no websocket through, so that alone says
 * nothing. For an effect: it begins anew with each change of the connection, and returns how to stop.
 */
export function watchReach(): (() => void) | undefined {
  if (live.isConnected) {
    reach.isLost = false
    return
  }
  let isOver = false
  let isAsking = false
  async function ask(): Promise<void> {
    if (isAsking) return
    isAsking = true
    const isThere = await ping(AbortSignal.timeout(ANSWER_MS)).then(
      () => true,
      () => false,
    )
    isAsking = false
    if (!isOver) reach.isLost = !isThere
  }
  // Not at once: the first connection of a page takes a moment, and so does one that a network change has
  // cut.
  const timer = setInterval(() => void ask(), ASK_MS)
  addEventListener('offline', ask)
  return () => {
    isOver = true
    clearInterval(timer)
    removeEventListener('offline', ask)
  }
}
