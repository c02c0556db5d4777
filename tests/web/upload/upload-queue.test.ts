import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  canStop,
  createUploadQueue,
  describeTotals,
  type UploadPorts,
  type UploadState,
} from '../../../web/src/lib/upload/upload-queue.ts'

type Call = {
  source: string
  signal: AbortSignal
  onProgress(bytes: number): void
  resolve(value: string): void
  reject(error: Error): void
}

/** Ports whose every call waits until the test answers it. */
function setUp(
  options: {
    known?: string[]
    limits?: { uploads: number; hashes: number; checkBatch: number; hashedAhead: number }
  } = {},
) {
  const hashes: Call[] = []
  const sends: Call[] = []
  const received = new Map<string, () => void>()
  const checks: { id: string; checksum: string }[][] = []
  let now = 0
  let checkError: Error | null = null
  const wait = (list: Call[], source: string, onProgress: (bytes: number) => void, signal: AbortSignal) =>
    new Promise<string>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason))
      list.push({ source, signal, onProgress, resolve, reject })
    })
  const ports: UploadPorts<string> = {
    hash: (source, onProgress, signal) => wait(hashes, source, onProgress, signal),
    check: async (batch) => {
      checks.push(batch)
      if (checkError) throw checkError
      return batch.map(({ id, checksum }) =>
        options.known?.includes(checksum)
          ? {
              id,
              action: 'reject',
              reason: 'duplicate',
              assetId: `asset-of-${checksum}`,
              isTrashed: checksum === 'in-trash',
            }
          : { id, action: 'accept' },
      )
    },
    send: async (source, { onProgress, onReceived, whilePaused, signal }) => {
      received.set(source, onReceived)
      await whilePaused()
      const status = await wait(sends, source, onProgress, signal)
      return { id: `asset-of-${source}`, status }
    },
    now: () => now,
    onChange: () => {},
  }
  const queue = createUploadQueue(ports, options.limits)
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return {
    queue,
    hashes,
    sends,
    received,
    checks,
    settled,
    add: (...names: string[]) => queue.add(names.map((name) => ({ source: name, name, size: 1000 }))),
    states: () => Object.fromEntries(queue.items.map((item) => [item.name, item.state])),
    answer: async (list: Call[], source: string, value: string) => {
      list.findLast((call) => call.source === source)!.resolve(value)
      await settled()
    },
    tick: (ms: number) => {
      now += ms
    },
    failChecks: (error: Error | null) => {
      checkError = error
    },
  }
}

test('a file goes queued, hashing, checking, waiting, uploading, done', async () => {
  const seen: UploadState[] = []
  const world = setUp()
  world.add('a.jpg')
  seen.push(world.queue.items[0]!.state)
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  seen.push(world.queue.items[0]!.state)
  assert.deepEqual(world.checks, [[{ id: '1', checksum: 'hash-a' }]])
  await world.answer(world.sends, 'a.jpg', 'created')
  seen.push(world.queue.items[0]!.state)
  assert.deepEqual(seen, ['hashing', 'uploading', 'done'])
  assert.equal(world.queue.items[0]!.assetId, 'asset-of-a.jpg')
})

