import { AppError } from '../../errors.ts'

/** The bytes of one body. */
export type HeldBody = {
  /** @throws AppError unavailable when there is no room, and nothing to give up for it */
  grow(bytes: number): void
  /** It is here as a whole, and is not given up any more. */
  complete(): void
  /** What it held is free. It may be called again. */
  release(): void
}
export type BodyBudget = {
  /**
   * `owner`: a user or a network address. `giveUp` is called at most once; then the body holds nothing any
   * more.
   */
  open(owner: string, giveUp: () => void): HeldBody
  heldBytes(): number
}

type Held = { owner: string; bytes: number; isArriving: boolean; giveUp: () => void }

/**
 * Bounds what all bodies together hold. Where there is no room, one body is given up: of the owner who holds
 * most, the one that has been arriving for the longest time. So a client that sends slowly, and much, makes
 * room for everybody else, and locks out nobody.
 */
export function createBodyBudget(maxBytes: number): BodyBudget {
  // In the order in which they began.
  const bodies = new Set<Held>()
  const byOwner = new Map<string, number>()
  let total = 0

  function change(body: Held, bytes: number): void {
    total += bytes
    body.bytes += bytes
    const ofOwner = (byOwner.get(body.owner) ?? 0) + bytes
    if (ofOwner > 0) byOwner.set(body.owner, ofOwner)
    else byOwner.delete(body.owner)
  }

  function release(body: Held): void {
    if (bodies.delete(body)) change(body, -body.bytes)
  }

  function findVictim(): Held | undefined {
    let victim: Held | undefined
    for (const body of bodies) {
      if (!body.isArriving || body.bytes === 0) continue
      if (victim === undefined || byOwner.get(body.owner)! > byOwner.get(victim.owner)!) victim = body
    }
    return victim
  }

  return {
    heldBytes: () => total,
    open(owner, giveUp) {
      const own: Held = { owner, bytes: 0, isArriving: true, giveUp }
      bodies.add(own)
      return {
        grow(bytes) {
          change(own, bytes)
          while (total > maxBytes) {
            const victim = findVictim()
            if (victim === undefined || victim === own) {
              release(own)
              throw crowded()
            }
            release(victim)
            victim.giveUp()
          }
        },
        complete() {
          own.isArriving = false
        },
        release: () => release(own),
      }
    },
  }
}

export function crowded(): AppError {
  return new AppError('unavailable', 'The server is busy with other requests; try again shortly')
}
