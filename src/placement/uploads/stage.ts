/**
 * Where bytes arrive: complete, hashed and on the platter before anything refers to them. Staged files are
 * named at random and belong to nobody until they are ingested; `sweep.ts` removes those untouched for a day.
 */
import { createHash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { AppError } from '../../errors.ts'
import { openSemaphore } from '../../storage/guards/semaphore.ts'
import { makeMediaFolder } from '../locations/media-folder.ts'
import type { Placement } from '../placement.ts'
import { openWriteThrough, type WriteThrough, type WriteThroughTarget } from './write-through.ts'

/**
 * Bytes gathered before they are hashed and written: a write for each network chunk (64 KiB) costs 30% more
 * CPU.
 */
const WRITE_BATCH_BYTES = 1024 * 1024
/**
 * Batch buffers kept for the next uploads, and for how long when none comes: an idle server is a small one.
 */
const MAX_SPARE_BUFFERS = 8
const SPARE_BUFFERS_MS = 10_000

/** Each keeps one of libuv's threads waiting for the disk, and reading a thumbnail needs one as well. */
const SYNCS_AT_ONCE = 4
const syncs = openSemaphore(SYNCS_AT_ONCE)

/**
 * A file in the staging folder, written and fsynced as a whole. `sha1` is Immich's checksum, `sha256` is our
 * truth.
 */
export type StagedFile = {
  path: string
  size: number
  sha1: Buffer
  sha256: Buffer
  /** Present when it went on to the place where it belongs while it arrived. */
  writeThrough?: WriteThrough
  /** Removes the file and gives up what was written through of it, unless that became an object. */
  discard(): Promise<void>
}

export function stagingFolder(placement: Pick<Placement, 'mediaLocation'>): string {
  return join(placement.mediaLocation, 'staging')
}

/**
 * Streams `source` into a staged file, hashing on the way, and with `writeThroughTo` on to that place. Throws
 * `too-large` over `maxBytes`, `storage-full` when the volume is full, `unavailable` when the other place
 * fails, and whatever the source throws; then nothing stays on the disk.
 */
export async function stageStream(
  placement: Placement,
  source: AsyncIterable<Buffer>,
  options: { maxBytes: number; signal?: AbortSignal; writeThroughTo?: WriteThroughTarget },
): Promise<StagedFile> {
  const path = join(stagingFolder(placement), `${randomUUID()}.part`)
  const writeThrough =
    options.writeThroughTo && (await openWriteThrough(placement, options.writeThroughTo, path))
  const discard = discardOnce(path, writeThrough)
  const sha1 = createHash('sha1')
  const sha256 = createHash('sha256')
  let size = 0
  let writtenBytes = 0
  const file = await openNew(placement, path)
  const batch = takeBuffer()
  try {
    let filled = 0
    const flush = async () => {
      const bytes = batch.subarray(0, filled)
      sha1.update(bytes)
      sha256.update(bytes)
      await writeAll(file, bytes)
      writtenBytes += filled
      filled = 0
      await writeThrough?.advance(writtenBytes)
    }
    for await (const chunk of source) {
      options.signal?.throwIfAborted()
      size += chunk.length
      if (size > options.maxBytes) {
        throw new AppError('too-large', `the file is larger than the limit of ${options.maxBytes} bytes`)
      }
      for (let taken = 0; taken < chunk.length; ) {
        const copied = chunk.copy(batch, filled, taken)
        taken += copied
        filled += copied
        if (filled === batch.length) await flush()
      }
    }
    if (filled > 0) await flush()
    options.signal?.throwIfAborted()
    await syncs.run(undefined, () => file.sync())
    await file.close()
  } catch (error) {
    await file.close().catch(() => undefined) // it may be closed already; the first error is the one to tell
    await discard()
    throw asStorageFull(error)
  } finally {
    giveBackBuffer(batch)
  }
  return {
    path,
    size,
    sha1: sha1.digest(),
    sha256: sha256.digest(),
    ...(writeThrough && { writeThrough }),
    discard,
  }
}

/**
 * A staged file made of one that this process wrote (a preview, say): moved into staging's care, hashed and
 * fsynced.
 */
export async function stageFile(path: string): Promise<StagedFile> {
  const sha1 = createHash('sha1')
  const sha256 = createHash('sha256')
  let size = 0
  const file = await open(path, 'r+')
  try {
    for await (const chunk of file.createReadStream({ highWaterMark: WRITE_BATCH_BYTES, autoClose: false })) {
      sha1.update(chunk as Buffer)
      sha256.update(chunk as Buffer)
      size += (chunk as Buffer).length
    }
    await file.sync()
  } finally {
    await file.close()
  }
  return {
    path,
    size,
    sha1: sha1.digest(),
    sha256: sha256.digest(),
    discard: discardOnce(path),
  }
}

/**
 * A folder for files in the making, on the media volume so that they can be linked into place; removed at the
 * end of `await using`.
 */
export async function makeScratchFolder(
  placement: Placement,
): Promise<{ path: string; [Symbol.asyncDispose](): Promise<void> }> {
  const path = join(stagingFolder(placement), `${randomUUID()}.scratch`)
  await makeMediaFolder(placement, path)
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

/**
 * Network chunks are copied into one buffer that is used over and over, because the copy (0.1 CPU-seconds a
 * GiB) is far cheaper than what happens to chunks that wait: they outlive two scavenges, and every 64 MB of
 * them V8 marks the whole heap (3 CPU-seconds a GiB).
 */
const spareBuffers: Buffer[] = []
let dropSpares: NodeJS.Timeout | undefined

function takeBuffer(): Buffer {
  return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(WRITE_BATCH_BYTES)
}

function giveBackBuffer(buffer: Buffer): void {
  if (spareBuffers.length < MAX_SPARE_BUFFERS) spareBuffers.push(buffer)
  dropSpares ??= setTimeout(() => (spareBuffers.length = 0), SPARE_BUFFERS_MS).unref()
  dropSpares.refresh()
}

/** A write may take less than it was given. */
async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await file.write(bytes, written)).bytesWritten
  }
}

/** Opens a new file, making its folder when it is not there yet. */
async function openNew(placement: Placement, path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    await makeMediaFolder(placement, dirname(path))
    return open(path, 'wx', 0o600)
  }
}

/** Ingest discards a staged file, and so does whoever received it; the second time costs nothing. */
function discardOnce(path: string, writeThrough?: WriteThrough): () => Promise<void> {
  let isGone = false
  return async () => {
    if (isGone) return
    await writeThrough?.abandon()
    try {
      await unlink(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    isGone = true
  }
}

function asStorageFull(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error
  return new AppError('storage-full', 'the media volume is full; free some space and upload again', {
    cause: error,
  })
}
