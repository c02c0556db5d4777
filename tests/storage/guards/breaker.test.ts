/**
 * When a place that fails is left alone, and when it is tried again; that nothing else changes is the suite's
 * business.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isStorageError, StorageError } from '../../../src/storage/backend.ts'
import {
  type BreakerCall,
  type BreakerChange,
  type BreakerRules,
  type CallKind,
  createBreaker,
  type Outcome,
} from '../../../src/storage/guards/breaker.ts'

const RULES: BreakerRules = { failures: 3, windowMs: 10_000, coolDownMs: 2_000, answerWithinMs: 1_000 }

type Step =
  | { do: 'begin'; kind: CallKind }
  | { do: 'decide'; which: number; outcome: Outcome }
  | { do: 'break-off'; which: number }
  | { do: 'wait'; ms: number }
  | { do: 'block'; ms: number }
  | { do: 'unblock' }
  | { do: 'open' }
  | { do: 'found-well' }

const which = fc.nat(20)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('begin' as const),
      kind: fc.constantFrom<CallKind>('read', 'read', 'other', 'trial'),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('decide' as const),
      which,
      outcome: fc.constantFrom<Outcome>('answered', 'failed', 'failed', 'failed', 'unknown'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('break-off' as const), which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(3_000) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('block' as const), ms: fc.integer({ min: 1, max: 5_000 }) }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'unblock' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'open' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'found-well' as const }) },
)

function refused(run: () => BreakerCall): BreakerCall | StorageError {
  try {
    return run()
  } catch (error) {
    assert.ok(isStorageError(error, 'unavailable'), String(error))
    return error
  }
}

test('a breaker, whatever happens in whatever order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      let nowMs = 0
      const breaker = createBreaker('the bucket', RULES, () => nowMs)
      const changes: BreakerChange[] = []
      breaker.onChange((change) => changes.push(change))
      const calls: { call: BreakerCall; kind: CallKind; isDecided: boolean; isOver: boolean }[] = []
      const failedAtMs: number[] = []
      let lastTroubleAtMs = Number.NEGATIVE_INFINITY
      let blockedUntilMs = 0

      for (const one of steps) {
        const before = breaker.state
        const changesBefore = changes.length
        if (one.do === 'wait') nowMs += one.ms
        if (one.do === 'block') {
          breaker.block(one.ms, 'a drill')
          blockedUntilMs = nowMs + one.ms
          for (const { call, isOver } of calls)
            assert.ok(isOver || call.signal.aborted, 'a block cuts everything')
        }
        if (one.do === 'unblock') {
          breaker.unblock()
          blockedUntilMs = nowMs
        }
        if (one.do === 'open') breaker.open('others say so')
        if (one.do === 'found-well') breaker.close()
        if (one.do === 'begin') {
          const begun = refused(() => breaker.begin(one.kind))
          const isBlocked = nowMs < blockedUntilMs
          if (begun instanceof StorageError) {
            assert.ok(isBlocked || one.kind === 'trial' || before !== 'closed', 'a closed one refuses nobody')
            assert.ok(begun.retryAt !== undefined)
            assert.match(begun.message, /the bucket can't be reached/)
          } else {
            assert.ok(!isBlocked, 'a block lets nothing through')
            if (one.kind === 'trial') {
              assert.equal(before, 'open')
              assert.equal(breaker.state, 'half-open')
              assert.ok(nowMs - lastTroubleAtMs >= RULES.coolDownMs, 'no trial before the cool-down is over')
              const trials = calls.filter(({ kind, isDecided }) => kind === 'trial' && !isDecided)
              assert.ok(trials.length === 0, 'one trial at a time')
            } else assert.equal(before, 'closed', 'only trials pass while it is not closed')
            calls.push({ call: begun, kind: one.kind, isDecided: false, isOver: false })
          }
        }
        const chosen = 'which' in one ? calls[one.which % Math.max(1, calls.length)] : undefined
        if (one.do === 'decide' && chosen) {
          chosen.call.decide(one.outcome, 'no answer')
          const counts = !chosen.isDecided && one.outcome === 'failed' && nowMs >= blockedUntilMs
          if (counts) failedAtMs.push(nowMs)
          if (!chosen.isDecided && chosen.kind === 'trial' && before === 'half-open') {
            const isWell = one.outcome === 'answered' && nowMs >= blockedUntilMs
            assert.equal(breaker.state, isWell ? 'closed' : 'open')
            if (counts) lastTroubleAtMs = nowMs
          }
          chosen.isDecided = true
          chosen.isOver = true
          chosen.call.end()
        }
        if (one.do === 'break-off' && chosen?.isDecided) {
          chosen.call.breakOff('cut short')
          failedAtMs.push(nowMs)
        }

        const change = changes[changesBefore]
        if (before === 'closed' && breaker.state === 'open') {
          assert.equal(change?.state, 'open', 'an opening is told')
          lastTroubleAtMs = nowMs
          const recent = failedAtMs.filter((atMs) => nowMs - atMs < RULES.windowMs)
          assert.ok(one.do === 'open' || recent.length >= RULES.failures, 'it does not open for less')
          for (const { call, kind, isOver } of calls) {
            if (kind === 'read' && !isOver) assert.ok(call.signal.aborted, 'reads that wait are cut')
          }
        } else if (before !== 'closed' && breaker.state === 'closed') {
          assert.equal(change?.state, 'closed', 'a closing is told')
          assert.ok(one.do === 'decide' || one.do === 'found-well', 'time alone closes nothing')
          failedAtMs.length = 0
        } else assert.equal(change, undefined, 'nothing else is told')
      }

      // Whatever came before: once the place is well, one cool-down and one trial later everything passes.
      breaker.unblock()
      for (const { call } of calls) call.end()
      nowMs += RULES.coolDownMs
      if (breaker.state !== 'closed') breaker.begin('trial').decide('answered')
      breaker.assertAdmits()
      // And failures alone, within the window, always open it.
      nowMs += RULES.windowMs
      for (let n = 0; n < RULES.failures; n += 1) breaker.begin('other').decide('failed', 'gone')
      assert.equal(breaker.state, 'open')
    }),
    { numRuns: 2_000 },
  )
})

describe('when it opens', () => {
  const open = (outcomes: Outcome[], everyMs = 1) => {
    let nowMs = 0
    const breaker = createBreaker('the bucket', RULES, () => nowMs)
    for (const outcome of outcomes) {
      if (breaker.state !== 'closed') break
      breaker.begin('other').decide(outcome, 'no answer')
      nowMs += everyMs
    }
    return breaker.state === 'open'
  }

  test('not while at least as many calls are answered', () => {
    assert.equal(open(Array.from({ length: 400 }, (_, n) => (n % 3 === 0 ? 'failed' : 'answered'))), false)
    assert.equal(open(['answered', 'failed', 'failed', 'failed']), true)
  })

  test('a busy place that falls silent: the answers of a moment ago keep it closed no longer than a call waits', () => {
    const afterAnswers = (waitMs: number, failures: number) => {
      let nowMs = 0
      const breaker = createBreaker('the bucket', RULES, () => nowMs)
      for (let n = 0; n < 500; n += 1) breaker.begin('read').decide('answered')
      const waiting = Array.from({ length: failures }, () => breaker.begin('read'))
      nowMs += waitMs
      for (const call of waiting) call.decide('failed', 'no answer')
      return breaker.state
    }
    assert.equal(afterAnswers(RULES.answerWithinMs, RULES.failures), 'open')
    assert.equal(afterAnswers(RULES.answerWithinMs, RULES.failures - 1), 'closed')
    assert.equal(afterAnswers(RULES.answerWithinMs - 1, 100), 'closed', 'a burst of refusals is no silence')
  })

  test('not for failures that are far apart, nor for what says nothing', () => {
    assert.equal(open(Array(20).fill('failed'), RULES.windowMs / 2), false)
    assert.equal(open(Array(20).fill('unknown')), false)
  })

  test('what began before an outage says nothing about the time after it', () => {
    const breaker = createBreaker('the bucket', RULES, () => 0)
    const old = Array.from({ length: 10 }, () => breaker.begin('other'))
    breaker.open('gone')
    breaker.close()
    for (const call of old) call.decide('failed', 'late')
    assert.equal(breaker.state, 'closed')
  })

  test('the refusal names the cause and when it will be tried again', () => {
    const breaker = createBreaker('the bucket', RULES, () => 0)
    breaker.open('503 SlowDown')
    const error = refused(() => breaker.begin('read')) as StorageError
    assert.equal(error.message, "the bucket can't be reached: 503 SlowDown")
    const inMs = (error.retryAt?.getTime() ?? 0) - Date.now()
    assert.ok(inMs > RULES.coolDownMs - 1_000 && inMs <= RULES.coolDownMs, String(inMs))
  })

  test('counts stay exact under load', () => {
    const breaker = createBreaker('the bucket', { ...RULES, failures: 1_000 }, () => 5)
    for (let n = 0; n < 999; n += 1) breaker.begin('other').decide('failed', randomBytes(2).toString('hex'))
    assert.equal(breaker.state, 'closed')
    breaker.begin('other').decide('failed', 'the last straw')
    assert.equal(breaker.state, 'open')
  })
})
