/**
 * A strict S3 server: what AWS refuses, it refuses. It serves tests (in memory, with faults and provider
 * profiles) and, on a folder, is a bucket that lasts: Glassine's demonstration bucket.
 *
 * Played: objects, ranges, conditions, versions, copies, multipart, listings, checksums, CORS, presigned
 * URLs, archives, Object Lock, server-side encryption. Not played: anonymous access, session tokens, ACLs,
 * tags, policies, browser form posts: those are refused, not ignored.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Counts, createCounts } from './counts.ts'
import { createFaults, type Faults } from './faults.ts'
import { handleRequest, type ServerParts } from './handle-request.ts'
import { openFolderStore } from './objects/folder/folder-store.ts'
import { createMemoryStore } from './objects/memory-store.ts'
import type { CorsRule, ObjectStore } from './objects/object-store.ts'
import { isBucketName } from './operations/buckets/buckets.ts'
import { type StrictProfile, strictDefaults } from './profiles.ts'
import { lookAtStored, type StoredObjects } from './stored-objects.ts'
import type { Credentials } from './wire/authenticate.ts'
import { writeXml } from './wire/xml.ts'

export type StrictS3Options = {
  /**
   * `folder`: durable, made when absent, one process at a time. `sync: false` leaves out fsync, for tests.
   */
  store: { kind: 'memory' } | { kind: 'folder'; path: string; sync?: boolean }
  credentials: Credentials
  /** Made when absent. */
  buckets: string[]
  region?: string
  /** Set on those buckets that have no CORS rules. */
  cors?: CorsRule[]
  /** Those buckets are made with Object Lock, and so with versions. */
  objectLock?: boolean
  host?: string
  /** 0, the default: any free one. */
  port?: number
  profile?: Partial<StrictProfile>
  clock?: () => Date
  /** How long a client may be silent within its body before it is answered RequestTimeout. */
  idleBodyMs?: number
  /**
   * Told of failures of the server itself (a full disk); they are answered with 500. The default throws them
   * away.
   */
  onInternalError?: (error: unknown, request: { operation: string; bucketName: string; key: string }) => void
}

export type StrictS3 = {
  /** `http://127.0.0.1:port`: path style; a Host of `bucket.localhost` works too. */
  readonly endpoint: string
  readonly port: number
  readonly counts: Counts
  readonly faults: Faults
  /** May be changed at any time: `s3.profile.denied = ['DeleteObject']`. */
  readonly profile: StrictProfile
  readonly stored: StoredObjects
  openConnections(): number
  /** Requests that are not answered yet. */
  activeRequests(): number
  /** Lets requests under way end, for a second at most, then closes every connection and the store. */
  close(): Promise<void>
}

const closeGraceMs = 1000

async function openStore(options: StrictS3Options): Promise<ObjectStore> {
  if (options.store.kind === 'memory') return createMemoryStore()
  return openFolderStore({ path: options.store.path, sync: options.store.sync ?? true })
}

export async function startStrictS3(options: StrictS3Options): Promise<StrictS3> {
  const clock = options.clock ?? (() => new Date())
  const host = options.host ?? '127.0.0.1'
  for (const name of options.buckets) if (!isBucketName(name)) throw new Error(`${name} is not a bucket name`)
  const store = await openStore(options)
  for (const name of options.buckets) {
    const found = await store.readBucket(name)
    if (found && (found.cors !== null || options.cors === undefined)) continue
    const made = {
      name,
      createdAt: clock().toISOString(),
      versioning: options.objectLock ? 'Enabled' : 'off',
      lifecycle: null,
      objectLock: options.objectLock ? {} : null,
    } as const
    await store.writeBucket({ ...(found ?? made), cors: options.cors ?? null })
  }

  const profile: StrictProfile = { ...strictDefaults, ...options.profile }
  const counts = createCounts()
  const faults = createFaults()
  const parts: ServerParts = {
    store,
    credentials: options.credentials,
    profile,
    region: options.region ?? 'us-east-1',
    endpoint: '',
    ownHosts: ['localhost', host],
    clock,
    counts,
    faults,
    idleBodyMs: options.idleBodyMs ?? 60_000,
    onInternalError: options.onInternalError ?? (() => undefined),
  }

  const sockets = new Set<Socket>()
  const active = new Set<Promise<void>>()
  // requestTimeout 0: an upload may take hours; silence within a body has its own limit.
  const server = createServer({
    requestTimeout: 0,
    headersTimeout: 60_000,
    keepAliveTimeout: 65_000,
    noDelay: true,
  })
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const work = handleRequest(parts, request, response).finally(() => active.delete(work))
    active.add(work)
  }
  server.on('request', serve)
  // With a listener of our own, "100 Continue" waits until the request has passed its checks.
  server.on('checkContinue', serve)
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (!socket.writable || error.code === 'ECONNRESET') return socket.destroy()
    // A client that ends its side before its body is whole still listens.
    const code = error.code === 'HPE_INVALID_EOF_STATE' ? 'IncompleteBody' : 'BadRequest'
    const body = writeXml('Error', { Code: code, Message: error.message }, { namespaced: false })
    socket.end(
      `HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    )
  })
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(options.port ?? 0, host, resolve)
    })
  } catch (error) {
    await store.close()
    throw error
  }
  const { port } = server.address() as AddressInfo
  parts.endpoint = `http://${host.includes(':') ? `[${host}]` : host}:${port}`

  let closing: Promise<void> | null = null
  const close = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeIdleConnections()
    let timer: NodeJS.Timeout | undefined
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, closeGraceMs)
    })
    await Promise.race([Promise.allSettled(active), grace])
    clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
    await Promise.allSettled(active)
    await closed
    await store.close()
  }
  return {
    endpoint: parts.endpoint,
    port,
    counts,
    faults,
    profile,
    stored: lookAtStored(store, options.buckets[0] ?? ''),
    openConnections: () => sockets.size,
    activeRequests: () => active.size,
    close: () => (closing ??= close()),
  }
}
