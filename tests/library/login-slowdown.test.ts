import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createLoginSlowdown } from '../../src/library/login-slowdown.ts'

function slowdownUnderTest() {
  const delays: number[] = []
  const clock = { nowMs: 1_000_000 }
  const slowdown = createLoginSlowdown({
    now: () => clock.nowMs,
    wait: async (ms) => {
      delays.push(ms)
      await setImmediate()
    },
  })
  const fail = (account = 'a@example.org', address = '1.2.3.4') =>
    slowdown.run(account, address, async () => null)
  const succeed = (account = 'a@example.org', address = '1.2.3.4') =>
    slowdown.run(account, address, async () => true)
  return { slowdown, delays, clock, fail, succeed }
}

test('five failures are free, then each doubles the delay, up to 10 s', async () => {
  const { delays, fail } = slowdownUnderTest()
  for (let n = 0; n < 13; n++) await fail()
  assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000])
})

test('a success forgets, and so do 15 minutes', async () => {
  const { delays, clock, fail, succeed } = slowdownUnderTest()
  for (let n = 0; n < 5; n++) await fail()
  assert.equal(await succeed(), true)
  assert.equal(delays.length, 1)
  for (let n = 0; n < 5; n++) await fail()
  assert.equal(delays.length, 1)
  clock.nowMs += 15 * 60_000
  await fail()
  assert.equal(delays.length, 1)
})

test('another account and another address are not slowed', async () => {
  const { delays, fail } = slowdownUnderTest()
  for (let n = 0; n < 6; n++) await fail()
  await fail('b@example.org')
  await fail('a@example.org', '5.6.7.8')
  assert.deepEqual(delays, [250])
})

test('parallel guesses run one after another, and a crowd is turned away', async () => {
  const { slowdown, fail } = slowdownUnderTest()
  for (let n = 0; n < 5; n++) await fail()
  let running = 0
  let most = 0
  const guess = () =>
    slowdown.run('a@example.org', '1.2.3.4', async () => {
      most = Math.max(most, ++running)
      await setImmediate()
      running--
      return null
    })
  const outcomes = await Promise.allSettled(Array.from({ length: 30 }, guess))
  assert.equal(most, 1)
  const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
  assert.equal(refused.length, 10)
  assert.equal(refused[0]!.reason.code, 'unavailable')
})

test('an error counts neither as success nor as failure', async () => {
  const { slowdown, delays, fail } = slowdownUnderTest()
  for (let n = 0; n < 4; n++) await fail()
  const broken = slowdown.run('a@example.org', '1.2.3.4', async () => {
    throw new Error('no database')
  })
  await assert.rejects(broken, /no database/)
  await fail()
  assert.deepEqual(delays, [])
  await fail()
  assert.deepEqual(delays, [250])
})
