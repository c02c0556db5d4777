/**
 * Fetching units. A fill is in memory until its unit is complete, so that its readers depend neither on each
 * other's pace nor on the disk; the bytes of all fills together are bounded.
 *
 * A reader that got all it wanted lets its unit be finished. One that nobody waits for any more, because its
 * readers left early, is finished when at least half of it has arrived, and given up otherwise.
 */
import { createHash } from 'node:crypto'
import { isStorageError, StorageError } from '../../storage/backend.ts'
import type { Cache, CacheSource, Fill, Run } from './cache.ts'
import type { Unit } from './file.ts'
import { keepPending } from './pending.ts'
import { rescanIfDue } from './scan.ts'
import { forgetObject, storeUnit } from './store.ts'

export function openRun(source: CacheSource, start: number, end: number): Run {
  const stream = source.open(start, end)
  stream.on('error', () => undefined) // whoever waits for its next piece is told
  return {
    source,
    stream,
    pieces: stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>,
    leftover: null,
    position: start,
    sha256: start === 0 && end === source.size - 1 ? createHash('sha256') : null,
    isFilling: false,
    isLeft: false,
    isUnwanted: false,
  }
}

export function leaveRun(run: Run): void {
  run.isLeft = true
  if (!run.isFilling) run.stream.destroy()
}

/** Starts to fill a unit at which the run stands, with one reader. Null: too much is being filled already. */
export function startFill(cache: Cache, unit: Unit, run: Run): Fill | null {
  if (cache.fillBytes + unit.size > cache.maxFillBytes) return null
  const fill: Fill = {
    unit,
    bytes: Buffer.allocUnsafe(unit.size),
    available: 0,
    readers: 1,
    isWanted: false,
    error: null,
    isStored: false,
    isUnwanted: false,
    changed: Promise.withResolvers(),
    giveUp: () => fail(cache, fill, run, new StorageError('unavailable', 'nobody waits for these bytes')),
  }
  cache.fills.set(unit.name, fill)
  cache.fillBytes += unit.size
  run.isFilling = true
  void keepPending(
    cache,
    pump(cache, fill, run).finally(() => release(cache, fill)),
  )
  return fill
}

export function joinFill(fill: Fill): void {
  fill.readers += 1
}

export function leaveFill(cache: Cache, fill: Fill, isSatisfied: boolean): void {
  fill.readers -= 1
  if (isSatisfied) fill.isWanted = true
  if (fill.readers > 0) return
  const isUnderWay = cache.fills.get(fill.unit.name) === fill && fill.error === null
  if (isUnderWay && !fill.isWanted && fill.available * 2 < fill.unit.size) fill.giveUp()
  release(cache, fill)
}

/** The memory is free when nobody reads from it any more and nothing writes into it. */
function release(cache: Cache, fill: Fill): void {
  if (fill.bytes.length === 0 || fill.readers > 0 || cache.fills.get(fill.unit.name) === fill) return
  cache.fillBytes -= fill.unit.size
  fill.bytes = Buffer.alloc(0)
}

async function pump(cache: Cache, fill: Fill, run: Run): Promise<void> {
  const { unit, bytes } = fill
  try {
    for (let filled = 0; filled < unit.size; ) {
      const piece = await nextPieceOf(run, unit.size - filled)
      if (fill.error) return
      filled += piece.copy(bytes, filled)
      fill.available = filled
      tell(fill)
    }
  } catch (error) {
    await failRun(cache, fill, run, error as Error)
    return
  }
  run.isFilling = false
  if (run.isLeft) run.stream.destroy()
  const isStored = !fill.isUnwanted && !run.isUnwanted && (await storeUnit(cache, unit, bytes))
  if (cache.fills.get(unit.name) === fill) cache.fills.delete(unit.name)
  if (fill.isUnwanted) run.isUnwanted = true
  // Who purges an object, or finds its copy bad, writes that down, then removes what is here; that may have
  // been before this file was there, and in another process.
  if (isStored && (fill.isUnwanted || !(await run.source.isGood()))) {
    run.isUnwanted = true
    await forgetObject(cache, run.source)
  }
  fill.isStored = isStored && !run.isUnwanted
  rescanIfDue(cache)
  tell(fill)
}

/**
 * The next bytes of a run, at most `maxBytes`. The last piece of an object that was read from its first byte
 * is given out only when all of it has the right SHA-256; else `corrupt` is thrown.
 */
export async function nextPieceOf(run: Run, maxBytes = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const next = run.leftover ? { value: run.leftover, done: false } : await run.pieces.next()
  if (next.done) throw new StorageError('unavailable', 'the source ended too early')
  const piece = next.value.subarray(0, maxBytes)
  run.leftover = piece.length < next.value.length ? next.value.subarray(maxBytes) : null
  run.position += piece.length
  run.sha256?.update(piece)
  const isLast = run.position === run.source.size
  if (isLast && run.sha256 !== null && run.sha256.digest('hex') !== run.source.sha256)
    throw new StorageError('corrupt', 'other bytes came than those of the object')
  return piece
}

async function failRun(cache: Cache, fill: Fill, run: Run, error: Error): Promise<void> {
  fail(cache, fill, run, error)
  if (!isStorageError(error, 'corrupt')) return
  // Earlier units of the same answer are no better.
  await forgetObject(cache, run.source)
  run.source.reportWrong()
}

function fail(cache: Cache, fill: Fill, run: Run, error: Error): void {
  if (fill.error) return
  fill.error = error
  if (cache.fills.get(fill.unit.name) === fill) cache.fills.delete(fill.unit.name)
  run.isFilling = false
  run.stream.destroy(error)
  tell(fill)
}

function tell(fill: Fill): void {
  fill.changed.resolve()
  fill.changed = Promise.withResolvers()
}
