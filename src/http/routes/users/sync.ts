import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { AppError } from '../../../errors.ts'
import { acknowledge, deleteAcks, listAcks, sessionOf } from '../../../library/sync/checkpoints.ts'
import {
  DEPRECATED_TYPES,
  type DeprecatedType,
  LINE_TYPES,
  REQUEST_TYPES,
  type RequestType,
} from '../../../library/sync/names.ts'
import { syncStream } from '../../../library/sync/stream.ts'
import { openSyncTurns } from '../../../library/sync/turns.ts'
import { actorOf } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { compressLines } from '../../send/compress-lines.ts'
import { list, parse, text } from '../../validate.ts'

/** Of one request; the phone sends one for each group of lines. */
const MAX_ACKS = 1_000
/** Longer than any of the types' lists, some of which clients repeat. */
const MAX_TYPES = 200
/** A type, an id, and another id. */
const MAX_ACK_LENGTH = 200
/** A phone that takes longer is cut off, and goes on from what it has acknowledged. */
const LONGEST_STREAM_MS = 30 * 60_000

const ASKED_TYPES = [...REQUEST_TYPES, ...(Object.keys(DEPRECATED_TYPES) as DeprecatedType[])]
const streamBody = z.object({
  types: list(oneOf(ASKED_TYPES), { max: MAX_TYPES }),
  reset: z.boolean().optional(),
})
const acksBody = z.object({ acks: list(text(MAX_ACK_LENGTH), { max: MAX_ACKS }) })
const typesBody = z.object({ types: list(oneOf(LINE_TYPES), { max: MAX_TYPES }).optional() })

/** `/api/sync`: what phones keep a copy of. */
export function registerSyncRoutes(app: FastifyInstance, { db, pool }: Pick<HttpParts, 'db' | 'pool'>): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })
  const turns = openSyncTurns()

  app.post('/api/sync/stream', may('sync.stream'), async (request, reply) => {
    const { types, reset = false } = parse(streamBody, request.body)
    const sessionId = sessionOf(actorOf(request))
    const { userId } = actorOf(request)
    const wanted = types.map(withoutDeprecated)
    const end = turns.begin(userId)
    const lines = syncStream({ db, pool }, { userId, sessionId, types: wanted, reset })
    try {
      // What goes wrong before it is an ordinary error.
      const first = await lines.next()
      return sendLines(request, reply, Readable.from(withFirst(first, lines, end)))
    } catch (error) {
      end()
      throw error
    }
  })

  app.get('/api/sync/ack', may('syncCheckpoint.read'), (request) => listAcks(db, sessionOf(actorOf(request))))
  app.post('/api/sync/ack', may('syncCheckpoint.update'), async (request, reply) => {
    const { acks } = parse(acksBody, request.body)
    await acknowledge(db, sessionOf(actorOf(request)), acks)
    return reply.status(204).send()
  })
  app.delete('/api/sync/ack', may('syncCheckpoint.delete'), async (request, reply) => {
    const { types } = parse(typesBody, request.body)
    await deleteAcks(db, sessionOf(actorOf(request)), types ?? null)
    return reply.status(204).send()
  })
}

function oneOf<const Names extends readonly [string, ...string[]] | readonly string[]>(names: Names) {
  return z.enum(names as unknown as [Names[number], ...Names[number][]])
}

function withoutDeprecated(type: RequestType | DeprecatedType): RequestType {
  if (!(type in DEPRECATED_TYPES)) return type as RequestType
  const instead = DEPRECATED_TYPES[type as DeprecatedType]
  throw new AppError(
    'invalid',
    `SyncRequestType.${type} is deprecated, use SyncRequestType.${instead} instead`,
  )
}

async function* withFirst(
  first: IteratorResult<string | Buffer>,
  lines: AsyncGenerator<string | Buffer>,
  end: () => void,
): AsyncGenerator<string | Buffer> {
  try {
    if (first.done) return
    yield first.value
    yield* lines
  } finally {
    // Where the first one is never taken, its generator would keep the connection.
    await lines.return(undefined)
    end()
  }
}

function sendLines(request: FastifyRequest, reply: FastifyReply, lines: Readable): FastifyReply {
  const timer = setTimeout(
    () =>
      lines.destroy(new AppError('too-slow', `A sync takes at most ${LONGEST_STREAM_MS / 60_000} minutes`)),
    LONGEST_STREAM_MS,
  )
  lines.once('close', () => clearTimeout(timer))
  reply.header('content-type', 'application/jsonlines+json; charset=utf-8')
  // Otherwise a proxy may keep the lines until the end.
  reply.header('x-accel-buffering', 'no')
  return reply.send(compressLines(request, reply, lines))
}
