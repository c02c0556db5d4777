/** Whole readings, compared with the SHA-256 on the way: wrong bytes never end as a success. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { isStorageError, StorageError } from '../../storage/backend.ts'

type Expected = { size: number; sha256: string }

/**
 * What is no larger is given out only when all of it is known to be right, so that another copy can still be
 * read.
 */
export const WHOLE_BYTES = 1024 * 1024
const BUFFER_BYTES = 256 * 1024

/**
 * The bytes of a source that gives all of an object, while they come; of a small one, all at once. The piece
 * that completes it is given out only after the SHA-256 (lower-case hex) was found right: else the stream is
 * destroyed with `corrupt`. Destroying it destroys the source. `onBegun` is called at the source's first
 * byte. `beforeCut`: where others were given out before that was known; must not reject.
 */
export function checkWhole(
  source: Readable,
  { size, sha256 }: Expected,
  { onBegun, beforeCut }: { onBegun: () => void; beforeCut: () => Promise<void> },
): Readable {
  const hash = createHash('sha256')
  const heldBack: Buffer[] = []
  let received = 0
  let isGivenOut = false
  const output = new Readable({
    highWaterMark: BUFFER_BYTES,
    read() {
      source.resume()
    },
    destroy(error, done) {
      source.destroy()
      if (isGivenOut && isStorageError(error, 'corrupt')) void beforeCut().then(() => done(error))
      else done(error)
    },
  })
  const endedShort = () => {
    if (received < size)
      output.destroy(new StorageError('unavailable', `the source ended after ${received} of ${size} bytes`))
  }
  source.on('data', (chunk: Buffer) => {
    if (received === 0) onBegun()
    received += chunk.length
    if (received > size) return output.destroy(wrongBytes())
    hash.update(chunk)
    if (received < size) {
      if (size <= WHOLE_BYTES) {
        heldBack.push(chunk)
        return
      }
      isGivenOut = true
      if (!output.push(chunk)) source.pause()
      return
    }
    if (hash.digest('hex') !== sha256) return output.destroy(wrongBytes())
    for (const piece of heldBack.splice(0)) output.push(piece)
    output.push(chunk)
    output.push(null)
  })
  source.on('error', (error) => output.destroy(error))
  source.on('end', endedShort)
  source.on('close', endedShort)
  if (source.destroyed) output.destroy(source.errored ?? new StorageError('unavailable', 'nothing was read'))
  return output
}

/** All bytes of a small file, checked. Throws `corrupt`, or what the file system says. */
export async function readSmallFile(path: string, { size, sha256 }: Expected): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    // One byte more would show that the file is longer, whatever it has become.
    const bytes = Buffer.allocUnsafe(size + 1)
    let filled = 0
    while (filled < size) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    const held = bytes.subarray(0, filled)
    if (filled !== size || createHash('sha256').update(held).digest('hex') !== sha256) throw wrongBytes()
    return held
  } finally {
    await file.close()
  }
}

/**
 * A stream of one piece. `Readable.from` would go through a generator, which costs more than reading a
 * thumbnail does.
 */
export function streamOf(bytes: Buffer): Readable {
  return new Readable({
    read() {
      this.push(bytes)
      this.push(null)
    },
  })
}

function wrongBytes(): StorageError {
  return new StorageError('corrupt', 'other bytes came than those of the object')
}
