/**
 * Socket.IO as Immich's clients use it: websocket only, rooms per user and per session. Events come from the database, so
 * that it does not matter which process did the work.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { Server, type Socket } from 'socket.io'
import { type LibraryEvent, subscribe } from '../database/events.ts'
import { isAppError } from '../errors.ts'
import type { Actor } from '../library/access.ts'
import { type AssetResponse, assetResponses } from '../library/asset-response.ts'
import { API_VERSION } from '../library/server-info.ts'
import { storageHealthFor, storageOverview } from '../library/storage-overview.ts'
import { ALL_LOCAL_FIRST } from '../library/upload-strategy.ts'
import { findActor, findCredentials } from './authenticate.ts'
import type { HttpParts } from './server.ts'
import { throttle } from './throttle.ts'

/** Administrators' pages, which show where everything is. */
const ADMIN_ROOM = 'admins'
const STATUS_INTERVAL_MS = 1_000
/** What pages believe of the storage until they hear otherwise. */
const WELL = 'well'
/** A page that logs itself out needs its answer first. */
const SESSION_DELETE_DELAY_MS = 500

/** Attaches the websocket to the HTTP server; it starts and ends with it. */
export function attachWebsocket(app: FastifyInstance, parts: HttpParts): void {
  const io = new Server(app.server, {
    path: '/api/socket.io',
    transports: ['websocket'],
    serveClient: false,
    // One message from a client: nobody sends more than a few words.
    maxHttpBufferSize: 64 * 1024,
    connectTimeout: 30_000,
  })
  io.on('connection', (socket) => {
    void admit(app, parts, socket)
  })

  const ways = parts.config.storage ?? ALL_LOCAL_FIRST
  const sendStatus = throttle(STATUS_INTERVAL_MS, async () => {
    if (io.sockets.adapter.rooms.has(ADMIN_ROOM))
      io.to(ADMIN_ROOM).emit('storage_status', await storageOverview(parts, ways))
  })
  let lastTold = WELL
  const sendHealth = throttle(STATUS_INTERVAL_MS, async () => {
    const health = await storageHealthFor(parts.placement, ways, null)
    const told = health.isDegraded ? JSON.stringify(health) : WELL
    // To everybody, without a word of what it is: each page asks for what its user may see.
    if (told !== lastTold) io.emit('storage_health')
    lastTold = told
  })
  const forward = (event: LibraryEvent) => {
    const work: Promise<unknown> =
      event.type === 'storage-changed'
        ? Promise.all([sendStatus(), sendHealth()])
        : forwardEvent(io, parts, event)
    work.catch((error: Error) =>
      parts.log.warn({ event: event.type, error: error.message }, 'an event was not sent on'),
    )
  }
  let listener: Awaited<ReturnType<typeof subscribe>> | undefined
  app.addHook('onReady', async () => {
    listener = await subscribe(parts.pool, parts.log, forward)
  })
  // Before the server waits for its connections to end: websockets never do by themselves.
  app.addHook('preClose', async () => {
    await listener?.close()
    // Not io.close(), which would close the HTTP server under Fastify.
    io.disconnectSockets(true)
    io.engine.close()
  })
}

async function admit(app: FastifyInstance, parts: HttpParts, socket: Socket): Promise<void> {
  let actor: Actor
  try {
    actor = await findActor(parts.db, handshakeCredentials(app, socket.request))
  } catch (error) {
    if (!isAppError(error, 'unauthenticated')) {
      // The database is away, say. Closed from below, the client comes back by itself.
      parts.log.warn({ error: (error as Error).message }, 'a websocket could not be admitted')
      socket.conn.close()
      return
    }
    socket.emit('error', 'unauthorized')
    socket.disconnect(true)
    return
  }
  await socket.join(`user:${actor.userId}`)
  if (actor.sessionId) await socket.join(`session:${actor.sessionId}`)
  if (actor.isAdmin) await socket.join(ADMIN_ROOM)
  socket.emit('on_server_version', API_VERSION)
}

function handshakeCredentials(app: FastifyInstance, request: IncomingMessage) {
  const url = new URL(request.url ?? '/', 'http://localhost')
  return findCredentials({
    headers: request.headers,
    query: Object.fromEntries(url.searchParams),
    cookies: app.parseCookie(request.headers.cookie ?? ''),
  })
}

async function forwardEvent(
  io: Server,
  parts: HttpParts,
  event: Exclude<LibraryEvent, { type: 'storage-changed' }>,
): Promise<void> {
  switch (event.type) {
    case 'asset-processed': {
      const asset = await readAsset(io, parts, event)
      // The moving part of a live photo is not shown by itself.
      if (asset?.visibility === 'timeline' || asset?.visibility === 'archive') {
        io.to(`user:${event.userId}`).emit('on_upload_success', asset)
      }
      return
    }
    case 'asset-updated': {
      const asset = await readAsset(io, parts, event)
      if (asset?.visibility === 'hidden') io.to(`user:${event.userId}`).emit('on_asset_hidden', asset.id)
      else if (asset) io.to(`user:${event.userId}`).emit('on_asset_update', asset)
      return
    }
    case 'assets-deleted':
      for (const id of event.assetIds) io.to(`user:${event.userId}`).emit('on_asset_delete', id)
      return
    case 'assets-trashed':
      io.to(`user:${event.userId}`).emit('on_asset_trash', event.assetIds)
      return
    case 'assets-restored':
      io.to(`user:${event.userId}`).emit('on_asset_restore', event.assetIds)
      return
    case 'original-restored': {
      const { assetId, availableUntil } = event
      io.to(`user:${event.userId}`).emit('on_archive_restore', { assetId, availableUntil })
      return
    }
    case 'restore-refused':
      // Why is for administrators: it names the bucket, and stands among the failures.
      io.to(`user:${event.userId}`).emit('on_archive_refuse', event.assetId)
      return
    case 'album-updated':
      for (const userId of event.userIds) io.to(`user:${userId}`).emit('on_album_update', event.albumId)
      return
    case 'session-deleted':
      await new Promise((resolve) => setTimeout(resolve, SESSION_DELETE_DELAY_MS))
      io.to(`session:${event.sessionId}`).emit('on_session_delete', event.sessionId)
      io.in(`session:${event.sessionId}`).disconnectSockets(true)
      return
    case 'user-deleted':
      io.emit('on_user_delete', event.userId)
      io.in(`user:${event.userId}`).disconnectSockets(true)
  }
}

/** Asked only while somebody listens: an import of 100,000 photos at night costs no query here. */
async function readAsset(
  io: Server,
  { db }: HttpParts,
  event: { assetId: string; userId: string },
): Promise<AssetResponse | undefined> {
  if (!io.sockets.adapter.rooms.has(`user:${event.userId}`)) return undefined
  const [asset] = await assetResponses(db, event, [event.assetId], { withExif: true })
  return asset
}
