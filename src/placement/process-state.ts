import type { Placement } from './placement.ts'

/**
 * What one module remembers in this process for each placement. Only who has the returned function can read
 * or change it: keep that in the module, and it ends with the placement.
 */
export function processState<State>(begin: () => State): (placement: Placement) => State {
  const states = new WeakMap<Placement, State>()
  return (placement) => {
    const known = states.get(placement)
    if (known !== undefined) return known
    const state = begin()
    states.set(placement, state)
    return state
  }
}
