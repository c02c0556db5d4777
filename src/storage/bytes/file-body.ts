import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Body, Digest } from '../backend.ts'

const READ_CHUNK_BYTES = 1024 * 1024

/** A body that is a local file, which must not change while it is being put. */
export function fileBody(path: string, size: number, digests: Digest[]): Body {
  return {
    size,
    digests,
    open: (range) => createReadStream(path, { ...range, highWaterMark: READ_CHUNK_BYTES }),
    openFile: () => open(path, 'r'),
  }
}
