import { AppError } from '../../errors.ts'

/** So many bytes have to arrive within so many seconds. */
export type Pace = { withinSeconds: number; bytes: number }
export type Watched = {
  pace: Pace
  /** Bytes so far. */
  received(): number
  /** True where more has arrived than we have taken: then the sender waits for us. */
  isOurTurn(): boolean
  onTooSlow(): void
}
export type PaceWatch = {
  /** Until the returned function is called, or the body was found too slow. */
  watch(body: Watched): () => void
  /** Counts one second for every body. */
  tick(): void
}

/**
 * Finds bodies that arrive too slowly. Seconds are counted, not read from a clock: while this process does
 * not run, or is held up, nobody gets slower.
 */
export function createPaceWatch(): PaceWatch {
  const watched = new Map<Watched, { seconds: number; bytes: number }>()
  let timer: NodeJS.Timeout | undefined

  function stop(body: Watched): void {
    watched.delete(body)
    if (watched.size === 0) {
      clearInterval(timer)
      timer = undefined
    }
  }

  function tick(): void {
    for (const [body, begun] of watched) {
      const bytes = body.received()
      if (body.isOurTurn() || bytes - begun.bytes >= body.pace.bytes) {
        begun.seconds = 0
        begun.bytes = bytes
      } else if (++begun.seconds >= body.pace.withinSeconds) {
        stop(body)
        body.onTooSlow()
      }
    }
  }

  return {
    tick,
    watch(body) {
      watched.set(body, { seconds: 0, bytes: body.received() })
      timer ??= setInterval(tick, 1_000).unref()
      return () => stop(body)
    },
  }
}

export function tooSlow(): AppError {
  return new AppError('too-slow', 'The body arrived too slowly')
}
