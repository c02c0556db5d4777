import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { findOriginal, findPlayback, findThumbnail, KIND_OF_SIZE } from '../../library/asset-media.ts'
import type { MediaWish } from '../../library/media-rows.ts'
import { findServable } from '../../placement/serve.ts'
import { actorOf, mediaOf } from '../authenticate.ts'
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
    answer: { objectId: string; fileName?: string },
  ) =>
    sendObject(request, reply, await findServable(placement, answer.objectId, mediaOf(request).loaded), {
      fileName: answer.fileName,
      delivery: placement.delivery,
      log,
    })

  app.get(
    '/api/assets/:id/thumbnail',
    { config: { access: { who: 'user', permission: 'asset.view' }, media: thumbnailWish } },
    async (request, reply) => {
      parse(idParams, request.params)
      const { size } = parse(thumbnailQuery, request.query)
      const answer = await findThumbnail(db, actorOf(request), mediaOf(request), size)
      if (!('seeInstead' in answer)) return send(request, reply, answer)
      return reply.redirect(siblingAddress(request, answer.seeInstead), 302)
    },
  )

  app.get(
    '/api/assets/:id/original',
    { config: { access: { who: 'user', permission: 'asset.download' }, media: wishFor(null) } },
    async (request, reply) => {
      parse(idParams, request.params)
      return send(request, reply, await findOriginal(db, actorOf(request), mediaOf(request)))
    },
  )

  app.get(
    '/api/assets/:id/video/playback',
    { config: { access: { who: 'user', permission: 'asset.view' }, media: wishFor('encoded-video') } },
    async (request, reply) => {
      parse(idParams, request.params)
      return send(request, reply, await findPlayback(db, actorOf(request), mediaOf(request)))
    },
  )
}

function wishFor(kind: MediaWish['kind']) {
  return (request: FastifyRequest): MediaWish | null => {
    const { data } = idParams.safeParse(request.params)
    return data === undefined ? null : { assetId: data.id, kind }
  }
}

function thumbnailWish(request: FastifyRequest): MediaWish | null {
  const { data } = thumbnailQuery.safeParse(request.query)
  return data === undefined ? null : wishFor(KIND_OF_SIZE[data.size])(request)
}

/** Relative, so that it holds behind any proxy; the query (`edited`, `c`, a key) goes along. */
function siblingAddress(request: FastifyRequest, instead: 'original' | 'preview'): string {
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  query.delete('size')
  if (instead === 'preview') query.set('size', 'preview')
  const text = query.toString()
  return `${instead === 'original' ? 'original' : 'thumbnail'}${text ? `?${text}` : ''}`
}
