import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import {
  findOriginal,
  findPlayback,
  findThumbnail,
  KIND_OF_SIZE,
} from '../../../library/assets/asset-media.ts'
import { findMedia, type MediaRows } from '../../../library/assets/media-rows.ts'
import { findServable } from '../../../placement/reads/serve.ts'
import { type AuthenticatedQuery, actorOf, foundBy } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { sendObject } from '../../send/send-object.ts'
import { idParams, parse } from '../../validate.ts'

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

  app.get(
    '/api/assets/:id/thumbnail',
    { config: { access: { who: 'user', permission: 'asset.view' }, authenticatedQuery: thumbnailRows } },
    async (request, reply) => {
      parse(idParams, request.params)
      const { size } = parse(thumbnailQuery, request.query)
      const media = foundBy(thumbnailRows, request)
      const answer = await findThumbnail(db, actorOf(request), media, size)
      if (!('seeInstead' in answer)) return send(request, reply, media, answer)
      return reply.redirect(siblingAddress(request, answer.seeInstead), 302)
    },
  )

  const wholeFiles = [
    {
      path: '/api/assets/:id/original',
      permission: 'asset.download',
      rows: originalRows,
      find: findOriginal,
    },
    {
      path: '/api/assets/:id/video/playback',
      permission: 'asset.view',
      rows: playbackRows,
      find: findPlayback,
    },
  ] as const
  for (const { path, permission, rows, find } of wholeFiles)
    app.get(
      path,
      {
        config: {
          access: { who: 'user', permission },
          authenticatedQuery: rows,
          readsSpeculatively: true,
        },
      },
      async (request, reply) => {
        parse(idParams, request.params)
        const media = foundBy(rows, request)
        return send(request, reply, media, await find(db, actorOf(request), media))
      },
    )
}

const thumbnailRows: AuthenticatedQuery<MediaRows> = (request, db, credentials) => {
  const { data: params } = idParams.safeParse(request.params)
  const { data: query } = thumbnailQuery.safeParse(request.query)
  return params && query
    ? findMedia(db, credentials, { assetId: params.id, kind: KIND_OF_SIZE[query.size] })
    : null
}

const rowsOfKind =
  (kind: Parameters<typeof findMedia>[2]['kind']): AuthenticatedQuery<MediaRows> =>
  (request, db, credentials) => {
    const { data } = idParams.safeParse(request.params)
    return data ? findMedia(db, credentials, { assetId: data.id, kind }) : null
  }
const originalRows = rowsOfKind(null)
const playbackRows = rowsOfKind('encoded-video')

/** Relative, so that it holds behind any proxy; the query (`edited`, `c`, a key) goes along. */
function siblingAddress(request: FastifyRequest, instead: 'original' | 'preview'): string {
  const query = new URLSearchParams(request.url.split('?')[1] ?? '')
  query.delete('size')
  if (instead === 'preview') query.set('size', 'preview')
  const text = query.toString()
  return `${instead === 'original' ? 'original' : 'thumbnail'}${text ? `?${text}` : ''}`
}
