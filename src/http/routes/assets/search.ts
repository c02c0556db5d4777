import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import {
  countAssets,
  searchAssets,
  searchRandomAssets,
  searchSuggestions,
} from '../../../library/browsing/search.ts'
import { actorOf } from '../../access/authenticate.ts'
import { LONG_BODY } from '../../bodies/limits.ts'
import { booleanText, idsUpTo, instant, parse, text, uuid } from '../../validate.ts'

const words = text(1000).optional()
const nullableWords = text(1000).nullish()
const flag = z.boolean().optional()
const time = instant.optional()

/**
 * What all searches share. Fields that are not named here (a device's ids, paths of previews) are ignored.
 */
const filterFields = {
  albumIds: idsUpTo(1000).optional(),
  isNotInAlbum: flag,
  type: z.enum(['IMAGE', 'VIDEO', 'AUDIO', 'OTHER']).optional(),
  visibility: z.enum(['timeline', 'archive', 'hidden', 'locked']).optional(),
  isFavorite: flag,
  isMotion: flag,
  isEncoded: flag,
  isOffline: flag,
  withDeleted: flag,
  takenAfter: time,
  takenBefore: time,
  createdAfter: time,
  createdBefore: time,
  updatedAfter: time,
  updatedBefore: time,
  trashedAfter: time,
  trashedBefore: time,
  city: nullableWords,
  state: nullableWords,
  country: nullableWords,
  make: nullableWords,
  model: nullableWords,
  lensModel: nullableWords,
  rating: z.number().int().min(-1).max(5).nullish(),
  personIds: idsUpTo(1000).optional(),
  tagIds: idsUpTo(1000).nullish(),
  ocr: words,
  libraryId: uuid.nullish(),
  // Finding nothing is better than a filter that is silently ignored.
  filter: z.undefined('Structured filters are not supported; use the plain fields').optional(),
}

const size = (fallback: number) => z.number().int().min(1).max(1000).default(fallback)

const metadataBody = z.object({
  ...filterFields,
  id: uuid.optional(),
  checksum: words,
  originalFileName: words,
  originalPath: words,
  description: words,
  page: z.number().int().min(1).max(1_000_000).default(1),
  size: size(250),
  cursor: text(500).optional(),
  order: z.enum(['asc', 'desc']).optional(),
  orderBy: z
    .object({
      field: z.enum(['fileCreatedAt', 'localDateTime', 'fileSizeInBytes', 'rating']).optional(),
      direction: z.enum(['asc', 'desc']).optional(),
    })
    .optional(),
  withExif: flag,
})
const randomBody = z.object({ ...filterFields, size: size(250), withExif: flag })
/** Immich counts by a description only; a page that shows how many were found counts by all that it shows. */
const statisticsBody = z.object({
  ...filterFields,
  description: words,
  originalFileName: words,
  originalPath: words,
})

const suggestionsQuery = z.object({
  type: z.enum(['country', 'state', 'city', 'camera-make', 'camera-model', 'camera-lens-model']),
  country: words,
  state: words,
  make: words,
  model: words,
  lensModel: words,
  includeNull: booleanText.optional(),
})

/** `/api/search`: by what is known of an asset. */
export function registerSearchRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({
    config: { access: { who: 'user' as const, permission }, body: LONG_BODY },
  })

  app.post('/api/search/metadata', may('asset.read'), async (request) => {
    const { page, size, cursor, order, orderBy, withExif, ...filter } = parse(metadataBody, request.body)
    const direction = orderBy?.direction ?? order ?? 'desc'
    const paging = {
      page,
      size,
      cursor,
      withExif,
      order: { field: orderBy?.field ?? 'fileCreatedAt', direction },
    }
    const assets = await searchAssets(db, actorOf(request), filter, paging)
    return { albums: { total: 0, count: 0, items: [], facets: [] }, assets }
  })
  app.post('/api/search/random', may('asset.read'), (request) => {
    const { size, withExif, ...filter } = parse(randomBody, request.body)
    return searchRandomAssets(db, actorOf(request), filter, { size, withExif })
  })
  app.post('/api/search/statistics', may('asset.statistics'), async (request) => ({
    total: await countAssets(db, actorOf(request), parse(statisticsBody, request.body)),
  }))
  app.get('/api/search/suggestions', may('asset.read'), (request) =>
    searchSuggestions(db, actorOf(request), parse(suggestionsQuery, request.query)),
  )
}
