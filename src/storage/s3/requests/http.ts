/**
 * How requests reach an S3 service: node:http with a pool of our own. The SDK signs and parses; this sends.
 * Own, because only here can a download that stands still for its reader be told from one that the service
 * lets hang, can an abort reach the body, and can errors of the body become ours without one more stream in
 * between.
 */
import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import type { Socket } from 'node:net'
import { isStorageError, StorageError } from '../../backend.ts'
import { messageOf } from '../../bytes/read-body.ts'
import { mapStreamErrors } from '../../bytes/stream-errors.ts'
import { type StallRules, sendWatched } from './stall-timeout.ts'

export type S3HttpOptions = {
  maxConnections: number
  /** Time to reach the service, TLS included. */
  connectTimeoutMs: number
  /** Longest time without a byte in either direction, before or within an answer. */
  requestTimeoutMs: number
  /** Stall rules for requests other than downloads; absent: only the time-outs above apply. */
  silence?: StallRules
}

/** The parts of the SDK's request that matter here. Bodies are in memory: larger ones go in parts. */
type SdkRequest = {
  method: string
  protocol: string
  hostname: string
  port?: number
  path: string
  query?: Record<string, string | string[] | null>
  headers: Record<string, string>
  body?: unknown
}
type SdkResponse = {
  statusCode: number
  reason: string
  headers: Record<string, string>
  body: IncomingMessage
}

export type S3Http = {
  handle(request: SdkRequest, options?: { abortSignal?: unknown }): Promise<{ response: SdkResponse }>
  /** `Date` of the last answer less our clock, in milliseconds; null before the first. */
  clockSkewMs(): number | null
  openConnections(): number
  destroy(): void
  updateHttpClientConfig(): void
  httpHandlerConfigs(): Record<string, never>
}

/** Sockets wait this long for their next request; services close theirs after 5 (node) to 60 seconds. */
const IDLE_SOCKET_MS = 4_000

export function openS3Http(options: S3HttpOptions): S3Http {
  const pool = {
    keepAlive: true,
    maxSockets: options.maxConnections,
    scheduling: 'lifo',
    noDelay: true,
  } as const
  const http = new HttpAgent(pool)
  const https = new HttpsAgent(pool)
  for (const agent of [http, https]) agent.on('free', (socket: Socket) => socket.setTimeout(IDLE_SOCKET_MS))
  let clockSkewMs: number | null = null

  function send(request: SdkRequest, signal: AbortSignal | undefined): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw signal.reason
      const isTls = request.protocol === 'https:'
      const outgoing = (isTls ? requestHttps : requestHttp)({
        agent: isTls ? https : http,
        method: request.method,
        hostname: request.hostname.replace(/^\[|\]$/g, ''),
        port: request.port,
        path: request.path + queryOf(request.query),
        headers: request.headers,
      })
      let incoming: IncomingMessage | undefined
      const abort = () => (incoming ?? outgoing).destroy(signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
      outgoing.once('close', () => signal?.removeEventListener('abort', abort))
      outgoing.on('socket', (socket) => watchSocket(socket, outgoing, () => incoming, isTls))
      outgoing.on('error', (error) => reject(signal?.aborted ? signal.reason : error))
      outgoing.on('response', (message) => {
        incoming = mapStreamErrors(message, (error) => (signal?.aborted ? signal.reason : bodyError(error)))
        const date = Date.parse(message.headers.date ?? '')
        if (!Number.isNaN(date)) clockSkewMs = date - Date.now()
        resolve(message)
      })
      if (options.silence) sendWatched(outgoing, request, request.body, options.silence)
      else outgoing.end(request.body)
    })
  }

  function watchSocket(
    socket: Socket,
    outgoing: ReturnType<typeof requestHttp>,
    incoming: () => IncomingMessage | undefined,
    isTls: boolean,
  ): void {
    let connecting: NodeJS.Timeout | undefined
    if (socket.connecting) {
      const late = () =>
        outgoing.destroy(timeoutError(`did not accept a connection within ${options.connectTimeoutMs} ms`))
      connecting = setTimeout(late, options.connectTimeoutMs)
      socket.once(isTls ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
    }
    const idle = () => {
      const message = incoming()
      // Bytes that wait for their reader: the reader is slow, not the service. Whoever reads has its own
      // time-outs.
      if (message !== undefined && message.readableLength > 0) socket.setTimeout(options.requestTimeoutMs)
      else (message ?? outgoing).destroy(timeoutError(`sent nothing for ${options.requestTimeoutMs} ms`))
    }
    socket.setTimeout(options.requestTimeoutMs)
    socket.on('timeout', idle)
    outgoing.once('close', () => {
      clearTimeout(connecting)
      socket.off('timeout', idle)
    })
  }

  return {
    async handle(request, { abortSignal } = {}) {
      const signal = abortSignal as AbortSignal | undefined
      const message = await send(request, signal).catch((error: unknown) => {
        // The service closed a waiting connection at the moment it was used again. Reading once more harms
        // nothing.
        const isReading = request.method === 'GET' || request.method === 'HEAD'
        if (isReading && isReset(error) && !signal?.aborted) return send(request, signal)
        throw error
      })
      const headers: Record<string, string> = {}
      for (const [name, value] of Object.entries(message.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value
      }
      const { statusCode = 0, statusMessage = '' } = message
      return { response: { statusCode, reason: statusMessage, headers, body: message } }
    },
    clockSkewMs: () => clockSkewMs,
    openConnections: () =>
      [http, https]
        .flatMap((agent) => [...Object.values(agent.sockets), ...Object.values(agent.freeSockets)])
        .flat().length,
    destroy() {
      http.destroy()
      https.destroy()
    },
    updateHttpClientConfig() {},
    httpHandlerConfigs: () => ({}),
  }
}

function timeoutError(what: string): StorageError {
  return new StorageError('unavailable', `the S3 service ${what}`)
}

function bodyError(error: Error): Error {
  if (isStorageError(error)) return error
  return new StorageError('unavailable', `the S3 service cut its answer: ${messageOf(error)}`, {
    cause: error,
  })
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE')
}

/** The query as the SDK signed it: RFC 3986, sorted by name. */
function queryOf(query: SdkRequest['query'] = {}): string {
  const pairs = Object.keys(query)
    .sort()
    .flatMap((name) => {
      const value = query[name]
      if (value === null || value === undefined) return [escapeUri(name)]
      return [value].flat().map((one) => `${escapeUri(name)}=${escapeUri(one)}`)
    })
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

/** As Signature Version 4 wants it: everything but letters, digits, `-`, `_`, `.` and `~`. */
export function escapeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
