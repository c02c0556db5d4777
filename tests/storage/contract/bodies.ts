/** Bodies, honest and hostile, for the contract suite. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Body, ByteRange, Digest, ObjectKey } from '../../../src/storage/backend.ts'

export function sha256(bytes: Buffer): Digest {
  return { algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') }
}

/** Bytes in chunks of 64 KiB, as a file would give them; counts how often it was opened. */
export function bodyOf(bytes: Buffer): Body & { opened: number } {
  const body = {
    size: bytes.length,
    digests: [sha256(bytes)],
    opened: 0,
    open(range?: ByteRange) {
      body.opened += 1
      return readableOf(
        range === undefined ? bytes : bytes.subarray(range.start, (range.end ?? bytes.length - 1) + 1),
      )
    },
  }
  return body
}

export function readableOf(bytes: Buffer): Readable {
  return Readable.from(chunksOf(bytes), { objectMode: false })
}

function* chunksOf(bytes: Buffer) {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

/** Claims to be `bytes`, gives what `open` gives. */
export function lyingBody(bytes: Buffer, open: () => Readable): Body {
  return { size: bytes.length, digests: [sha256(bytes)], open }
}

/** Gives the first `count` bytes, then fails as a disk does. */
export function failingReader(bytes: Buffer, count: number): Readable {
  return Readable.from(
    (function* () {
      yield* chunksOf(bytes.subarray(0, count))
      throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' })
    })(),
    { objectMode: false },
  )
}

/**
 * Gives the first `count` bytes, then nothing more, and never ends; `onStall` is told when all were taken.
 */
export function stallingReader(bytes: Buffer, count: number, onStall: () => void): Readable {
  return Readable.from(
    (async function* () {
      yield* chunksOf(bytes.subarray(0, count))
      onStall()
      await sleep(60_000, undefined, { ref: false })
    })(),
    { objectMode: false },
  )
}

export function randomKey(folder: string, name = 'original'): ObjectKey {
  return `${folder}/${randomUUID()}/${name}.${randomBytes(4).toString('hex')}.jpg` as ObjectKey
}

export async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
