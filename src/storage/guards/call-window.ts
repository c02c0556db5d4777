/**
 * How calls went lately, counted by tenths of a window: the same memory for one call an hour and for a
 * thousand a second.
 */
export type Outcomes = {
  add(outcome: 'answered' | 'failed', atMs: number): void
  within(nowMs: number): { failed: number; answered: number }
}

const SLICES = 10

export function countOutcomes(windowMs: number): Outcomes {
  const sliceMs = windowMs / SLICES
  let slices: { beganAtMs: number; failed: number; answered: number }[] = []

  function forget(nowMs: number): void {
    slices = slices.filter(({ beganAtMs }) => nowMs - beganAtMs < windowMs)
  }

  return {
    add(outcome, atMs) {
      let current = slices.at(-1)
      if (current === undefined || atMs - current.beganAtMs >= sliceMs) {
        forget(atMs)
        current = { beganAtMs: atMs, failed: 0, answered: 0 }
        slices.push(current)
      }
      current[outcome] += 1
    },
    within(nowMs) {
      forget(nowMs)
      return slices.reduce(
        (sum, slice) => ({
          failed: sum.failed + slice.failed,
          answered: sum.answered + slice.answered,
        }),
        { failed: 0, answered: 0 },
      )
    },
  }
}
