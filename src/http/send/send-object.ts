/**
 * The one way in which media leave the server: ranges, HEAD without reading, validators, and headers that
 * keep a hostile file from running in our origin. A client that goes away frees its source at once; a source
 * that fails aborts the answer, so that a short body is never taken for the whole.
 */
import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Log } from '../../log.ts'
import type { Delivery } from '../../placement/delivery-rules.ts'
import type { RedirectTarget } from '../../placement/reads/deliver.ts'
import type { ServableObject } from '../../placement/reads/serve.ts'
import { originOf } from '../access/page-origin.ts'
import { contentDisposition } from './content-disposition.ts'
import { pipeStream } from './pipe-stream.ts'
import { parseRange } from './range.ts'
import { canReach, isBrowser, mayRedirect } from './redirectable.ts'

/** Long, because clients bust it by URL (`c=`, `updatedAt=`): Android's 1 GiB cache relies on it. */
const MEDIA_CACHE_CONTROL =
  'private, max-age=86400, no-transform, stale-while-revalidate=2592000, stale-if-error=2592000'
/** For a file opened as a page of its own: no script, no plug-in, no origin. */
const MEDIA_POLICY =
  "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; sandbox"
/** Types that browsers show without running anything in them. SVG runs scripts. */
const SAFE_TYPE = /^(image\/(?!svg)[\w.+-]+|video\/[\w.+-]+|audio\/[\w.+-]+)$/

export type SendOptions = {
  /** The name that people see; absent: no Content-Disposition name (generated files). */
  fileName?: string
  delivery: Delivery
  log: Log
}

/**
 * Answers with the object's bytes, or 304, 206, 416, or 302 to where they are (placement/reads/deliver).
 * Takes the reply over: nothing else may be sent.
 */
export async function sendObject(
  request: FastifyRequest,
  reply: FastifyReply,
  object: ServableObject,
  options: SendOptions,
): Promise<FastifyReply> {
  const isSafe = SAFE_TYPE.test(object.contentType)
  const etag = `"${Buffer.from(object.sha256, 'hex').toString('base64url')}"`
  const modifiedAt = new Date(Math.floor(object.createdAt.getTime() / 1000) * 1000)
  const response = reply.raw
  response.setHeader('cache-control', MEDIA_CACHE_CONTROL)
  response.setHeader('etag', etag)
  response.setHeader('last-modified', modifiedAt.toUTCString())
  response.setHeader('accept-ranges', 'bytes')
  response.setHeader('content-security-policy', MEDIA_POLICY)
  response.setHeader(
    'content-disposition',
    contentDisposition(isSafe ? 'inline' : 'attachment', options.fileName),
  )
  response.setHeader('content-type', isSafe ? object.contentType : 'application/octet-stream')

  if (isNotModified(request, etag, modifiedAt)) return endWithoutBody(reply, 304)

  const isRangeHeeded =
    request.headers['if-range'] === undefined ||
    (isRangeValid(request, etag, modifiedAt) && (await object.mayBeResumed()))
  const rangeHeader = isRangeHeeded ? request.headers.range : undefined
  const range = parseRange(rangeHeader, object.size)
  if (range === 'unsatisfiable') {
    response.setHeader('content-range', `bytes */${object.size}`)
    response.removeHeader('content-type')
    response.setHeader('content-length', 0)
    return endWithoutBody(reply, 416)
  }
  if (range) response.setHeader('content-range', `bytes ${range.start}-${range.end}/${object.size}`)
  const length = range ? range.end - range.start + 1 : object.size
  response.setHeader('content-length', length)
  const status = range ? 206 : 200
  if (request.method === 'HEAD' || length === 0) return endWithoutBody(reply, status)

  if ((options.delivery.modes[object.kind] ?? 'proxy') !== 'proxy') {
    // The same address answers a browser's script, which can't read what lies elsewhere, with bytes.
    response.setHeader('vary', 'sec-fetch-dest, sec-fetch-mode')
    if (mayRedirect(request, options.delivery)) {
      const elsewhere = await redirectTarget(request, object, isSafe, options.fileName)
      if (elsewhere) return redirect(reply, elsewhere)
    }
  }

  const gone = new AbortController()
  // After a whole answer nobody waits for the source any more; an abort costs an error with its stack.
  const onClose = () => {
    if (!response.writableFinished) gone.abort()
  }
  response.once('close', onClose)
  // A client that left while we asked the database: its `close` was emitted before anybody listened.
  if (response.destroyed) gone.abort()
  const { speculative } = request
  let source: Readable
  try {
    source = await object.open({
      ...(range && { range }),
      ...(speculative?.read && { speculative: speculative.read }),
      signal: gone.signal,
    })
  } catch (error) {
    for (const name of ENTITY_HEADERS) response.removeHeader(name)
    response.setHeader('cache-control', 'no-store')
    if (!gone.signal.aborted) throw error
    reply.hijack()
    return reply
  }
  if (gone.signal.aborted) {
    source.destroy()
    reply.hijack()
    return reply
  }
  const remote = speculative && object.remoteSource()
  if (remote) speculative.remember(remote)
  reply.hijack()
  response.writeHead(status)
  pipeStream(source, response, length, (error) => {
    options.log.warn(
      { objectId: object.objectId, requestId: request.id, error: error.message },
      'an answer was cut off',
    )
  })
  return reply
}

