/**
 * A reading through the cache: from its files where they are, from fills under way, and else by a fill of its
 * own.
 */
import { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../../storage/backend.ts'
import { type Cache, type CacheSource, type Fill, type Run, unitAt } from './cache.ts'
import type { Unit, UnitFile } from './file.ts'
import { joinFill, leaveFill, leaveRun, nextPieceOf, openRun, startFill } from './fill.ts'
import { keepPending } from './pending.ts'
import { dropUnit, openCached } from './store.ts'

const PIECE_BYTES = 256 * 1024
/**
 * One reading brings at most this part of the limit in; the rest of it bypasses the cache, so that one film
 * does not push out everything.
 */
const MAX_SHARE = 1 / 8
/** Fills of one unit that a reading tries before it goes past the cache. */
const MAX_TRIES = 2

type Reading = {
  cache: Cache
  source: CacheSource
  end: number
  /** False: takes what is there, and brings nothing in. */
  isFilling: boolean
  position: number
  isLeft: boolean
  /** The unit that the next fields are of. */
  unit: Unit | null
  file: UnitFile | null
  fill: Fill | null
  isOwnFill: boolean
  tries: number
  run: Run | null
  broughtBytes: number
  /** Past the cache, to the end of the reading. */
  direct: Run | null
}

/**
 * The bytes `start` to `end`, inclusive, as `readReplica` gives them: destroyed with an error when they can't
 * be completed, never ended short; destroying it frees its connection, unless others wait for the same bytes.
 */
export function readThroughCache(
  cache: Cache,
  source: CacheSource,
  range: { start: number; end: number },
  options: { signal?: AbortSignal | undefined; isFilling?: boolean } = {},
): Readable {
  if (range.end < range.start) return Readable.from([])
  const { signal } = options
  const reading: Reading = {
    cache,
    source,
    end: range.end,
    isFilling: options.isFilling ?? true,
    position: range.start,
    isLeft: false,
    unit: null,
    file: null,
    fill: null,
    isOwnFill: false,
    tries: 0,
    run: null,
    broughtBytes: 0,
    direct: null,
  }
  let isBusy = false
  let stepping: Promise<void> = Promise.resolve()
  const output = new Readable({
    highWaterMark: PIECE_BYTES,
    read() {
      if (!isBusy) stepping = step()
    },
    destroy(error, done) {
      reading.isLeft = true
      leave(reading)
      // A step under way goes on: to a file that it opens, and maybe to the removal of a damaged one.
      void keepPending(cache, isBusy ? stepping : closeFile(reading))
      done(error)
    },
  })

  async function step(): Promise<void> {
    isBusy = true
    let piece: Buffer | null = null
    let failure: Error | null = null
    try {
      piece = await nextPiece(reading)
    } catch (error) {
      failure = error as Error
    }
    isBusy = false
    if (reading.isLeft) {
      // What the step opened after `leave`.
      leave(reading)
      await closeFile(reading)
    } else if (failure) output.destroy(failure)
    else output.push(piece)
  }

  if (signal?.aborted) output.destroy(signal.reason as Error)
  else if (signal) {
    const onAbort = () => output.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    output.once('close', () => signal.removeEventListener('abort', onAbort))
  }
  return output
}

async function nextPiece(reading: Reading): Promise<Buffer | null> {
  while (!reading.isLeft && reading.position <= reading.end) {
    const piece = reading.direct
      ? await takeDirect(reading as Reading & { direct: Run })
      : await takeFromUnit(reading)
    if (piece === null) continue
    const wanted = piece.subarray(0, reading.end - reading.position + 1)
    reading.position += wanted.length
    return wanted
  }
  return null
}

/** Null: the reading has changed its way; look again. */
async function takeFromUnit(reading: Reading): Promise<Buffer | null> {
  const { cache, source, position } = reading
  const unit = unitAt(cache, source, position)
  if (reading.unit?.name !== unit.name) {
    leaveUnit(reading)
    await closeFile(reading)
    reading.unit = unit
    reading.tries = 0
  }
  if (reading.fill) return takeFromFill(reading, reading.fill, unit)
  if (reading.file) return takeFromFile(reading, reading.file, unit)
  if (join(reading, unit)) return null
  reading.file = await openCached(cache, unit)
  if (reading.file || reading.isLeft) {
    endRun(reading)
    return null
  }
  // While the file was looked for, somebody may have begun.
  if (!join(reading, unit)) begin(reading, unit)
  return null
}

function join(reading: Reading, unit: Unit): boolean {
  const fill = reading.cache.fills.get(unit.name)
  if (!fill || fill.isUnwanted) return false
  endRun(reading)
  joinFill(fill)
  reading.fill = fill
  reading.isOwnFill = false
  return true
}

/** A fill of the reading's own, or, where that is not allowed or did not help, the way past the cache. */
function begin(reading: Reading, unit: Unit): void {
  const { cache, source } = reading
  // One that is there is not wanted, and is not joined.
  const isAllowed =
    reading.isFilling &&
    !cache.fills.has(unit.name) &&
    reading.tries < MAX_TRIES &&
    reading.broughtBytes + unit.size <= cache.maxBytes * MAX_SHARE &&
    cache.fillBytes + unit.size <= cache.maxFillBytes
  reading.tries += 1
  if (reading.run && reading.run.position !== unit.start) endRun(reading)
  if (isAllowed) {
    const last = unitAt(cache, source, reading.end)
    reading.run ??= openRun(source, unit.start, last.start + last.size - 1)
    reading.fill = startFill(cache, unit, reading.run)
    if (reading.fill) {
      reading.isOwnFill = true
      reading.broughtBytes += unit.size
      return
    }
  }
  endRun(reading)
  reading.direct = openRun(source, reading.position, reading.end)
}

async function takeFromFill(reading: Reading, fill: Fill, unit: Unit): Promise<Buffer | null> {
  const offset = reading.position - unit.start
  // From the file from now on: a slow reader must not keep a whole unit in memory. And whose own copy is
  // another one than that which was found bad reads that.
  if (fill.isStored || (fill.isUnwanted && !reading.isOwnFill)) {
    leaveUnit(reading)
    return null
  }
  // A copy, so that the piece does not keep the large buffer in memory.
  if (offset < fill.available)
    return Buffer.from(fill.bytes.subarray(offset, Math.min(fill.available, offset + PIECE_BYTES)))
  if (fill.error === null) {
    await fill.changed.promise
    return null
  }
  const { error } = fill
  const isOwn = reading.isOwnFill
  leaveUnit(reading)
  if (isOwn || (error instanceof StorageError && error.kind !== 'unavailable')) throw error
  return null // somebody else's request failed: once more with one of its own
}

async function takeFromFile(reading: Reading, file: UnitFile, unit: Unit): Promise<Buffer | null> {
  try {
    return await file.read(reading.position - unit.start)
  } catch (error) {
    await closeFile(reading)
    await dropUnit(reading.cache, unit, error as Error)
    return null
  }
}

async function takeDirect({ direct, source }: Reading & { direct: Run }): Promise<Buffer> {
  try {
    return await nextPieceOf(direct)
  } catch (error) {
    if (isStorageError(error, 'corrupt')) source.reportWrong()
    throw error
  }
}

function leaveUnit(reading: Reading): void {
  if (reading.fill) leaveFill(reading.cache, reading.fill, reading.position > reading.end)
  reading.fill = null
}

function endRun(reading: Reading): void {
  if (reading.run) leaveRun(reading.run)
  reading.run = null
}

function leave(reading: Reading): void {
  leaveUnit(reading)
  endRun(reading)
  reading.direct?.stream.destroy()
}

async function closeFile(reading: Reading): Promise<void> {
  const { file } = reading
  reading.file = null
  await file?.close()
}
