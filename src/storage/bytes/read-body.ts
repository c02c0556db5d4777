import type { Readable } from 'node:stream'
import type { Body, DigestAlgorithm } from '../backend.ts'
import { isStorageError, StorageError } from '../backend.ts'
import { createDigester, digestValue } from './digest.ts'

/**
 * Reads a body once, in order, handing every chunk to `onChunk`, which is awaited, so that a slow location
 * slows the reader. Checks the size and the SHA-256 of what it read: `corrupt` when either differs, and then
 * the caller must store nothing. A reader that fails is `unavailable` (trying again opens the body anew). The
 * stream is destroyed in every case. With `checkSha256` false somebody else checks it (S3 checks the signed
 * payload digest).
 */
export async function readBody(
  body: Body,
  onChunk: (chunk: Buffer) => void | Promise<void>,
  { signal, checkSha256 = true }: { signal?: AbortSignal | undefined; checkSha256?: boolean } = {},
): Promise<void> {
  const expected = expectedSha256(body)
  signal?.throwIfAborted()
  const digester = createDigester(checkSha256 ? (['sha256'] satisfies DigestAlgorithm[]) : [])
  let size = 0
  const chunks = openChunks(body, signal)
  for await (const chunk of chunks) {
    size += chunk.length
    if (size > body.size) {
      throw new StorageError('corrupt', `the body has more than the ${body.size} bytes it was said to have`)
    }
    // The write goes on in the thread pool while this thread hashes.
    const written = onChunk(chunk)
    digester.update(chunk)
    await written
  }
  signal?.throwIfAborted()
  if (size < body.size) {
    throw new StorageError('corrupt', `the body ended after ${size} of ${body.size} bytes`)
  }
  const actual = digestValue(digester.digests(), 'sha256')
  if (checkSha256 && actual !== expected) {
    throw new StorageError('corrupt', `the body has SHA-256 ${actual}, not ${expected}`)
  }
}

/** The SHA-256 a body was announced with; without one nothing may be stored. */
export function expectedSha256(body: Body): string {
  const expected = digestValue(body.digests, 'sha256')
  if (expected === undefined) throw new TypeError('a body needs its SHA-256 before it can be put')
  return expected
}

/**
 * The chunks of a freshly opened body. An abort ends it at once, also while the reader hangs: a stream made
 * of a generator only closes when what the generator waits for has happened.
 */
export async function* openChunks(body: Body, signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
  let stream: Readable | undefined
  let giveUp: (() => void) | undefined
  const abort = () => giveUp?.()
  signal?.addEventListener('abort', abort, { once: true })
  try {
    stream = body.open()
    const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>
    for (;;) {
      const next = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
        giveUp = () => reject(signal?.reason)
        chunks.next().then(resolve, reject)
        if (signal?.aborted) giveUp()
      })
      if (next.done) return
      yield next.value
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw sourceError(error)
  } finally {
    signal?.removeEventListener('abort', abort)
    // What it still has to say after we gave up on it concerns nobody; unheard it would end the process.
    stream?.on('error', () => {}).destroy()
  }
}

/**
 * What a body threw while it was read. A file that is not there is `not-found`: no other try would find it.
 */
export function sourceError(error: unknown): StorageError {
  if (isStorageError(error)) return error
  const isGone = error instanceof Error && 'code' in error && error.code === 'ENOENT'
  const message = `reading the bytes to store failed: ${messageOf(error)}`
  return new StorageError(isGone ? 'not-found' : 'unavailable', message, { cause: error })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
