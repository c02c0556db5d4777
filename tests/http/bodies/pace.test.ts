import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FORM_PACE } from '../../../src/http/bodies/limits.ts'
import { createPaceWatch } from '../../../src/http/bodies/pace.ts'

function bodyUnderTest(pace = FORM_PACE) {
  const watch = createPaceWatch()
  const body = { bytes: 0, isOurs: false, slow: 0 }
  const stop = watch.watch({
    pace,
    received: () => body.bytes,
    isOurTurn: () => body.isOurs,
    onTooSlow: () => body.slow++,
  })
  /** Seconds in which `bytes` arrive, each. */
  const seconds = (count: number, bytes: number) => {
    for (let second = 0; second < count; second++) {
      body.bytes += bytes
      watch.tick()
    }
  }
  return { body, seconds, stop }
}

test('B2: a form that trickles is given up, once', () => {
  const { body, seconds } = bodyUnderTest()
  seconds(FORM_PACE.withinSeconds - 1, 1)
  assert.equal(body.slow, 0)
  seconds(1, 1)
  assert.equal(body.slow, 1)
  seconds(FORM_PACE.withinSeconds * 2, 0)
  assert.equal(body.slow, 1)
})

test('a phone on a bad line, and in a tunnel, may upload for hours', () => {
  const { body, seconds } = bodyUnderTest()
  for (let tunnel = 0; tunnel < 20; tunnel++) {
    seconds(600, 2_000)
    seconds(100, 0)
  }
  assert.equal(body.slow, 0)
})

test('time in which we do not take what is there is not the sender’s', () => {
  const { body, seconds } = bodyUnderTest()
  body.isOurs = true
  seconds(1_000, 0)
  body.isOurs = false
  seconds(FORM_PACE.withinSeconds - 1, 0)
  assert.equal(body.slow, 0)
  seconds(1, 0)
  assert.equal(body.slow, 1)
})

test('one that ended is not watched', () => {
  const { body, seconds, stop } = bodyUnderTest()
  stop()
  seconds(1_000, 0)
  assert.equal(body.slow, 0)
})
