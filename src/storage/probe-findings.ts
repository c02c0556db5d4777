import { PROBE_CHECKS, type ProbeCheck } from './probe-checks.ts'
import type { Paste, ProbeFinding } from './probe-report.ts'

/** A finding that is as it should be, or costs nothing. */
export function noProblem(id: ProbeCheck, detail: string): ProbeFinding {
  return { id, check: PROBE_CHECKS[id], ok: true, critical: false, detail }
}

/** Something that is missing or wrong, and that Glassine can do without, at a price that `remedy` names. */
export function drawback(id: ProbeCheck, detail: string, remedy: string, paste?: Paste[]): ProbeFinding {
  return { id, check: PROBE_CHECKS[id], ok: false, critical: false, detail, remedy, ...(paste && { paste }) }
}

/** Something that is missing or wrong, and that Glassine can't do without. */
export function problem(id: ProbeCheck, detail: string, remedy: string, paste?: Paste[]): ProbeFinding {
  return { ...drawback(id, detail, remedy, paste), critical: true }
}
