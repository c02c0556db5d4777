/**
 * Who hears what on the websocket: each socket hears what its credential may read, for as long as the
 * credential is valid. Sockets are in rooms; the sender of an event names the permission that a request for
 * the same facts would need.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Server, Socket } from 'socket.io'
import { isAppError } from '../../errors.ts'
import { type Actor, holds } from '../../library/access.ts'
import { sessionExpiry } from '../../library/credentials/sessions.ts'
import { API_VERSION } from '../../library/server/server-info.ts'
import { findActor } from '../access/authenticate.ts'
import type { HttpParts } from '../parts.ts'
import { handshakeCredentials } from './handshake.ts'

/**
 * The permissions that a credential needs: for events about the user's own things, and for news of the
 * server.
 */
const OWN = ['asset.read', 'album.read', 'notification.read'] as const
const NEWS = ['server.about', 'server.storage', 'user.read'] as const

/** A page that logs itself out needs its answer first. It hears nothing any more while this time runs. */
const FAREWELL_DELAY_MS = 500
/** The longest that a timer of Node takes. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** The room of a user's sockets whose credential holds the permission. */
export function usersSockets(userId: string, permission: (typeof OWN)[number]): string {
  return `hears ${permission} of ${userId}`
}

/** The room of all sockets, or administrators' sockets, whose credential holds the permission. */
export function everybodyWho(who: 'isUser' | 'isAdmin', permission: (typeof NEWS)[number]): string {
  return `hears ${permission} if ${who}`
}

const ofSession = (id: string) => `session ${id}`
const ofApiKey = (id: string) => `api key ${id}`
const ofUser = (id: string) => `user ${id}`

export type Audience = {
  /** The session has ended: says so and closes its sockets. */
  endSession(sessionId: string): Promise<void>
  /** Sockets whose credential may have ended or changed hear nothing until it was looked at anew. */
  lookAtApiKey(apiKeyId: string): Promise<void>
  lookAtUser(userId: string): Promise<void>
  /** The same for all, after a time in which ends were not heard of. */
  lookAtAll(): void
}

/** Seats the sockets that come. */
export function gatherAudience(app: FastifyInstance, io: Server, parts: HttpParts): Audience {
  /** Counts the looks at each socket's credential: only the last one's answer counts. */
  const looks = new WeakMap<Socket, number>()
  /** Sits where the end of its credential is heard of. */
  const seated = new WeakSet<Socket>()
  const greeted = new WeakSet<Socket>()
  const timers = new WeakMap<Socket, NodeJS.Timeout>()

  const socketsIn = (room: string): Socket[] =>
    [...(io.sockets.adapter.rooms.get(room) ?? [])].flatMap((id) => io.sockets.sockets.get(id) ?? [])

  /** Seats a socket by what its credential may now. */
  async function look(socket: Socket): Promise<void> {
    const turn = (looks.get(socket) ?? 0) + 1
    looks.set(socket, turn)
    silence(socket)
    try {
      const actor = await readActor(socket)
      const endsAt = actor.sessionId === null ? null : await sessionExpiry(parts.db, actor.sessionId)
      if (looks.get(socket) !== turn || !socket.connected) return
      if (actor.sessionId !== null) {
        if (endsAt === null) return refuse(socket)
        lookAgainAt(socket, actor.sessionId, endsAt)
      }
      void socket.join(hearingRooms(actor))
      if (!greeted.has(socket)) socket.emit('on_server_version', API_VERSION)
      greeted.add(socket)
    } catch (error) {
      if (looks.get(socket) !== turn) return
      if (isAppError(error, 'unauthenticated')) return refuse(socket)
      // For example, the database is away. When the server closes the connection, the client connects again
      // by itself.
      parts.log.warn({ error: (error as Error).message }, "a websocket's credential could not be looked up")
      socket.conn.close()
    }
  }

  async function readActor(socket: Socket): Promise<Actor> {
    const credentials = handshakeCredentials(app, socket.request)
    const actor = await findActor(parts.db, credentials)
    if (seated.has(socket)) return actor
    void socket.join(credentialRooms(actor))
    seated.add(socket)
    // Looked at once more: only from here on is the end of the credential noticed.
    return findActor(parts.db, credentials)
  }

  /** A session that is used until then lives on. */
  function lookAgainAt(socket: Socket, sessionId: string, endsAt: Date): void {
    clearTimeout(timers.get(socket))
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, endsAt.getTime() - Date.now()))
    timers.set(socket, setTimeout(() => void expire(socket, sessionId), delayMs).unref())
  }

  /** Not by `look`, for which a credential that is looked up is one in use. */
  async function expire(socket: Socket, sessionId: string): Promise<void> {
    try {
      const endsAt = await sessionExpiry(parts.db, sessionId)
      if (!socket.connected) return
      if (endsAt === null) await endSession(sessionId)
      else lookAgainAt(socket, sessionId, endsAt)
    } catch (error) {
      parts.log.warn({ error: (error as Error).message }, "a websocket's session could not be looked up")
      socket.conn.close()
    }
  }

  async function endSession(sessionId: string): Promise<void> {
    const sockets = socketsIn(ofSession(sessionId))
    for (const socket of sockets) {
      looks.set(socket, Number.POSITIVE_INFINITY)
      silence(socket)
    }
    if (sockets.length === 0) return
    await sleep(FAREWELL_DELAY_MS, undefined, { ref: false })
    for (const socket of sockets) {
      socket.emit('on_session_delete', sessionId)
      socket.disconnect(true)
    }
  }

  const lookAtRoom = async (room: string) => {
    await Promise.all(socketsIn(room).map(look))
  }

  io.on('connection', (socket) => {
    socket.on('disconnect', () => clearTimeout(timers.get(socket)))
    void look(socket)
  })

  return {
    endSession,
    lookAtApiKey: (id) => lookAtRoom(ofApiKey(id)),
    lookAtUser: (id) => lookAtRoom(ofUser(id)),
    lookAtAll: () => [...io.sockets.sockets.values()].forEach((socket) => void look(socket)),
  }
}

function credentialRooms({ userId, sessionId, apiKey }: Actor): string[] {
  const credential = sessionId === null ? [] : [ofSession(sessionId)]
  return [ofUser(userId), ...credential, ...(apiKey === null ? [] : [ofApiKey(apiKey.id)])]
}

function hearingRooms(actor: Actor): string[] {
  const news = NEWS.filter((permission) => holds(actor, permission))
  return [
    ...OWN.filter((permission) => holds(actor, permission)).map((own) => usersSockets(actor.userId, own)),
    ...news.map((permission) => everybodyWho('isUser', permission)),
    ...(actor.isAdmin ? news.map((permission) => everybodyWho('isAdmin', permission)) : []),
  ]
}

/** Takes it out, at once, of every room that anything is sent to. */
function silence(socket: Socket): void {
  for (const room of socket.rooms) if (room.startsWith('hears ')) void socket.leave(room)
}

function refuse(socket: Socket): void {
  socket.emit('error', 'unauthorized')
  socket.disconnect(true)
}
