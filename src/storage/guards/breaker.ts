/**
 * Whether a place is worth asking now. It opens after enough failures, so that callers have their error at
 * once instead of waiting for the same silence each, and closes after one small trial went well. Pure but for
 * its clock; `with-breaker.ts` puts it before a backend.
 *
 *     closed --enough failures--> open --cool-down over, one trial begins--> half-open --answered--> closed
 *                                  ^                                            |
 *                                  +-----------------failed---------------------+
 *
 * A drill *blocks* a location until a given time: every call is refused, and outcomes are not counted.
 */
import { StorageError } from '../backend.ts'
import { countOutcomes } from './call-window.ts'

export type BreakerRules = {
  /**
   * It opens when so many calls failed within the window, and either no fewer than were answered, or nothing
   * was answered for `answerWithinMs`: a busy place that falls silent has hundreds of answers in its window.
   */
  failures: number
  windowMs: number
  /** From opening, or from a failed trial, to the next trial. */
  coolDownMs: number
  /** A read that is not answered by then has failed. */
  answerWithinMs: number
}

export const DEFAULT_BREAKER_RULES: BreakerRules = {
  failures: 5,
  windowMs: 30_000,
  coolDownMs: 10_000,
  answerWithinMs: 10_000,
}

/**
 * `read`: cut when the breaker opens, since its answer is awaited; any other call goes on until it fails by
 * itself.
 */
export type CallKind = 'read' | 'other' | 'trial'
/**
 * `answered`: also by a refusal, which proves that the place is there. `unknown`: ended for a reason of the
 * caller's.
 */
export type Outcome = 'answered' | 'failed' | 'unknown'

export type BreakerCall = {
  /** Aborted with a `StorageError` when the call is to be cut. */
  readonly signal: AbortSignal
  /** Milliseconds since it began. */
  ageMs(): number
  /** How it went; only the first word counts. `reason` is told to those who are refused because of it. */
  decide(outcome: Outcome, reason?: string): void
  /** It was answered, and what followed ended before its time: a failure of its own. */
  breakOff(reason: string): void
  /** It is over and can't be cut any more. */
  end(): void
}

export type BreakerChange = { state: 'open'; reason: string } | { state: 'closed' }

export type Breaker = {
  readonly rules: BreakerRules
  readonly state: 'closed' | 'open' | 'half-open'
  /** Why calls are refused for a drill; null when they are not. */
  readonly blockedFor: string | null
  /** True when it is open, the cool-down is over and nobody tries yet. */
  isTrialDue(): boolean
  /** Throws `unavailable`, with the time of the next trial, where a call that began now would be refused. */
  assertAdmits(): void
  /** The same for a blocked place alone: for looks at a place that is known to be in trouble. */
  assertNotBlocked(): void
  /** A call begins. Throws as `assertAdmits` does; a trial is admitted once a cool-down. */
  begin(kind: CallKind): BreakerCall
  /** Opens it by what others found; true when it was closed. */
  open(reason: string): boolean
  /** The place was found well by other means. */
  close(): void
  /** Refuses everything for so long and cuts what is under way; replaces an earlier block. */
  block(forMs: number, reason: string): void
  unblock(): void
  /** Called at once after every opening (not after failed trials) and closing; must not throw. */
  onChange(listener: (change: BreakerChange) => void): void
}

