/**
 * Socket.IO as Immich's clients use it: websocket only. Events come from the database, so that it does not
 * matter which process did the work. `audience.ts` decides who hears what.
 */
import type { FastifyInstance } from 'fastify'
import { Server } from 'socket.io'
import { type LibraryEvent, subscribe } from '../../database/events.ts'
import { type AssetResponse, assetResponses } from '../../library/assets/asset-response.ts'
import { listNotifications } from '../../library/notifications/notifications.ts'
import { storageHealthFor, storageOverview } from '../../library/server/storage-overview.ts'
import { ALL_LOCAL_FIRST } from '../../library/uploads/upload-strategy.ts'
import { throttle } from '../access/throttle.ts'
import type { HttpParts } from '../parts.ts'
import { type Audience, everybodyWho, gatherAudience, usersSockets } from './audience.ts'
import { refusePagesOfOthers } from './handshake.ts'

/** Administrators' pages, which show where everything is. */
const ADMIN_ROOM = everybodyWho('isAdmin', 'server.storage')
const HEALTH_ROOM = everybodyWho('isUser', 'server.about')
const STATUS_INTERVAL_MS = 1_000
/** What pages believe of the storage until they hear otherwise. */
const WELL = 'well'

/** Attaches the websocket to the HTTP server; it starts and ends with it. */
export function attachWebsocket(app: FastifyInstance, parts: HttpParts): void {
  const io = new Server(app.server, {
    path: '/api/socket.io',
    transports: ['websocket'],
    serveClient: false,
    // One message from a client: nobody sends more than a few words.
    maxHttpBufferSize: 8 * 1024,
    connectTimeout: 30_000,
  })
  refusePagesOfOthers(app, io.engine, parts)
  const audience = gatherAudience(app, io, parts)

  const ways = parts.config.storage ?? ALL_LOCAL_FIRST
  const sendStatus = throttle(STATUS_INTERVAL_MS, async () => {
    if (io.sockets.adapter.rooms.has(ADMIN_ROOM))
      io.to(ADMIN_ROOM).emit('storage_status', await storageOverview(parts, ways))
  })
  let lastTold = WELL
  const sendHealth = throttle(STATUS_INTERVAL_MS, async () => {
    const health = await storageHealthFor(parts.placement, ways, null)
    const told = health.isDegraded ? JSON.stringify(health) : WELL
    // This goes to everybody, without any details: each page asks for what its user may see.
    if (told !== lastTold) io.to(HEALTH_ROOM).emit('storage_health')
    lastTold = told
  })
  const forward = (event: LibraryEvent) => {
    const work: Promise<unknown> =
      event.type === 'storage-changed'
        ? Promise.all([sendStatus(), sendHealth()])
        : forwardEvent(io, audience, parts, event)
    work.catch((error: Error) =>
      parts.log.warn({ event: event.type, error: error.message }, 'an event was not sent on'),
    )
  }
  let listener: Awaited<ReturnType<typeof subscribe>> | undefined
  app.addHook('onReady', async () => {
    listener = await subscribe(parts.pool, parts.log, forward, audience.lookAtAll)
  })
  // Before the server waits for its connections to end, because websockets never end by themselves.
  app.addHook('preClose', async () => {
    await listener?.close()
    // Not io.close(), which would close the HTTP server under Fastify.
    io.disconnectSockets(true)
    io.engine.close()
  })
}

async function forwardEvent(
  io: Server,
  audience: Audience,
  parts: HttpParts,
  event: Exclude<LibraryEvent, { type: 'storage-changed' }>,
): Promise<void> {
  switch (event.type) {
    case 'asset-processed': {
      const asset = await readAsset(io, parts, event)
      // The moving part of a live photo is not shown by itself.
      if (asset?.visibility === 'timeline' || asset?.visibility === 'archive') {
        io.to(usersSockets(event.userId, 'asset.read')).emit('on_upload_success', asset)
      }
      return
    }
    case 'asset-updated': {
      const asset = await readAsset(io, parts, event)
      if (asset?.visibility === 'hidden')
        io.to(usersSockets(event.userId, 'asset.read')).emit('on_asset_hidden', asset.id)
      else if (asset) io.to(usersSockets(event.userId, 'asset.read')).emit('on_asset_update', asset)
      return
    }
    case 'assets-deleted':
      for (const id of event.assetIds)
        io.to(usersSockets(event.userId, 'asset.read')).emit('on_asset_delete', id)
      return
    case 'assets-trashed':
      io.to(usersSockets(event.userId, 'asset.read')).emit('on_asset_trash', event.assetIds)
      return
    case 'assets-restored':
      io.to(usersSockets(event.userId, 'asset.read')).emit('on_asset_restore', event.assetIds)
      return
    case 'original-restored': {
      const { assetId, availableUntil } = event
      io.to(usersSockets(event.userId, 'asset.read')).emit('on_archive_restore', { assetId, availableUntil })
      return
    }
    case 'restore-refused':
      // The reason is for administrators: it names the bucket, and is listed among the failures.
      io.to(usersSockets(event.userId, 'asset.read')).emit('on_archive_refuse', event.assetId)
      return
    case 'album-updated':
      for (const userId of event.userIds)
        io.to(usersSockets(userId, 'album.read')).emit('on_album_update', event.albumId)
      return
    case 'notification-created': {
      const room = usersSockets(event.userId, 'notification.read')
      if (!io.sockets.adapter.rooms.has(room)) return
      const [notification] = await listNotifications(parts.db, event, { id: event.notificationId })
      if (notification) io.to(room).emit('on_notification', notification)
      return
    }
    case 'session-deleted':
      return audience.endSession(event.sessionId)
    case 'api-key-changed':
      return audience.lookAtApiKey(event.apiKeyId)
    case 'user-changed':
      // Heard by the others, who see albums of that user.
      if (event.isDeleted) io.to(everybodyWho('isUser', 'user.read')).emit('on_user_delete', event.userId)
      return audience.lookAtUser(event.userId)
  }
}

/** Asked only while somebody listens: an import of 100,000 photos at night costs no query here. */
async function readAsset(
  io: Server,
  { db }: HttpParts,
  event: { assetId: string; userId: string },
): Promise<AssetResponse | undefined> {
  if (!io.sockets.adapter.rooms.has(usersSockets(event.userId, 'asset.read'))) return undefined
  const [asset] = await assetResponses(db, event, [event.assetId], { withExif: true })
  return asset
}
