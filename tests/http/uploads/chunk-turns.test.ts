import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextLoop } from 'node:timers/promises'
import { chunkTurn } from '../../../src/http/bodies/chunk-turns.ts'

test('B16: between two looks at the network few chunks are worked on, however many uploads have some', async () => {
  let worked = 0
  const upload = async () => {
    for (let chunk = 0; chunk < 5; chunk++) {
      await chunkTurn()
      worked++
    }
  }
  const uploads = Promise.all(Array.from({ length: 200 }, upload))
  let before = 0
  for (let loops = 0; worked < 1_000; loops++) {
    await nextLoop()
    assert.ok(worked - before <= 16, `${worked - before} chunks in one turn of the loop`)
    before = worked
    assert.ok(loops < 1_000, 'it stands still')
  }
  await uploads
})

test('uploads take turns: none is done while another has not begun', async () => {
  const counts = new Map<number, number>()
  const upload = async (id: number) => {
    for (let chunk = 0; chunk < 10; chunk++) {
      await chunkTurn()
      counts.set(id, (counts.get(id) ?? 0) + 1)
      if (counts.get(id) === 10) assert.equal(counts.size, 50)
    }
  }
  await Promise.all(Array.from({ length: 50 }, (_, id) => upload(id)))
})
