import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { openDecodeQueue } from '../../src/media/processes/decode-queue.ts'

const MIB = 2 ** 20

function bench(options: Partial<Parameters<typeof openDecodeQueue>[0]> = {}) {
  const queue = openDecodeQueue({ limit: 1, memoryBytes: 1000 * MIB, slowAfterMs: 3_600_000, ...options })
  const started: string[] = []
  const leaves = new Map<string, () => void>()
  const enter = (name: string, owner: string, mib = 10) =>
    queue.enter({ owner, memoryBytes: mib * MIB }).then((leave) => {
      started.push(name)
      leaves.set(name, leave)
    })
  return {
    queue,
    started,
    enter,
    async end(name: string) {
      leaves.get(name)!()
      await turn()
    },
  }
}

test("B5: owners take turns: one person's many files don't hold up another's one", async () => {
  const { enter, end, started } = bench()
  for (const name of ['a1', 'a2', 'a3', 'a4']) void enter(name, 'a')
  for (const name of ['b1', 'b2']) void enter(name, 'b')
  await turn()
  for (const name of ['a1', 'a2', 'b1', 'a3', 'b2']) await end(name)
  assert.deepEqual(started, ['a1', 'a2', 'b1', 'a3', 'b2', 'a4'])
})

test('B5: what runs at the same time fits into the memory, and a quarter of it stays for others', async () => {
  const { enter, end, started } = bench({ limit: 8 })
  for (const name of ['a1', 'a2', 'a3']) void enter(name, 'a', 400)
  void enter('b1', 'b', 250)
  void enter('b2', 'b', 500)
  await turn()
  assert.deepEqual(started, ['a1', 'b1'])
  await end('a1')
  assert.deepEqual(started, ['a1', 'b1', 'a2'])
  await end('b1')
  assert.deepEqual(started, ['a1', 'b1', 'a2', 'b2'])
})

test('B5: a large file waits its turn, not for ever', async () => {
  const { enter, end, started } = bench({ limit: 4 })
  void enter('c0', 'c', 300)
  void enter('large', 'l', 750)
  for (let index = 1; index <= 30; index++) void enter(`c${index}`, 'c', 300)
  await turn()
  for (let index = 0; index < 30 && !started.includes('large'); index++) {
    const running = started.at(-2) ?? started.at(-1)!
    await end(running)
    for (const name of started.slice()) if (name !== 'large') await end(name)
  }
  assert.ok(started.includes('large'))
  assert.ok(started.length < 30, `after ${started.length}`)
})

test('B5: a file larger than all memory is tried alone within what one may take', async () => {
  const { enter, started } = bench()
  void enter('giant', 'a', 100_000)
  await turn()
  assert.deepEqual(started, ['giant'])
})

test('whoever is called off leaves the line, and a closed line refuses', async () => {
  const { queue, enter, started } = bench()
  void enter('a1', 'a')
  const stop = new AbortController()
  const waiting = queue.enter({ owner: 'a', memoryBytes: 1 }, stop.signal)
  const other = queue.enter({ owner: 'b', memoryBytes: 1 })
  stop.abort(new Error('no longer'))
  await assert.rejects(waiting, { message: 'no longer' })
  queue.close(new Error('closed'))
  await assert.rejects(other, { message: 'closed' })
  await assert.rejects(enter('a2', 'a'), { message: 'closed' })
  assert.deepEqual(started, ['a1'])
})