/** `place` is named in what it throws. `nowMs` never goes back (performance.now). */
export function createBreaker(
  place: string,
  rules: BreakerRules = DEFAULT_BREAKER_RULES,
  nowMs: () => number = () => performance.now(),
): Breaker {
  const underWay = new Set<{ kind: CallKind; isDecided: boolean; cut(error: StorageError): void }>()
  const listeners: ((change: BreakerChange) => void)[] = []
  let outcomes = countOutcomes(rules.windowMs)
  let unanswered = { failed: 0, sinceMs: nowMs() }
  let state: Breaker['state'] = 'closed'
  /** Of the closed state: what began before an outage says nothing about the time after it. */
  let epoch = 0
  let why = ''
  let nextTrialAtMs = 0
  let blocked: { untilMs: number; reason: string } | null = null

  function cut(error: StorageError, which: (call: { kind: CallKind; isDecided: boolean }) => boolean): void {
    for (const call of [...underWay]) if (which(call)) call.cut(error)
  }

  function tell(change: BreakerChange): void {
    for (const listener of listeners) listener(change)
  }

  function open(reason: string): boolean {
    const isNews = state === 'closed'
    state = 'open'
    why = reason
    nextTrialAtMs = nowMs() + rules.coolDownMs
    if (isNews) {
      cut(refusal(), ({ kind, isDecided }) => kind === 'read' && !isDecided)
      tell({ state: 'open', reason })
    }
    return isNews
  }

  function close(): void {
    if (state === 'closed') return
    state = 'closed'
    epoch += 1
    outcomes = countOutcomes(rules.windowMs)
    unanswered = { failed: 0, sinceMs: nowMs() }
    tell({ state: 'closed' })
  }

  function refusal(): StorageError {
    // While a trial is under way its outcome is known in `answerWithinMs` at the latest.
    const retryAtMs = state === 'half-open' ? nowMs() + rules.answerWithinMs : nextTrialAtMs
    return new StorageError('unavailable', `${place} can't be reached: ${why}`, {
      retryAt: toDate(retryAtMs, nowMs),
    })
  }

  function blockRefusal({ untilMs, reason }: { untilMs: number; reason: string }): StorageError {
    return new StorageError('unavailable', `${place} can't be reached: ${reason}`, {
      retryAt: toDate(untilMs, nowMs),
    })
  }

  function blockNow(): { untilMs: number; reason: string } | null {
    if (blocked !== null && blocked.untilMs <= nowMs()) blocked = null
    return blocked
  }

  function assertNotBlocked(): void {
    const block = blockNow()
    if (block !== null) throw blockRefusal(block)
  }

  const isTrialDue = () => state === 'open' && nowMs() >= nextTrialAtMs && blockNow() === null

  function learn(kind: CallKind, callEpoch: number, outcome: Outcome, reason: string): void {
    if (kind === 'trial') {
      if (state !== 'half-open') return
      if (outcome === 'answered') close()
      else {
        open(reason || why)
        // Nothing was learned: the next one may try at once.
        if (outcome === 'unknown') nextTrialAtMs = nowMs()
      }
      return
    }
    if (state !== 'closed' || callEpoch !== epoch || outcome === 'unknown') return
    outcomes.add(outcome, nowMs())
    if (outcome === 'answered') {
      unanswered = { failed: 0, sinceMs: nowMs() }
      return
    }
    unanswered.failed += 1
    const { failed, answered } = outcomes.within(nowMs())
    const isSilent =
      unanswered.failed >= rules.failures && nowMs() - unanswered.sinceMs >= rules.answerWithinMs
    if (failed >= rules.failures && (failed >= answered || isSilent)) open(reason)
  }

  function begin(kind: CallKind): BreakerCall {
    assertNotBlocked()
    if (kind === 'trial') {
      if (!isTrialDue()) throw refusal()
      state = 'half-open'
    } else if (state !== 'closed') throw refusal()

    const beganAtMs = nowMs()
    const callEpoch = epoch
    const controller = new AbortController()
    const entry = { kind, isDecided: false, cut: (error: StorageError) => controller.abort(error) }
    underWay.add(entry)
    return {
      signal: controller.signal,
      ageMs: () => nowMs() - beganAtMs,
      decide(outcome, reason = '') {
        if (entry.isDecided) return
        entry.isDecided = true
        learn(kind, callEpoch, blockNow() === null ? outcome : 'unknown', reason)
      },
      breakOff(reason) {
        if (kind !== 'trial' && blockNow() === null) learn(kind, callEpoch, 'failed', reason)
      },
      end() {
        underWay.delete(entry)
        if (entry.isDecided) return
        entry.isDecided = true
        learn(kind, callEpoch, 'unknown', '')
      },
    }
  }

  return {
    rules,
    get state() {
      return state
    },
    get blockedFor() {
      return blockNow()?.reason ?? null
    },
    isTrialDue,
    assertAdmits() {
      assertNotBlocked()
      if (state !== 'closed' && !isTrialDue()) throw refusal()
    },
    assertNotBlocked,
    begin,
    open: (reason) => state === 'closed' && open(reason),
    close,
    block(forMs, reason) {
      blocked = { untilMs: nowMs() + forMs, reason }
      cut(blockRefusal(blocked), () => true)
    },
    unblock() {
      blocked = null
    },
    onChange(listener) {
      listeners.push(listener)
    },
  }
}

function toDate(atMs: number, nowMs: () => number): Date {
  return new Date(Date.now() + Math.max(0, atMs - nowMs()))
}
