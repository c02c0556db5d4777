import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { timelineBucketJson, timelineBuckets } from '../../../library/browsing/timeline.ts'
import { actorOf } from '../../access/authenticate.ts'
import { booleanText, parse, uuid } from '../../validate.ts'

/** `west,south,east,north` in degrees. */
const box = z.string().transform((value, context) => {
  const [west, south, east, north, ...rest] = value.split(',').map(Number)
  const isOnEarth =
    [west, east].every((x) => Math.abs(x!) <= 180) && [south, north].every((y) => Math.abs(y!) <= 90)
  if (rest.length > 0 || !isOnEarth) {
    context.addIssue({ code: 'custom', message: 'Give west,south,east,north in degrees' })
    return z.NEVER
  }
  return { west: west!, south: south!, east: east!, north: north! }
})

const bucketsQuery = z
  .object({
    userId: uuid.optional(),
    albumId: uuid.optional(),
    personId: uuid.optional(),
    tagId: uuid.optional(),
    visibility: z.enum(['timeline', 'archive', 'hidden', 'locked']).optional(),
    isFavorite: booleanText.optional(),
    isTrashed: booleanText.optional(),
    withPartners: booleanText.optional(),
    withStacked: booleanText.optional(),
    order: z.enum(['asc', 'desc']).optional(),
    orderBy: z.enum(['takenAt', 'createdAt']).optional(),
    bbox: box.optional(),
  })
  .transform(({ bbox, ...query }) => ({ ...query, box: bbox }))

const bucketQuery = z.object({
  // `2025-10-01` or a whole timestamp: its naive date counts, whatever the zone.
  timeBucket: z
    .string()
    .regex(/^(?!0000)\d{4}-(0[1-9]|1[0-2])-\d{2}(T.*)?$/, 'Give the first day of a month as YYYY-MM-DD'),
  withCoordinates: booleanText.optional(),
})

/** `/api/timeline`: the months, and the assets of one. */
export function registerTimelineRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = { config: { access: { who: 'user' as const, permission: 'asset.read' } } }

  app.get('/api/timeline/buckets', access, (request) =>
    timelineBuckets(db, actorOf(request), parse(bucketsQuery, request.query)),
  )
  app.get('/api/timeline/bucket', access, async (request, reply) => {
    const { timeBucket, withCoordinates } = parse(bucketQuery, request.query)
    const query = { ...parse(bucketsQuery, request.query), month: timeBucket, withCoordinates }
    const json = await timelineBucketJson(db, actorOf(request), query)
    return reply.type('application/json; charset=utf-8').send(json)
  })
}
