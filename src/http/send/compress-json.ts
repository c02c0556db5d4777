/**
 * Compresses the texts that this process makes, for clients that accept it: JSON, and the page's first HTML.
 * A month of 3,000 photos is 684 KB, of which gzip leaves 153; files of the page are compressed when it is
 * built, and photos and videos are compressed by nature.
 */
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/**
 * Answers that hold a secret (a session's token, an API key) are shorter, so they are never compressed:
 * beside a text that somebody else chooses, the length would tell about the secret (BREACH).
 */
const SMALLEST_BYTES = 2048
/**
 * CPU for 684 KB, and what is left: gzip 1 3.7 ms, 153 KB; gzip 6 5.8 ms, 150 KB; Brotli 1 1.1 ms, 143 KB;
 * Brotli 4 3.2 ms, 138 KB; Brotli 5 7.5 ms, 138 KB. In libuv's threads, so that others go on meanwhile.
 */
const GZIP_LEVEL = 1
const BROTLI_QUALITY = 4
/** A longer answer is not compressed: it would be in memory twice. */
const LARGEST_BYTES = 32 * 1024 * 1024

const compressors = {
  br: (text: Buffer) =>
    promisify(brotliCompress)(text, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
        [constants.BROTLI_PARAM_SIZE_HINT]: text.length,
      },
    }),
  gzip: (text: Buffer) => promisify(gzip)(text, { level: GZIP_LEVEL }),
}

/** Every answer that is a string; the code that sends a stream or a buffer decides by itself. */
export function addJsonCompression(app: FastifyInstance): void {
  app.addHook('onSend', async (request: FastifyRequest, reply: FastifyReply, payload: unknown) => {
    if (typeof payload !== 'string' || reply.hasHeader('content-encoding')) return payload
    // The length in characters is at most that in bytes, and good enough to decide by.
    if (payload.length < SMALLEST_BYTES || payload.length > LARGEST_BYTES) return payload
    // A cache on the way must not give it to a client that does not accept it.
    reply.header('vary', 'accept-encoding')
    const encoding = chooseEncoding(request.headers['accept-encoding'])
    if (encoding === null) return payload
    const compressed = await compressors[encoding](Buffer.from(payload))
    reply.header('content-encoding', encoding).header('content-length', compressed.length)
    return compressed
  })
}

/** `br` before `gzip`, of what the client takes (RFC 9110, 12.5.3); browsers offer `br` on https only. */
export function chooseEncoding(accepted: string | undefined): keyof typeof compressors | null {
  const weights = new Map(
    (accepted ?? '').split(',').map((part) => {
      const [name, ...parameters] = part.trim().toLowerCase().split(';')
      const weight = parameters
        .map((one) => /^\s*q=([\d.]+)\s*$/.exec(one)?.[1])
        .find((one) => one !== undefined)
      return [name!.trim(), weight === undefined ? 1 : Number(weight)] as const
    }),
  )
  const weightOf = (name: string) => weights.get(name) ?? weights.get('*') ?? 0
  if (weightOf('br') > 0) return 'br'
  return weightOf('gzip') > 0 ? 'gzip' : null
}
