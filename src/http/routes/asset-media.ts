import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { findOriginal, findPlayback, findThumbnail, KIND_OF_SIZE } from '../../library/asset-media.ts'
import type { FirstLook } from '../../library/first-look.ts'
import { lookForMedia, type MediaRows, type MediaWish } from '../../library/media-rows.ts'
import { findServable } from '../../placement/serve.ts'
import { actorOf, firstLookOf } from '../authenticate.ts'
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
    { loaded }: MediaRows,
    answer: { objectId: string; fileName?: string },
  ) =>
    sendObject(request, reply, await findServable(placement, answer.objectId, loaded), {
      fileName: answer.fileName,
      delivery: placement.delivery,
      log,
    })

  const thumbnail = firstLookOf((request) => lookFor(request, thumbnailKindOf(request)))
  app.get(
    '/api/assets/:id/thumbnail',
    {
      config: { access: { who: 'user', permission: 'asset.view' }, firstLook: thumbnail.firstLook },
    },
    async (request, reply) => {
      parse(idParams, request.params)
      const { size } = parse(thumbnailQuery, request.query)
      const media = thumbnail.foundBy(request)
      const answer = await findThumbnail(db, actorOf(request), media, size)
      if (!('seeInstead' in answer)) return send(request, reply, media, answer)
      return reply.redirect(siblingAddress(request, answer.seeInstead), 302)
    },
  )

  const original = firstLookOf((request) => lookFor(request, null))
  app.get(
    '/api/assets/:id/original',
    {
      config: { access: { who: 'user', permission: 'asset.download' }, firstLook: original.firstLook },
    },
    async (request, reply) => {
      parse(idParams, request.params)
      const media = original.foundBy(request)
      return send(request, reply, media, await findOriginal(db, actorOf(request), media))
    },
  )

  const playback = firstLookOf((request) => lookFor(request, 'encoded-video'))
  app.get(
    '/api/assets/:id/video/playback',
    {
      config: { access: { who: 'user', permission: 'asset.view' }, firstLook: playback.firstLook },
    },
    async (request, reply) => {
      parse(idParams, request.params)
      const media = playback.foundBy(request)
      return send(request, reply, media, await findPlayback(db, actorOf(request), media))
    },
  )
}

/** `kind` undefined: the request does not say, and will be refused. */
function lookFor(request: FastifyRequest, kind: MediaWish['kind'] | undefined): FirstLook<MediaRows> | null {
  const { data } = idParams.safeParse(request.params)
  return data === undefined || kind === undefined ? null : lookForMedia({ assetId: data.id, kind })
}

function thumbnailKindOf(request: FastifyRequest): MediaWish['kind'] | undefined {
  const { data } = thumbnailQuery.safeParse(request.query)
  return data && KIND_OF_SIZE[data.size]
}

/** Relative, so that it holds behind any proxy; the query (`edited`, `c`, a key) goes along. */
function siblingAddress(request: FastifyRequest, instead: 'original' | 'preview'): string {
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  query.delete('size')
  if (instead === 'preview') query.set('size', 'preview')
  const text = query.toString()
  return `${instead === 'original' ? 'original' : 'thumbnail'}${text ? `?${text}` : ''}`
}
