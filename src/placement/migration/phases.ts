/** The phases of a campaign, and who may ask for what in which. Pure. */
export type Phase =
  | 'proposed'
  | 'checking'
  | 'checked'
  | 'rehearsing'
  | 'rehearsed'
  | 'copying'
  | 'holding'
  | 'reclaiming'
  | 'rolling-back'
  | 'done'
  | 'rolled-back'
  | 'cancelled'

/** What somebody asks for. `roll-back` of one that is done is the reverse campaign, which begins anew. */
export type PhaseAction = 'check' | 'rehearse' | 'start' | 'reclaim' | 'roll-back' | 'cancel' | 'retry'

const ASKED: Record<PhaseAction, { from: readonly Phase[]; to: Phase }> = {
  check: { from: ['proposed', 'checked', 'rehearsed'], to: 'checking' },
  rehearse: { from: ['checked', 'rehearsed'], to: 'rehearsing' },
  start: { from: ['rehearsed'], to: 'copying' },
  reclaim: { from: ['holding'], to: 'reclaiming' },
  'roll-back': { from: ['copying', 'holding', 'reclaiming'], to: 'rolling-back' },
  cancel: { from: ['proposed', 'checking', 'checked', 'rehearsed'], to: 'cancelled' },
  retry: { from: ['copying', 'holding'], to: 'copying' },
}

/** The phase that a running one ends in when nothing is left to do. */
const ENDS: Partial<Record<Phase, (left: Left) => Phase>> = {
  checking: () => 'checked',
  // A rehearsal that failed permits nothing.
  rehearsing: ({ failedSamples }) => (failedSamples === 0 ? 'rehearsed' : 'checked'),
  copying: () => 'holding',
  reclaiming: ({ kept }) => (kept === 0 ? 'done' : 'holding'),
  'rolling-back': ({ kept }) => (kept === 0 ? 'rolled-back' : 'holding'),
}
/** Objects with which something is not as it should be. */
export type Left = { failedSamples: number; kept: number }

export const RUNNING: readonly Phase[] = ['checking', 'rehearsing', 'copying', 'reclaiming', 'rolling-back']

export function isRunning(phase: Phase): boolean {
  return RUNNING.includes(phase)
}

/** Null where that can't be asked for now. */
export function afterAction(phase: Phase, action: PhaseAction): Phase | null {
  const { from, to } = ASKED[action]
  return from.includes(phase) ? to : null
}

/** What may be asked for in this phase. */
export function actionsIn(phase: Phase): PhaseAction[] {
  return (Object.keys(ASKED) as PhaseAction[]).filter((action) => afterAction(phase, action) !== null)
}

/** Null: it does not run. */
export function afterEnd(phase: Phase, left: Left): Phase | null {
  return ENDS[phase]?.(left) ?? null
}
