/**
 * `aws-chunked`: a body inside the body, in signed or unsigned chunks, with checksums behind it. Only what is
 * inside is kept. https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and
 * …/sigv4-streaming-trailers.html
 */
import { createHash, type Hash, timingSafeEqual } from 'node:crypto'
import type { Authentication } from './authenticate.ts'
import { S3Error } from './s3-error.ts'
import { sha256Hex, sign } from './signature.ts'

const minChunkBytes = 8192
const maxLineBytes = 16 * 1024
const emptyHash = sha256Hex('')

export type ChunkedOptions = {
  authentication: Authentication
  /** Trailer names that `x-amz-trailer` announced, lower-case: all must come, no others may. */
  announcedTrailers: string[]
}

/** Reads a line or a number of bytes from a stream of buffers; `null` at a premature end. */
function createReader(source: AsyncIterable<Buffer>) {
  const iterator = source[Symbol.asyncIterator]()
  let held: Buffer = Buffer.alloc(0)
  const more = async (): Promise<boolean> => {
    const next = await iterator.next()
    if (next.done) return false
    held = held.length === 0 ? next.value : Buffer.concat([held, next.value])
    return true
  }
  return {
    async line(): Promise<string | null> {
      for (;;) {
        const end = held.indexOf('\r\n')
        if (end >= 0) {
          const text = held.subarray(0, end).toString('latin1')
          held = held.subarray(end + 2)
          return text
        }
        if (held.length > maxLineBytes)
          throw new S3Error('InvalidRequest', { message: 'A chunk header is too long.' })
        if (!(await more())) return null
      }
    },
    /** Up to `atMost` bytes, as they come; empty at the end. */
    async some(atMost: number): Promise<Buffer> {
      if (held.length === 0 && !(await more())) return Buffer.alloc(0)
      const part = held.subarray(0, atMost)
      held = held.subarray(part.length)
      return part
    },
    /** Lets go of the source. */
    async close(): Promise<void> {
      await iterator.return?.()
    },
    async isAtEnd(): Promise<boolean> {
      return held.length === 0 && !(await more())
    },
  }
}

type Reader = ReturnType<typeof createReader>

function sameText(left: string, right: string): boolean {
  return (
    left.length === right.length && timingSafeEqual(Buffer.from(left, 'latin1'), Buffer.from(right, 'latin1'))
  )
}

async function readTrailers(reader: Reader): Promise<[string, string][]> {
  const trailers: [string, string][] = []
  for (;;) {
    const line = await reader.line()
    if (line === null)
      throw new S3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' })
    if (line === '') return trailers
    const colon = line.indexOf(':')
    if (colon <= 0) throw new S3Error('MalformedTrailerError')
    trailers.push([line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()])
  }
}

/**
 * Yields the bytes inside; when it ends without an error, signatures, sizes and trailers were right and
 * `onTrailers` was called. Bytes are handed out before their chunk's signature is known to be right: don't
 * keep them before the end.
 */
export async function* decodeChunkedBody(
  source: AsyncIterable<Buffer>,
  options: ChunkedOptions,
  onTrailers: (trailers: Map<string, string>) => void,
): AsyncIterable<Buffer> {
  const reader = createReader(source)
  try {
    yield* readChunks(reader, options, onTrailers)
  } finally {
    await reader.close()
  }
}

async function* readChunks(
  reader: Reader,
  options: ChunkedOptions,
  onTrailers: (trailers: Map<string, string>) => void,
): AsyncIterable<Buffer> {
  const { authentication } = options
  const isSigned = authentication.payload.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD')
  const hasTrailers = authentication.payload.endsWith('-TRAILER')
  let previous = authentication.signature
  let isShort = false
  const incomplete = () =>
    new S3Error('IncompleteBody', { message: 'The request body terminated unexpectedly' })
  const checkSignature = (kind: string, hashes: string[], given: string | undefined) => {
    const text = [
      `AWS4-HMAC-SHA256-${kind}`,
      authentication.date,
      authentication.scope,
      previous,
      ...hashes,
    ].join('\n')
    const expected = sign(authentication.key, text)
    if (given === undefined || !sameText(given, expected)) {
      throw new S3Error('SignatureDoesNotMatch', {
        details: { StringToSign: text, SignatureProvided: given ?? '' },
      })
    }
    previous = expected
  }

  for (;;) {
    const header = await reader.line()
    if (header === null) throw incomplete()
    const found = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(header)
    if (!found || (isSigned && found[2] === undefined)) {
      throw new S3Error('InvalidRequest', { message: 'The chunk header is malformed.' })
    }
    const size = Number.parseInt(found[1]!, 16)
    if (size > 0 && isShort) throw new S3Error('InvalidChunkSizeError')
    isShort = size < minChunkBytes
    const hash: Hash | null = isSigned ? createHash('sha256') : null
    for (let rest = size; rest > 0; ) {
      const part = await reader.some(rest)
      if (part.length === 0) throw incomplete()
      hash?.update(part)
      rest -= part.length
      yield part
    }
    if (hash) checkSignature('PAYLOAD', [emptyHash, hash.digest('hex')], found[2])
    if (size === 0) break
    const end = await reader.line()
    if (end === null) throw incomplete()
    if (end !== '')
      throw new S3Error('InvalidRequest', { message: 'A chunk is longer than its header says.' })
  }

  const trailers = await readTrailers(reader)
  if (!(await reader.isAtEnd()))
    throw new S3Error('InvalidRequest', { message: 'There are bytes behind the last chunk.' })
  const named = new Map(trailers.filter(([name]) => name !== 'x-amz-trailer-signature'))
  if (hasTrailers && isSigned) {
    const canonical = trailers
      .filter(([name]) => name !== 'x-amz-trailer-signature')
      .map(([name, value]) => `${name}:${value}\n`)
      .join('')
    checkSignature('TRAILER', [sha256Hex(canonical)], new Map(trailers).get('x-amz-trailer-signature'))
  }
  const announced = hasTrailers ? options.announcedTrailers : []
  if (named.size !== announced.length || announced.some((name) => !named.has(name))) {
    throw new S3Error('MalformedTrailerError')
  }
  onTrailers(named)
}
