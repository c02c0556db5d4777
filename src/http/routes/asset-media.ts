import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { findOriginal, findPlayback, findThumbnail } from '../../library/asset-media.ts'
import { findServable } from '../../placement/serve.ts'
import { actorOf } from '../authenticate.ts'
import { sendObject } from '../send-object.ts'
import type { HttpParts } from '../server.ts'
import { idParams, parse } from '../validate.ts'

const thumbnailQuery = z.object({
  size: z.enum(['thumbnail', 'preview', 'fullsize', 'original']).default('thumbnail'),
})

export function registerAssetMediaRoutes(app: FastifyInstance, { db, placement, log }: HttpParts): void {
  const send = async (
    request: FastifyRequest,
    reply: FastifyReply,
    media: { objectId: string; fileName?: string },
  ) =>
    sendObject(request, reply, await findServable(placement, media.objectId), {
      fileName: media.fileName,
      delivery: placement.delivery,
      log,
    })

  app.get(
    '/api/assets/:id/thumbnail',
    { config: { access: { who: 'user', permission: 'asset.view' } } },
    async (request, reply) => {
      const { id } = parse(idParams, request.params)
      const { size } = parse(thumbnailQuery, request.query)
      const answer = await findThumbnail(db, actorOf(request), id, size)
      if (!('seeInstead' in answer)) return send(request, reply, answer)
      return reply.redirect(siblingAddress(request, answer.seeInstead), 302)
    },
  )

  app.get(
    '/api/assets/:id/original',
    { config: { access: { who: 'user', permission: 'asset.download' } } },
    async (request, reply) =>
      send(request, reply, await findOriginal(db, actorOf(request), parse(idParams, request.params).id)),
  )

  app.get(
    '/api/assets/:id/video/playback',
    { config: { access: { who: 'user', permission: 'asset.view' } } },
    async (request, reply) =>
      send(request, reply, await findPlayback(db, actorOf(request), parse(idParams, request.params).id)),
  )
}

/** Relative, so that it holds behind any proxy; the query (`edited`, `c`, a key) goes along. */
function siblingAddress(request: FastifyRequest, instead: 'original' | 'preview'): string {
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  query.delete('size')
  if (instead === 'preview') query.set('size', 'preview')
  const text = query.toString()
  return `${instead === 'original' ? 'original' : 'thumbnail'}${text ? `?${text}` : ''}`
}
