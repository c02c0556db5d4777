import { AppError } from '../../errors.ts'

/**
 * Each stream holds a connection of the pool, which has 20, and a snapshot that keeps PostgreSQL from tidying
 * up.
 */
const AT_ONCE = 8
/** A user's phone and tablet, and one of them that has begun anew before it was noticed that it had left. */
const OF_ONE_USER = 3

/** Keeps the streams of a process below what it can carry. */
export type SyncTurns = {
  /**
   * @returns to be called when the stream is over. @throws AppError unavailable: the device asks again later
   */
  begin(userId: string): () => void
}

export function openSyncTurns(): SyncTurns {
  const running = new Map<string, number>()
  let all = 0
  return {
    begin(userId) {
      const own = running.get(userId) ?? 0
      if (own >= OF_ONE_USER || all >= AT_ONCE)
        throw new AppError('unavailable', 'Too many devices are being synchronized: try again in a minute')
      running.set(userId, own + 1)
      all++
      let isOver = false
      return () => {
        if (isOver) return
        isOver = true
        all--
        const left = running.get(userId)! - 1
        if (left === 0) running.delete(userId)
        else running.set(userId, left)
      }
    },
  }
}
