import { pipeline, type Readable } from 'node:stream'
import { constants, createBrotliCompress, createGzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { chooseEncoding } from './compress-json.ts'

/**
 * Compresses a stream of lines for a client that accepts it. Whatever comes in goes out at once: phones give
 * a connection up on which nothing comes for a minute. A source that fails aborts the answer.
 */
export function compressLines(request: FastifyRequest, reply: FastifyReply, lines: Readable): Readable {
  reply.header('vary', 'accept-encoding')
  const encoding = chooseEncoding(request.headers['accept-encoding'])
  if (encoding === null) return lines
  const compressor =
    encoding === 'gzip'
      ? createGzip({ level: 1, flush: constants.Z_SYNC_FLUSH })
      : createBrotliCompress({
          flush: constants.BROTLI_OPERATION_FLUSH,
          params: { [constants.BROTLI_PARAM_QUALITY]: 1 },
        })
  reply.header('content-encoding', encoding)
  // It destroys both when one fails, and who sends the answer sees it there.
  pipeline(lines, compressor, () => undefined)
  return compressor
}
