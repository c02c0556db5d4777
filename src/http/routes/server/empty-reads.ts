import type { FastifyInstance } from 'fastify'
import type { Database } from '../../../database/connect.ts'
import { requireAssets } from '../../../library/access.ts'
import { actorOf } from '../../access/authenticate.ts'
import { idParams, parse } from '../../validate.ts'

/**
 * Immich's clients make these reads even if the server lacks the feature. They are answered with the truth:
 * there are no people, shared links and so on here. Their writes do not exist and are 404, so that nothing
 * claims to have been done.
 */
const EMPTY_LISTS: { url: string; permission: string }[] = [
  { url: '/api/shared-links', permission: 'sharedLink.read' },
  { url: '/api/search/explore', permission: 'asset.read' },
  { url: '/api/search/cities', permission: 'asset.read' },
  { url: '/api/search/places', permission: 'asset.read' },
  { url: '/api/search/person', permission: 'person.read' },
]

export function registerEmptyReadRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const may = (permission: string) => ({ config: { access: { who: 'user' as const, permission } } })

  for (const { url, permission } of EMPTY_LISTS) app.get(url, may(permission), async () => [])

  app.get('/api/people', may('person.read'), async () => ({
    people: [],
    total: 0,
    hidden: 0,
    hasNextPage: false,
  }))

  // Those that belong to something the actor must be able to see.
  app.get('/api/faces', may('face.read'), async (request) => {
    await requireAssets(db, actorOf(request), [parse(idParams, request.query).id], 'asset.read')
    return []
  })
  app.get('/api/assets/:id/ocr', may('asset.read'), async (request) => {
    await requireAssets(db, actorOf(request), [parse(idParams, request.params).id], 'asset.read')
    return []
  })
}
