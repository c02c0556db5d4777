/** Room for recalled copies: who waits for whom, and what is left behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir, readFile, rm } from 'node:fs/promises'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { isAppError } from '../../../src/errors.ts'
import { markForPurge } from '../../../src/placement/lifecycle/purge.ts'
import { withLocalFile } from '../../../src/placement/reads/recall.ts'
import {
  dropCopy,
  type RecalledFile,
  recalledCopies,
  reserveSpace,
} from '../../../src/placement/reads/recall-space.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

/** What waits for ever is found out. */
const LIMIT = { timeout: 120_000 }

const rig = placementForEach({ settings: { recallMaxBytes: 20_000 } })

const copy = (name: string, size: number): RecalledFile => ({
  objectId: name,
  path: `${rig.mediaLocation}/none-${name}`,
  size,
  users: 1,
  lastUsedAt: 0,
  ready: Promise.resolve(),
  filling: null,
})

/** Work that goes on until it is told to end. */
function hold(objectId: string, signal?: AbortSignal) {
  let finish!: () => void
  let started!: () => void
  const isOver = new Promise<void>((resolve) => {
    finish = resolve
  })
  const begun = new Promise<void>((resolve) => {
    started = resolve
  })
  const use = async () => {
    started()
    await isOver
  }
  const done = withLocalFile(rig.placement, objectId, 'test', use, signal)
  done.catch(() => undefined)
  return { begun, finish, done }
}

test('of several that each need more than half of the room, one after the other gets it', LIMIT, async () => {
  const ids = await Promise.all([1, 2, 3].map(() => rig.ingestOffloaded(randomBytes(11_000))))
  let atOnce = 0
  let most = 0
  const work = async () => {
    atOnce += 1
    most = Math.max(most, atOnce)
    await readdir(rig.placement.recallFolder)
    atOnce -= 1
  }
  await Promise.all(ids.map((id) => withLocalFile(rig.placement, id, 'test', work)))
  assert.equal(most, 1)
  assert.equal(recalledCopies(rig.placement).onDisk.size, 1, 'the last one stays until its room is needed')
})

test('first come, first served: a small one does not overtake a large one that waits', LIMIT, async () => {
  const { placement } = rig
  const [held, large, small] = [copy('held', 15_000), copy('large', 11_000), copy('small', 1_000)]
  await reserveSpace(placement, held)
  const order: string[] = []
  const waiting = [large, small].map((file) =>
    reserveSpace(placement, file).then(() => order.push(file.objectId)),
  )
  assert.deepEqual([...recalledCopies(placement).onDisk], [held])
  held.users = 0
  await Promise.all(waiting)
  assert.deepEqual(order, ['large', 'small'])
})

test('whoever stops waiting leaves nothing that others wait for', LIMIT, async () => {
  const { placement } = rig
  const [first, second, third] = await Promise.all(
    [1, 2, 3].map(() => rig.ingestOffloaded(randomBytes(11_000))),
  )
  const stop = new AbortController()
  const holder = hold(first!)
  await holder.begun
  const leaver = hold(second!, stop.signal)
  const next = hold(third!)
  stop.abort(new Error('the worker ends'))
  await assert.rejects(leaver.done, /the worker ends/)
  assert.equal(recalledCopies(placement).byObject.has(second!), false)
  const again = hold(second!)
  holder.finish()
  for (const waiting of [next, again]) waiting.finish()
  await Promise.all([next.done, again.done])
})

test('one of two that wait for the same file may leave', LIMIT, async () => {
  const [first, second] = await Promise.all([1, 2].map(() => rig.ingestOffloaded(randomBytes(11_000))))
  const holder = hold(first!)
  await holder.begun
  const stop = new AbortController()
  const [leaver, stayer] = [hold(second!, stop.signal), hold(second!)]
  stop.abort(new Error('the worker ends'))
  await assert.rejects(leaver.done, /the worker ends/)
  holder.finish()
  await stayer.begun
  stayer.finish()
  await stayer.done
})

test('a copy that failed takes no room and leaves no file', async () => {
  const { placement } = rig
  const id = await rig.ingestOffloaded(randomBytes(11_000))
  rig.s3().plan({ call: 'get', when: 'before', error: new Error('no') })
  await assert.rejects(withLocalFile(placement, id, 'test', async () => undefined))
  assert.equal(recalledCopies(placement).onDisk.size, 0)
  assert.equal(recalledCopies(placement).byObject.size, 0)
  assert.deepEqual(await readdir(placement.recallFolder), [])
  await dropCopy(placement, copy('unknown', 1))
  await withLocalFile(placement, id, 'test', async () => undefined)
})

/**
 * Limits how many bytes the kernel lets this process write to each file, as a full disk would. Null: no
 * limit.
 */
async function limitFiles(bytes: number | null): Promise<void> {
  await promisify(execFile)('prlimit', [
    '--pid',
    String(process.pid),
    `--fsize=${bytes ?? 'unlimited'}:unlimited`,
  ])
}

test('a disk that takes a part of a copy only has made none', async () => {
  const bytes = randomBytes(11_000)
  const id = await rig.ingestOffloaded(bytes)
  await limitFiles(4_096)
  try {
    await assert.rejects(withLocalFile(rig.placement, id, 'test', readFile), { code: 'EFBIG' })
  } finally {
    await limitFiles(null)
  }
  assert.equal(recalledCopies(rig.placement).onDisk.size, 0)
  assert.deepEqual(await readdir(rig.placement.recallFolder), [])
  assert.deepEqual(await withLocalFile(rig.placement, id, 'test', readFile), bytes)
})

test('a local file that is gone: the place is to blame, unless its object was deleted', LIMIT, async () => {
  const kept = await ingestBytes(rig.placement, randomBytes(1_000))
  const deleted = await ingestBytes(rig.placement, randomBytes(1_000))
  await rig.db.transaction().execute((tx) => markForPurge(tx, [deleted], 'user'))
  for (const [objectId, code] of [
    [kept, 'unavailable'],
    [deleted, 'not-found'],
  ] as const) {
    const read = withLocalFile(rig.placement, objectId, 'test', async (path) => {
      await rm(path)
      return readFile(path)
    })
    await assert.rejects(read, (error) => isAppError(error, code))
  }
})
