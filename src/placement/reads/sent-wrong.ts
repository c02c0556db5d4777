/**
 * Of a large object the first bytes are on their way before all of them are known to be right. A client that
 * was cut off may ask for the rest, get it from a right copy, and would join the two. The condition
 * `If-Range` is how they ask; it is not met while this is remembered, so that they get all of it anew.
 */
import type { Placement } from '../placement.ts'
import { processState } from '../process-state.ts'

const REMEMBERED_FOR_MS = 24 * 3_600_000
const MAX_REMEMBERED = 10_000

/** Objects, and until when that matters, by `performance.now()`. */
const stateOf = processState<Map<string, number>>(() => new Map())

/** Wrong bytes of the object went out before that was known. */
export function noteSentWrong(placement: Placement, objectId: string): void {
  const sentWrong = stateOf(placement)
  sentWrong.delete(objectId)
  sentWrong.set(objectId, performance.now() + REMEMBERED_FOR_MS)
  const oldest = sentWrong.size > MAX_REMEMBERED ? sentWrong.keys().next().value : undefined
  if (oldest !== undefined) sentWrong.delete(oldest)
}

export function wasSentWrong(placement: Placement, objectId: string): boolean {
  const until = stateOf(placement).get(objectId)
  return until !== undefined && performance.now() < until
}
