import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createLoginSlowdown } from '../../src/library/users/login-slowdown.ts'

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

test('B8: an account that is attacked is remembered, however many others fail once', async () => {
  const { delays, fail } = slowdownUnderTest()
  for (let n = 0; n < 5; n++) await fail('victim@example.org')
  for (let n = 0; n < 10_050; n++) await fail(`${n}@example.org`, `192.0.2.${n % 250}`)
  assert.deepEqual(delays, [])
  await fail('victim@example.org')
  assert.deepEqual(delays, [250])
})

test('B8: what somebody waits for is not forgotten', async () => {
  const { slowdown, fail } = slowdownUnderTest()
  const { promise, resolve } = Promise.withResolvers<null>()
  const guess = (attempt: () => Promise<null>) => slowdown.run('w@example.org', '198.51.100.1', attempt)
  // The first is free, the second first in line.
  const waiting = [guess(() => promise), guess(() => promise)]
  for (let n = 0; n < 10_050; n++) void fail(`${n}@example.org`, `192.0.2.${n % 250}`).catch(() => undefined)
  let isRunning = false
  waiting.push(
    guess(async () => {
      isRunning = true
      return null
    }),
  )
  await setImmediate()
  assert.equal(isRunning, false)
  resolve(null)
  await Promise.all(waiting)
})

test('B7: of a thousand attempts from one address, one from another waits for no more than two', async () => {
  const { slowdown } = slowdownUnderTest()
  let attempts = 0
  const attempt = async () => {
    attempts++
    await setImmediate()
    return null
  }
  const crowd = Promise.allSettled(
    Array.from({ length: 1_000 }, (_, n) => slowdown.run(`${n}@example.org`, '192.0.2.1', attempt)),
  )
  let before = Number.NaN
  await slowdown.run('b@example.org', '192.0.2.2', async () => {
    before = attempts
    return true
  })
  assert.ok(before <= 4, `${before} others came first`)
  const refused = (await crowd).filter((outcome) => outcome.status === 'rejected')
  assert.equal(refused.length, 1_000 - 22)
  assert.equal((refused[0] as PromiseRejectedResult).reason.code, 'unavailable')
})

test('guesses from all over an IPv6 network are one guesser’s', async () => {
  const { delays, fail } = slowdownUnderTest()
  for (let n = 0; n < 6; n++) await fail('a@example.org', `2001:db8:1:2::${n}`)
  assert.deepEqual(delays, [250])
})
