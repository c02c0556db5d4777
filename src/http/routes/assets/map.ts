import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { albumMarkersJson, markersJson } from '../../../library/map/markers.ts'
import { findPlace } from '../../../library/places/find-place.ts'
import { actorOf } from '../../access/authenticate.ts'
import { booleanText, idParams, instant, parse } from '../../validate.ts'

const flag = booleanText.optional()
const markersQuery = z.object({
  isArchived: flag,
  isFavorite: flag,
  fileCreatedAfter: instant.optional(),
  fileCreatedBefore: instant.optional(),
  withPartners: flag,
  withSharedAlbums: flag,
})

/** An empty text is no number: it would be 0. */
const degrees = (most: number) =>
  z
    .string()
    .refine((text) => text.trim() !== '', 'Invalid input: expected number, received NaN')
    .transform(Number)
    .pipe(z.number().min(-most).max(most))
const pointQuery = z.object({ lat: degrees(90), lon: degrees(180) })

/** `/api/map`: where photos were taken, and what a place is called. */
export function registerMapRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  app.get('/api/map/markers', may('map.read'), async (request, reply) =>
    sendJson(reply, await markersJson(db, actorOf(request), parse(markersQuery, request.query))),
  )
  app.get('/api/map/reverse-geocode', may('map.search'), async (request) => {
    const { lat, lon } = parse(pointQuery, request.query)
    return [findPlace({ latitude: lat, longitude: lon })]
  })
  app.get('/api/albums/:id/map-markers', may('album.read'), async (request, reply) => {
    const { id } = parse(idParams, request.params)
    return sendJson(reply, await albumMarkersJson(db, actorOf(request), id))
  })
}

function sendJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').send(json)
}
