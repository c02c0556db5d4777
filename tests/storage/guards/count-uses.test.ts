import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { closeWhenUnused } from '../../../src/close-when-unused.ts'
import { silentLog } from '../../../src/log.ts'
import { countUses } from '../../../src/storage/guards/count-uses.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { until } from '../../support/eventually.ts'
import { locationOfBackend } from '../../support/placement.ts'
import { bodyOf, randomKey, readAll } from '../contract/bodies.ts'

test('a location that was left is closed when its last stream has ended, and not before', async () => {
  let isClosed = false
  const close = async () => {
    isClosed = true
  }
  const inner = { ...openMemoryBackend(), close }
  const { backend, uses } = countUses(inner)
  const [key, bytes] = [randomKey('a'), randomBytes(200_000)]
  await backend.put(key, bodyOf(bytes))
  assert.equal(uses().underWay, 0)
  await assert.rejects(backend.get(randomKey('b')))
  const listing = backend.list('')[Symbol.asyncIterator]()
  await listing.next()
  assert.equal(uses().underWay, 1)
  await listing.return?.()
  const reading = await backend.get(key)
  assert.equal(uses().underWay, 1)

  const leaving = closeWhenUnused(silentLog, { idleMs: 1, lookMs: 1 })
  leaving.add({ ...locationOfBackend('old', 'memory', backend), uses })
  // Many looks later.
  const { promise, resolve } = Promise.withResolvers<void>()
  let looks = 0
  const timer = setInterval(() => {
    looks += 1
    if (looks > 20) resolve()
  }, 1)
  await promise
  clearInterval(timer)
  assert.equal(isClosed, false)
  assert.deepEqual(await readAll(reading.stream), bytes)
  await until('it is closed', async () => isClosed)
})

test('at the end of the process all are closed, used or not', async () => {
  let isClosed = false
  const close = async () => {
    isClosed = true
  }
  const inner = { ...openMemoryBackend(), close }
  const { backend, uses } = countUses(inner)
  const leaving = closeWhenUnused(silentLog)
  leaving.add({ ...locationOfBackend('old', 'memory', backend), uses })
  await leaving.close()
  assert.equal(isClosed, true)
})
