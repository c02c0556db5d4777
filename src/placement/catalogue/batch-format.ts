/**
 * A batch of the catalogue: gzip of lines of JSON. The first line is the header, the last one says how many
 * entries there are and the SHA-256 of all lines before it. What an entry says is the library's to know.
 *
 * A batch names those that its writer knew (`parents`) by the SHA-256 of their files: all that are kept, so
 * that one which is missing does not hide those before it. So which of two is newer is told by what they
 * know, and never by a clock: one of a restored or copied database does not name what was written after the
 * state that it goes on from, and does not stand for it.
 */
import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createGunzip, createGzip } from 'node:zlib'
import { z } from 'zod'
import { AppError } from '../../errors.ts'

const VERSION = 1
/** More than twice what the longest entry has that is believed. */
const MAX_LINE_BYTES = 4 * 1024 * 1024
const PIECE_BYTES = 64 * 1024
/** Twice what lies between three snapshots; their line has less than half of what a line may have. */
export const MAX_PARENTS = 4_000

const SHA256 = z.string().regex(/^[0-9a-f]{64}$/)
const HEADER = z.strictObject({
  glassine: z.literal('catalogue'),
  version: z.literal(VERSION),
  installation: z.uuid(),
  /** Everything that its database held, and not only what changed. */
  isSnapshot: z.boolean(),
  parents: z.array(SHA256).max(MAX_PARENTS),
  madeAt: z.iso.datetime(),
})
const END = z.strictObject({ end: z.literal(true), entries: z.int().min(0), sha256: SHA256 })

export type BatchHeader = z.output<typeof HEADER>
/** `refused`: why a line is none, while all others can be read. */
export type BatchPart =
  | { header: BatchHeader }
  | { entry: unknown }
  | { refused: string }
  | { sha256: string; entries: number }

/**
 * The bytes of a batch. `onEnd` is told how many entries it has. The reader refuses an entry of more than
 * 4 MiB.
 */
export function packBatch(
  header: Omit<BatchHeader, 'glassine' | 'version'>,
  entries: AsyncIterable<object>,
  onEnd: (entries: number) => void,
): AsyncIterable<Buffer> {
  async function* lines(): AsyncGenerator<Buffer> {
    const sha256 = createHash('sha256')
    let piece = `${JSON.stringify({ glassine: 'catalogue', version: VERSION, ...header })}\n`
    let count = 0
    for await (const entry of entries) {
      piece += `${JSON.stringify(entry)}\n`
      count += 1
      if (piece.length < PIECE_BYTES) continue
      sha256.update(piece)
      yield Buffer.from(piece)
      piece = ''
    }
    sha256.update(piece)
    yield Buffer.from(piece)
    yield Buffer.from(`${JSON.stringify({ end: true, entries: count, sha256: sha256.digest('hex') })}\n`)
    onEnd(count)
  }
  // An error goes to who reads.
  return pipeline(Readable.from(lines(), { objectMode: false }), createGzip(), () => undefined)
}

/**
 * The header of a batch, its entries, and at last the SHA-256 of the file. Nothing of it may be trusted
 * before that.
 * @throws AppError corrupt where it was changed or ends early, conflict where a newer version has written it;
 *   what the source throws
 */
export async function* unpackBatch(bytes: AsyncIterable<Buffer>): AsyncGenerator<BatchPart> {
  const file = createHash('sha256')
  let failure: { error: unknown } | undefined
  async function* hashed(): AsyncGenerator<Buffer> {
    try {
      for await (const piece of bytes) {
        file.update(piece)
        yield piece
      }
    } catch (error) {
      failure = { error }
      throw error
    }
  }
  const source = Readable.from(hashed(), { objectMode: false })
  const unpacked = pipeline(source, createGunzip(), () => undefined)
  try {
    yield* checkedParts(unpacked as AsyncIterable<Buffer>)
  } catch (error) {
    // What the place says is no fault of the batch.
    if (failure !== undefined) throw failure.error
    if (error instanceof AppError) throw error
    throw damaged('it was changed, or ends early', error)
  } finally {
    source.destroy()
    unpacked.destroy()
  }

  async function* checkedParts(text: AsyncIterable<Buffer>): AsyncGenerator<BatchPart> {
    const sha256 = createHash('sha256')
    let hasHeader = false
    let entries = 0
    let end: z.output<typeof END> | null = null
    for await (const line of linesOf(text, (piece) => sha256.update(piece))) {
      if (end !== null) throw damaged('something follows its end')
      if (line === 'too long') {
        if (!hasHeader) throw damaged('its header is none of a catalogue')
        sha256.update('\n')
        entries += 1
        yield { refused: `a line is longer than ${MAX_LINE_BYTES} bytes` }
        continue
      }
      const value = parsed(line)
      if (!hasHeader) {
        hasHeader = true
        sha256.update(line).update('\n')
        yield { header: headerOf(value) }
        continue
      }
      const ending = END.safeParse(value)
      if (ending.success) {
        end = ending.data
        continue
      }
      sha256.update(line).update('\n')
      entries += 1
      yield { entry: value }
    }
    if (end === null) throw damaged('it ends early')
    if (end.entries !== entries)
      throw damaged(`it has ${entries} entries, and says that it has ${end.entries}`)
    if (end.sha256 !== sha256.digest('hex')) throw damaged('its entries have another SHA-256')
    yield { sha256: file.digest('hex'), entries }
  }
}

function headerOf(value: unknown): BatchHeader {
  const header = HEADER.safeParse(value)
  if (header.success) return header.data
  const { glassine, version } = (value ?? {}) as Record<string, unknown>
  if (glassine === 'catalogue' && typeof version === 'number' && version > VERSION)
    throw new AppError(
      'conflict',
      `it was written by a newer Glassine (version ${version} of the catalogue's format)`,
    )
  throw damaged('its header is none of a catalogue')
}

function parsed(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'))
  } catch (error) {
    throw damaged('a line is no JSON', error)
  }
}

/** Lines that are too long go by in pieces, which `onSkipped` is told of, and are held nowhere. */
async function* linesOf(
  source: AsyncIterable<Buffer>,
  onSkipped: (piece: Buffer) => void,
): AsyncGenerator<Buffer | 'too long'> {
  let held: Buffer[] = []
  let heldBytes = 0
  let isTooLong = false
  for await (const piece of source) {
    let start = 0
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, start)) {
      const last = piece.subarray(start, end)
      if (isTooLong) onSkipped(last)
      yield isTooLong ? 'too long' : Buffer.concat([...held, last])
      held = []
      heldBytes = 0
      isTooLong = false
      start = end + 1
    }
    held.push(piece.subarray(start))
    heldBytes += piece.length - start
    isTooLong ||= heldBytes > MAX_LINE_BYTES
    if (isTooLong) for (const skipped of held.splice(0)) onSkipped(skipped)
  }
  if (heldBytes > 0) throw damaged('its last line has no end')
}

function damaged(reason: string, cause?: unknown): AppError {
  return new AppError('corrupt', reason, cause === undefined ? undefined : { cause })
}
