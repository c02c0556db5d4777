import { isStorageError, type StorageBackend, StorageError } from '../backend.ts'
import type { Breaker } from './breaker.ts'

/**
 * Whether the whole place is silent, for a write that has been for half of `answerWithinMs`: its marker is
 * read, once for all who ask meanwhile. No answer within the other half opens the breaker, however few calls
 * there were. The function that is returned throws the breaker's refusal where it is open by then. The
 * answers of the marker are not counted: a place that is asked often because its writes hang is not well for
 * that.
 */
export function probeOnStall(
  breaker: Breaker,
  readMarker: (signal: AbortSignal) => ReturnType<StorageBackend['readMarker']>,
): () => Promise<void> {
  let asking: Promise<void> | null = null

  async function ask(): Promise<void> {
    const patienceMs = breaker.rules.answerWithinMs / 2
    const patience = new AbortController()
    const late = () =>
      patience.abort(new StorageError('unavailable', `no answer for ${Math.round(patienceMs)} ms`))
    const timer = setTimeout(late, patienceMs)
    try {
      await readMarker(patience.signal)
    } catch (error) {
      if (isStorageError(error, 'unavailable') && !error.isOfOneObject) breaker.open(error.message)
    } finally {
      clearTimeout(timer)
    }
  }

  return async () => {
    if (breaker.state === 'closed') {
      asking ??= ask().finally(() => {
        asking = null
      })
      await asking
    }
    if (breaker.state !== 'closed') breaker.assertAdmits()
  }
}
