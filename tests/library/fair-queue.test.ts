import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createFairQueue } from '../../src/library/fair-queue.ts'

function queueUnderTest(limits: Partial<Parameters<typeof createFairQueue>[0]> = {}) {
  const queue = createFairQueue({
    atOnce: 1,
    waitingOfOne: 100,
    waitingInAll: 200,
    refusal: 'full',
    ...limits,
  })
  const done: string[] = []
  const refused: string[] = []
  const ends: (() => void)[] = []
  const ask = (owner: string, name: string) => {
    const work = () => new Promise<void>((resolve) => ends.push(resolve)).then(() => void done.push(name))
    queue.run(owner, work).catch(() => refused.push(name))
  }
  const finishAll = async () => {
    await setImmediate()
    for (let end = ends.shift(); end; end = ends.shift()) {
      end()
      await setImmediate()
    }
  }
  return { ask, done, refused, ends, finishAll }
}

test('B7: owners take turns, so that who asks for one thing waits for one of each other', async () => {
  const { ask, done, finishAll } = queueUnderTest()
  for (let n = 0; n < 50; n++) ask('crowd', `crowd ${n}`)
  ask('a', 'a')
  ask('b', 'b')
  await finishAll()
  assert.deepEqual(done.slice(0, 5), ['crowd 0', 'crowd 1', 'a', 'b', 'crowd 2'])
  assert.equal(done.length, 52)
})

test('so many run at once, also when one fails', async () => {
  const queue = createFairQueue({ atOnce: 2, waitingOfOne: 10, waitingInAll: 10, refusal: 'full' })
  let running = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++running)
    await setImmediate()
    running--
    throw new Error('broken')
  }
  const ended = await Promise.allSettled(Array.from({ length: 9 }, () => queue.run('a', work)))
  assert.deepEqual([most, running, ended.every(({ status }) => status === 'rejected')], [2, 0, true])
})

test('B7: one owner has a bounded number waiting; the next is refused at once', async () => {
  const { ask, refused, done, finishAll } = queueUnderTest({ waitingOfOne: 3 })
  for (let n = 0; n < 6; n++) ask('a', `${n}`)
  ask('b', 'b')
  await setImmediate()
  assert.deepEqual(refused, ['4', '5'])
  await finishAll()
  assert.deepEqual(done.toSorted(), ['0', '1', '2', '3', 'b'])
})

test('B7: where all places are taken, the longest line gives one to a newcomer', async () => {
  const { ask, refused, done, finishAll } = queueUnderTest({ waitingInAll: 4 })
  for (let n = 0; n < 5; n++) ask('a', `a${n}`)
  ask('b', 'b')
  await setImmediate()
  assert.deepEqual(refused, ['a4'])
  ask('a', 'a5')
  await setImmediate()
  assert.deepEqual(refused, ['a4', 'a5'])
  await finishAll()
  assert.deepEqual(done.toSorted(), ['a0', 'a1', 'a2', 'a3', 'b'])
})