/**
 * A link that is followed is a download: the page's own name for the file is not heeded by browsers once they
 * are sent to another origin.
 */
async function redirectTarget(
  request: FastifyRequest,
  object: ServableObject,
  isSafe: boolean,
  fileName: string | undefined,
): Promise<RedirectTarget | null> {
  const isLink = request.headers['sec-fetch-mode'] === 'navigate'
  return object.redirectTarget({
    contentType: isSafe ? object.contentType : 'application/octet-stream',
    contentDisposition: contentDisposition(isSafe && !isLink ? 'inline' : 'attachment', fileName),
    // With a cookie for a folder the client chooses the type of an answer: so not for files that a browser
    // could run.
    browserOfUserId: isSafe && isBrowser(request) ? (request.authenticated?.actor.userId ?? null) : null,
    pageOrigin: isBrowser(request) ? originOf(request) : null,
    canReach: (address, which) => canReach(request, address, which),
  })
}

/** Kept no longer than its URL holds, by nobody but the one who asked. */
function redirect(reply: FastifyReply, { url, cookies, maxAgeSeconds }: RedirectTarget): FastifyReply {
  const response = reply.raw
  for (const name of ENTITY_HEADERS) response.removeHeader(name)
  response.setHeader('cache-control', `private, max-age=${maxAgeSeconds}`)
  response.setHeader('location', url)
  if (cookies.length > 0) response.setHeader('set-cookie', cookies)
  response.setHeader('content-length', 0)
  return endWithoutBody(reply, 302)
}

/** What an error's own answer must not carry. */
const ENTITY_HEADERS = [
  'etag',
  'last-modified',
  'accept-ranges',
  'content-disposition',
  'content-range',
  'content-length',
  'content-type',
  'content-security-policy',
]

function endWithoutBody(reply: FastifyReply, status: number): FastifyReply {
  reply.hijack()
  reply.raw.writeHead(status)
  reply.raw.end()
  return reply
}

function isNotModified(request: FastifyRequest, etag: string, modifiedAt: Date): boolean {
  const tags = request.headers['if-none-match']
  if (tags !== undefined) {
    return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
  }
  const since = Date.parse(request.headers['if-modified-since'] ?? '')
  return !Number.isNaN(since) && modifiedAt.getTime() <= since
}

/** If-Range: the range counts only while the client's copy is still the current one. */
function isRangeValid(request: FastifyRequest, etag: string, modifiedAt: Date): boolean {
  const condition = request.headers['if-range']
  if (typeof condition !== 'string') return true
  if (condition.startsWith('"')) return condition === etag
  return Date.parse(condition) === modifiedAt.getTime()
}
