import type { Placement } from './placement.ts'

/**
 * What one module remembers in this process for each placement. Only code that has the returned function can
 * read or change it: keep that function in the module. What is remembered ends with the placement.
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
