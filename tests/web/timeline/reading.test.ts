/** Which months and pages of a timeline are read, cut and let go. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MonthLoads } from '../../../web/src/lib/timeline/state/month-loads.ts'
import { type Page, PageReader } from '../../../web/src/lib/timeline/state/page-reader.ts'
import type { Photo } from '../../../web/src/lib/timeline/state/photos.ts'

/** Reads that end when the test lets them, or when they are cut. */
function heldReads<T>() {
  const reads: {
    what: string | null
    isCut: boolean
    answer: (value: T) => void
    fail: (error: Error) => void
  }[] = []
  const read = (what: string | null, signal: AbortSignal) =>
    new Promise<T>((resolve, reject) => {
      const entry = { what, isCut: false, answer: resolve, fail: reject }
      signal.addEventListener('abort', () => {
        entry.isCut = true
        reject(signal.reason)
      })
      reads.push(entry)
    })
  return { reads, read }
}

test('a month that leaves the window is cut, unless somebody waits for it', async () => {
  const { reads, read } = heldReads<void>()
  const loads = new MonthLoads(read)
  loads.want(['a', 'b'])
  loads.startQuietly('a')
  loads.startQuietly('b')
  const waited = loads.waitFor('b')
  loads.want(['c'])
  assert.deepEqual(
    reads.map(({ what, isCut }) => [what, isCut]),
    [
      ['a', true],
      ['b', false],
    ],
  )
  assert.deepEqual([loads.isRunning('a'), loads.isRunning('b'), loads.waitFor('a')], [false, true, null])
  reads[1]!.answer()
  await waited
  assert.equal(loads.isRunning('b'), false)
})

test('whoever starts a month hears that it failed; the window does not', async () => {
  const { reads, read } = heldReads<void>()
  const loads = new MonthLoads(read)
  loads.startQuietly('a')
  const started = loads.start('b')
  for (const { fail } of reads) fail(new Error('away'))
  await assert.rejects(started, /away/)
})

test('of more than 36 months those are let go that were read first and are not in the window', () => {
  const loads = new MonthLoads(async () => {})
  loads.want(['0', '1'])
  for (let month = 0; month < 36; month++) assert.deepEqual(loads.keep(String(month)), [])
  assert.deepEqual(loads.keep('2'), [], 'read again, it is not one more')
  assert.deepEqual(loads.keep('36'), ['3'])
  loads.want([])
  assert.deepEqual(loads.keep('37'), ['0'])
})

const photosOf = (...ids: string[]) => ids.map((id) => ({ id }) as Photo)
function pages() {
  const { reads, read } = heldReads<Page>()
  return { reads, reader: new PageReader(read) }
}

test('pages come one after the other, and opened again there are as many as before', async () => {
  const { reads, reader } = pages()
  const opened = reader.reopen()
  reads[0]!.answer({ photos: photosOf('a'), nextCursor: '1' })
  assert.deepEqual(await opened, photosOf('a'))
  assert.equal(reader.hasMore, true)
  const next = reader.more()
  assert.equal(reads[1]!.what, '1')
  reads[1]!.answer({ photos: photosOf('b'), nextCursor: '2' })
  assert.deepEqual(await next, photosOf('b'))
  const again = reader.reopen()
  reads[2]!.answer({ photos: photosOf('a'), nextCursor: '1' })
  await new Promise(setImmediate)
  reads[3]!.answer({ photos: photosOf('b'), nextCursor: null })
  assert.deepEqual(await again, photosOf('a', 'b'))
  assert.equal(reader.hasMore, false)
  assert.equal(await reader.more(), null)
})

test('opening again takes the place of a page that is being read; what failed can be asked for again', async () => {
  const { reads, reader } = pages()
  const opened = reader.reopen()
  reads[0]!.answer({ photos: photosOf('a'), nextCursor: '1' })
  await opened
  const more = reader.more()
  const again = reader.reopen()
  assert.equal(await more, null)
  assert.equal(reads[1]!.isCut, true)
  reads[2]!.answer({ photos: photosOf('a'), nextCursor: '1' })
  assert.deepEqual(await again, photosOf('a'))
  const failing = reader.more()
  reads[3]!.fail(new Error('away'))
  await assert.rejects(failing, /away/)
  const retried = reader.more()
  assert.equal(reads[4]!.what, '1')
  reads[4]!.answer({ photos: photosOf('b'), nextCursor: null })
  assert.deepEqual(await retried, photosOf('b'))
})
