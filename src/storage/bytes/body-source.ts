import type { FileHandle } from 'node:fs/promises'
import type { Body } from '../backend.ts'
import { openChunks, sourceError } from './read-body.ts'

/** A body being read once, from its first byte to its last, into buffers of whoever puts it. */
export type BodySource = {
  /**
   * Fills the target, or as much of it as there is, and hands over every piece in order while the next one is
   * being read. Returns how many bytes there were.
   */
  fill(target: Buffer, onPiece: (piece: Buffer) => void): Promise<number>
  /** Closes the reader; to be called in every case. */
  close(): Promise<void>
}

/** Pieces of 1 MiB: a digest of one takes 1.5 ms, which is how long other requests wait at most. */
const PIECE_BYTES = 1024 * 1024

export async function openBodySource(body: Body, signal: AbortSignal | undefined): Promise<BodySource> {
  signal?.throwIfAborted()
  return body.openFile === undefined
    ? streamSource(body, signal)
    : fileSource(await openOrExplain(body.openFile), signal)
}

async function openOrExplain(openFile: () => Promise<FileHandle>): Promise<FileHandle> {
  return openFile().catch((error: unknown) => {
    throw sourceError(error)
  })
}

function fileSource(file: FileHandle, signal: AbortSignal | undefined): BodySource {
  let position = 0

  async function read(target: Buffer, at: number): Promise<Buffer> {
    signal?.throwIfAborted()
    const length = Math.min(PIECE_BYTES, target.length - at)
    if (length === 0) return target.subarray(at, at)
    const { bytesRead } = await file.read(target, at, length, position).catch((error: unknown) => {
      throw sourceError(error)
    })
    position += bytesRead
    return target.subarray(at, at + bytesRead)
  }

  return {
    async fill(target, onPiece) {
      let filled = 0
      let piece = await read(target, 0)
      while (piece.length > 0) {
        filled += piece.length
        const next = read(target, filled)
        onPiece(piece)
        piece = await next
      }
      return filled
    },
    close: () => file.close(),
  }
}

function streamSource(body: Body, signal: AbortSignal | undefined): BodySource {
  const chunks = openChunks(body, signal)
  let left: Buffer = Buffer.alloc(0)
  return {
    async fill(target, onPiece) {
      let filled = 0
      while (filled < target.length) {
        if (left.length === 0) {
          const next = await chunks.next()
          if (next.done) break
          left = next.value
          continue
        }
        const copied = left.copy(target, filled)
        onPiece(target.subarray(filled, filled + copied))
        left = left.subarray(copied)
        filled += copied
      }
      return filled
    },
    async close() {
      await chunks.return(undefined)
    },
  }
}
