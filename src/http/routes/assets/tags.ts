import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { Database } from '../../../database/connect.ts'
import { tagAssets, tagManyAssets, untagAssets } from '../../../library/tags/tag-assets.ts'
import {
  createTag,
  deleteTag,
  getTag,
  listTags,
  MAX_TAG_PATH,
  updateTag,
  upsertTags,
} from '../../../library/tags/tags.ts'
import { actorOf } from '../../access/authenticate.ts'
import { ID_LISTS, LONG_BODY } from '../../bodies/limits.ts'
import { idParams, ids, idsUpTo, list, parse, text, uuid } from '../../validate.ts'

const color = z
  .string()
  .regex(/^#?([0-9a-f]{3}|[0-9a-f]{4}|[0-9a-f]{6}|[0-9a-f]{8})$/i, 'Give a colour as #rrggbb')
  .transform((value) => (value.startsWith('#') ? value : `#${value}`))
  .nullish()
const path = text(MAX_TAG_PATH)
const createBody = z.object({
  name: path.transform((name) => name.trim()).pipe(z.string().min(1)),
  parentId: uuid.nullish(),
  color,
})
const upsertBody = z.object({ tags: list(path, { max: 1_000 }) })
const updateBody = z.object({ color })
const idsBody = z.object({ ids })
const bulkBody = z.object({ tagIds: idsUpTo(1_000), assetIds: ids })

/** `/api/tags`. */
export function registerTagRoutes(app: FastifyInstance, { db }: { db: Database }): void {
  const access = (permission: string) => ({ who: 'user' as const, permission })
  const may = (permission: string) => ({ config: { access: access(permission) } })
  const mayListing = (permission: string) => ({ config: { access: access(permission), body: ID_LISTS } })

  app.get('/api/tags', may('tag.read'), (request) => listTags(db, actorOf(request)))
  app.post('/api/tags', may('tag.create'), async (request, reply) => {
    const { name, parentId = null, color = null } = parse(createBody, request.body)
    return reply.status(201).send(await createTag(db, actorOf(request), { name, parentId, color }))
  })
  app.put('/api/tags', { config: { access: access('tag.create'), body: LONG_BODY } }, (request) =>
    upsertTags(db, actorOf(request), parse(upsertBody, request.body).tags),
  )
  app.put('/api/tags/assets', mayListing('tag.asset'), async (request) => {
    const { tagIds, assetIds } = parse(bulkBody, request.body)
    return { count: await tagManyAssets(db, actorOf(request), tagIds, assetIds) }
  })
  app.get('/api/tags/:id', may('tag.read'), (request) =>
    getTag(db, actorOf(request), parse(idParams, request.params).id),
  )
  app.route({
    method: ['PUT', 'PATCH'],
    url: '/api/tags/:id',
    ...may('tag.update'),
    handler: (request) =>
      updateTag(db, actorOf(request), parse(idParams, request.params).id, parse(updateBody, request.body)),
  })
  app.delete('/api/tags/:id', may('tag.delete'), async (request, reply) => {
    await deleteTag(db, actorOf(request), parse(idParams, request.params).id)
    return reply.status(204).send()
  })
  app.put('/api/tags/:id/assets', mayListing('tag.asset'), (request) => {
    const { id } = parse(idParams, request.params)
    return tagAssets(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
  app.delete('/api/tags/:id/assets', mayListing('tag.asset'), (request) => {
    const { id } = parse(idParams, request.params)
    return untagAssets(db, actorOf(request), id, parse(idsBody, request.body).ids)
  })
}
