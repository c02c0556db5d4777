/**
 * Compresses and encrypts a backup, and the other way round: gzip inside, the age format outside
 * (https://age-encryption.org), so that `age -d -i backup-key.txt FILE | gunzip` opens one without Glassine.
 * Both are streams. age authenticates every piece of 64 KiB and the end, so no byte of a changed backup comes
 * out.
 */
import { pipeline, Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import { createGunzip, createGzip } from 'node:zlib'
import { AppError } from '../../errors.ts'
import { damaged } from './format.ts'

/** Half the time of the default, for files that are a few percent larger. */
const GZIP_LEVEL = 4
const KEY_SHAPE = /^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/

/** A new key pair. The identity opens what is sealed for the recipient; only the recipient may be told. */
export async function makeIdentity(): Promise<{ identity: string; recipient: string }> {
  const age = await import('age-encryption')
  // X25519: its keys are short enough to be written down, and every version of age opens what is sealed so.
  const identity = await age.generateX25519Identity()
  return { identity, recipient: await age.identityToRecipient(identity) }
}

/**
 * @throws AppError invalid for what is no key, as one with a mistyped letter is none; never says what it was
 */
export async function recipientOf(identity: string): Promise<string> {
  const { identityToRecipient } = await import('age-encryption')
  try {
    if (KEY_SHAPE.test(identity)) return await identityToRecipient(identity)
  } catch {
    // Its checksum is wrong: the message below says what to do, and must not repeat the key.
  }
  throw new AppError(
    'invalid',
    'This is no backup key: it begins with AGE-SECRET-KEY-1 and has 74 characters. Look for a mistyped one.',
  )
}

/** The encrypted bytes of a backup. */
export async function* seal(plain: AsyncIterable<Buffer>, recipient: string): AsyncGenerator<Buffer> {
  const { Encrypter } = await import('age-encryption')
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  // An error of either goes to the other, and to who reads.
  const packed = pipeline(
    Readable.from(plain, { objectMode: false }),
    createGzip({ level: GZIP_LEVEL }),
    ignore,
  )
  yield* buffersOf(await encrypter.encrypt(toWeb(packed)))
}

/**
 * What was sealed.
 * @throws AppError invalid where its header does not open: it was sealed for another key, or the header is
 * damaged, and nobody can tell which; corrupt where what follows was changed or ends early
 */
export async function* unseal(sealed: AsyncIterable<Buffer>, identity: string): AsyncGenerator<Buffer> {
  const { Decrypter } = await import('age-encryption')
  const decrypter = new Decrypter()
  decrypter.addIdentity(identity)
  const source = watched(sealed)
  const input = Readable.from(source.bytes, { objectMode: false })
  let isOpen = false
  try {
    const opened = await decrypter.decrypt(toWeb(input))
    isOpen = true
    yield* buffersOf(
      pipeline(
        Readable.fromWeb(opened as ReadableStream<Uint8Array>),
        createGunzip(),
        ignore,
      ) as unknown as AsyncIterable<Uint8Array>,
    )
  } catch (error) {
    // What the place says is no fault of the backup's.
    if (source.failure !== undefined) throw source.failure
    if (error instanceof AppError) throw error
    if (!isOpen)
      throw new AppError(
        'invalid',
        'The backup was made for another key than this one, or its beginning is damaged.',
        { cause: error },
      )
    throw damaged('it was changed, or ends early', error)
  } finally {
    // Where the key does not fit, nobody has read it to its end: its connection is free again at once.
    input.destroy()
  }
}

/** Errors reach the reader of the last stream: a pipeline destroys it with them. */
function ignore(): void {}

function toWeb(stream: Readable): globalThis.ReadableStream<Uint8Array> {
  return Readable.toWeb(stream) as unknown as globalThis.ReadableStream<Uint8Array>
}

async function* buffersOf(
  pieces: AsyncIterable<Uint8Array> | globalThis.ReadableStream<Uint8Array>,
): AsyncGenerator<Buffer> {
  for await (const piece of pieces as AsyncIterable<Uint8Array>)
    yield Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
}

/** Remembers what the source itself has thrown. */
function watched(sealed: AsyncIterable<Buffer>): { bytes: AsyncIterable<Buffer>; failure?: unknown } {
  const source: { bytes: AsyncIterable<Buffer>; failure?: unknown } = { bytes: read() }
  async function* read(): AsyncGenerator<Buffer> {
    try {
      yield* sealed
    } catch (error) {
      source.failure = error
      throw error
    }
  }
  return source
}