test('a duplicate is no error and is never sent', async () => {
  const world = setUp({ known: ['hash-a', 'in-trash'] })
  world.add('a.jpg', 'b.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  await world.answer(world.hashes, 'b.jpg', 'in-trash')
  assert.deepEqual(world.states(), { 'a.jpg': 'here', 'b.jpg': 'here' })
  assert.equal(world.sends.length, 0)
  assert.equal(world.queue.items[0]!.assetId, 'asset-of-hash-a')
  assert.equal(world.queue.items[1]!.isInTrash, true)
  assert.equal(world.queue.totals().failed, 0)
})

test('a duplicate that the server finds only at the upload is here, too', async () => {
  const world = setUp()
  world.add('a.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  await world.answer(world.sends, 'a.jpg', 'duplicate')
  assert.deepEqual(world.states(), { 'a.jpg': 'here' })
})

test('never more at once than the limits say, and everything gets its turn', async () => {
  const world = setUp({ limits: { uploads: 3, hashes: 2, checkBatch: 2, hashedAhead: 4 } })
  const names = Array.from({ length: 20 }, (_, index) => `${index}.jpg`)
  world.add(...names)
  let guard = 0
  while (world.queue.totals().open > 0) {
    assert.ok(guard++ < 200, 'the queue stands still')
    const count = (state: UploadState) => world.queue.items.filter((item) => item.state === state).length
    assert.ok(count('hashing') <= 2 && count('uploading') <= 3)
    assert.ok(count('hashing') + count('checking') + count('waiting') <= 4)
    for (const call of world.hashes.splice(0, 1)) call.resolve(`hash-${call.source}`)
    for (const call of world.sends.splice(0, 1)) call.resolve('created')
    await world.settled()
  }
  assert.equal(world.queue.totals().done, 20)
  assert.ok(world.checks.every((batch) => batch.length <= 2))
  assert.deepEqual(
    world.checks
      .flat()
      .map(({ checksum }) => checksum)
      .toSorted(),
    names.map((name) => `hash-${name}`).toSorted(),
  )
})

test('a failure has its reason, stops nobody else, and retries without hashing again', async () => {
  const world = setUp()
  world.add('a.jpg', 'b.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  await world.answer(world.hashes, 'b.jpg', 'hash-b')
  world.sends.find((call) => call.source === 'a.jpg')!.reject(new Error('Quota has been exceeded!'))
  await world.answer(world.sends, 'b.jpg', 'created')
  assert.deepEqual(world.states(), { 'a.jpg': 'failed', 'b.jpg': 'done' })
  assert.equal(world.queue.items[0]!.reason, 'Quota has been exceeded!')
  world.queue.retry(world.queue.items[0]!.id)
  await world.settled()
  assert.equal(world.hashes.length, 2, 'hashed once each')
  await world.answer(world.sends, 'a.jpg', 'created')
  assert.deepEqual(world.states(), { 'a.jpg': 'done', 'b.jpg': 'done' })
})

test('a file that cannot be read fails and hashes again on retry', async () => {
  const world = setUp()
  world.add('a.jpg')
  world.hashes[0]!.reject(new Error('NotReadableError'))
  await world.settled()
  assert.match(world.queue.items[0]!.reason!, /could not be read: NotReadableError/)
  world.queue.retry()
  assert.equal(world.hashes.length, 2)
})

test('a check that fails fails its batch, and only that', async () => {
  const world = setUp()
  world.failChecks(new Error('The server does not answer.'))
  world.add('a.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  assert.deepEqual(world.states(), { 'a.jpg': 'failed' })
  world.failChecks(null)
  world.queue.retry()
  await world.settled()
  assert.deepEqual(world.states(), { 'a.jpg': 'uploading' })
})

test('paused, what is under way is finished and nothing new begins', async () => {
  const world = setUp({ limits: { uploads: 1, hashes: 1, checkBatch: 10, hashedAhead: 10 } })
  world.add('a.jpg', 'b.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  world.queue.pause()
  await world.answer(world.sends, 'a.jpg', 'created')
  await world.answer(world.hashes, 'b.jpg', 'hash-b')
  assert.deepEqual(world.states(), { 'a.jpg': 'done', 'b.jpg': 'checking' })
  assert.equal(world.queue.totals().isPaused, true)
  world.queue.resume()
  await world.settled()
  assert.deepEqual(world.states(), { 'a.jpg': 'done', 'b.jpg': 'uploading' })
})

test('a stopped upload is cut, and makes room', async () => {
  const world = setUp({ limits: { uploads: 1, hashes: 2, checkBatch: 10, hashedAhead: 10 } })
  world.add('a.jpg', 'b.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  await world.answer(world.hashes, 'b.jpg', 'hash-b')
  const [first] = world.sends
  world.queue.cancel(world.queue.items.find((item) => item.name === first!.source)!.id)
  await world.settled()
  assert.equal(first!.signal.aborted, true)
  assert.equal(world.sends.length, 2)
  assert.equal(world.queue.totals().failed, 1)
})

test('what was skipped counts apart, and clear keeps what is open', async () => {
  const world = setUp()
  world.queue.add([{ source: 'notes.txt', name: 'notes.txt', size: 5, skip: '.txt is not a photo' }])
  world.add('a.jpg')
  assert.equal(describeTotals(world.queue.totals()), '1 skipped, 1 to go')
  assert.equal(world.queue.totals().bytes, 1000)
  world.queue.clear()
  assert.deepEqual(world.states(), { 'a.jpg': 'hashing' })
})

test('totals: bytes, speed over the last seconds, time left', async () => {
  const world = setUp()
  world.queue.add([{ source: 'big.mov', name: 'big.mov', size: 10_000_000 }])
  await world.answer(world.hashes, 'big.mov', 'hash')
  for (let step = 1; step <= 4; step++) {
    world.tick(500)
    world.sends[0]!.onProgress(step * 1_000_000)
  }
  world.tick(500)
  const totals = world.queue.totals()
  assert.equal(totals.bytesDone, 4_000_000)
  assert.equal(totals.bytesPerSecond, 2_000_000)
  assert.equal(totals.msLeft, 3000)
  world.tick(20_000)
  assert.equal(world.queue.totals().bytesPerSecond, 0)
  assert.equal(world.queue.totals().msLeft, null)
})

test('what is being proven can not be stopped, and nobody needs to wait for it', async () => {
  const world = setUp()
  world.add('a.jpg')
  await world.answer(world.hashes, 'a.jpg', 'hash-a')
  assert.equal(canStop(world.queue.items[0]!.state), true)
  world.received.get('a.jpg')!()
  const { open, proving } = world.queue.totals()
  assert.deepEqual([open, proving], [1, 1])
  assert.equal(canStop(world.queue.items[0]!.state), false)
  world.queue.cancel(1)
  assert.deepEqual(world.states(), { 'a.jpg': 'proving' })
  assert.equal(world.sends[0]!.signal.aborted, false)
  await world.answer(world.sends, 'a.jpg', 'created')
  assert.deepEqual(world.states(), { 'a.jpg': 'done' })
})
