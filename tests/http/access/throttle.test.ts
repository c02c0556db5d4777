import assert from 'node:assert/strict'
import { test } from 'node:test'
import { throttle } from '../../../src/http/access/throttle.ts'

const INTERVAL_MS = 40

test('each call after a quiet time acts again', async () => {
  let acts = 0
  const call = throttle(INTERVAL_MS, async () => {
    acts += 1
  })
  for (let calls = 1; calls <= 3; calls++) {
    await call()
    assert.equal(acts, calls)
  }
})

test('calls in between become one, after the interval', async () => {
  const at: number[] = []
  const call = throttle(INTERVAL_MS, async () => {
    at.push(performance.now())
  })
  await call()
  await Promise.all([call(), call(), call()])
  assert.equal(at.length, 2)
  // Timers count whole milliseconds and may be one early.
  assert.ok(at[1]! - at[0]! >= INTERVAL_MS - 2, `${at[1]! - at[0]!} ms`)
})

test('one that fails is told to its callers, and the next call acts', async () => {
  let isBroken = true
  const call = throttle(0, async () => {
    if (isBroken) throw new Error('away')
  })
  await assert.rejects(call(), /away/)
  isBroken = false
  await call()
})
