import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { askCampaign, CAMPAIGN_ACTIONS } from '../../../library/campaigns/act.ts'
import { KIND_KEYS, limitsOf, planOf } from '../../../library/campaigns/campaign-plan.ts'
import { campaignReach } from '../../../library/campaigns/campaign-reach.ts'
import { limitCampaign, proposeCampaign } from '../../../placement/migration/actions.ts'
import { loadCampaign } from '../../../placement/migration/campaign-rows.ts'
import {
  campaignObjects,
  campaignStatus,
  campaignStatuses,
} from '../../../placement/migration/campaign-status.ts'
import { estimateCampaign } from '../../../placement/migration/estimate.ts'
import { CAMPAIGN_OBJECT_STATES } from '../../../placement/migration/object-states.ts'
import { actorOf } from '../../access/authenticate.ts'
import type { HttpParts } from '../../parts.ts'
import { idParams, parse } from '../../validate.ts'

const location = z.string().min(1).max(100)
const days = z.number().int().max(36_500).nullish()
const limitsBody = z.object({
  bytesPerSecond: z.number().int().min(1).max(1e12).nullish(),
  hours: z.object({ from: z.string().max(5), until: z.string().max(5) }).nullish(),
  workers: z.number().int().min(1).max(4).optional(),
  holdHours: z.number().int().min(0).max(8_760).optional(),
})
const campaignBody = z.object({
  kinds: z.array(z.enum(KIND_KEYS)).min(1).max(KIND_KEYS.length),
  from: z.array(location).max(20),
  to: z.array(location).min(1).max(20),
  users: z.array(z.uuid()).min(1).max(1_000).nullish(),
  albums: z.array(z.uuid()).min(1).max(1_000).nullish(),
  olderThanDays: days.refine((given) => given == null || given >= 0, 'must be 0 or more'),
  youngerThanDays: days.refine((given) => given == null || given >= 1, 'must be 1 or more'),
  limits: limitsBody.optional(),
})
const actionBody = z.object({ action: z.enum(CAMPAIGN_ACTIONS) })
const objectsQuery = z.object({
  state: z.enum(CAMPAIGN_OBJECT_STATES),
  after: z.uuid().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
})

/** Glassine's own: files move from some locations to others, step by step. */
export function registerCampaignRoutes(app: FastifyInstance, { placement }: HttpParts): void {
  const looks = { access: { who: 'admin', permission: 'server.storage' } } as const
  const acts = { access: { who: 'admin', permission: 'job.create' } } as const

  app.get('/api/storage/campaigns', { config: looks }, async () => ({
    isOn: placement.settings.campaigns,
    rollout: placement.settings.rollout,
    campaigns: await campaignStatuses(placement),
  }))

  app.post('/api/storage/campaigns/estimate', { config: acts }, async (request, reply) => {
    const plan = planOf(parse(campaignBody, request.body))
    return reply.status(200).send(await estimateCampaign(placement, plan, await campaignReach(placement)))
  })

  app.post('/api/storage/campaigns', { config: acts }, async (request, reply) => {
    const plan = planOf(parse(campaignBody, request.body))
    const actor = `user ${actorOf(request).userId}`
    const id = await proposeCampaign(placement, plan, { actor, reason: 'asked' })
    return reply.status(201).send(await campaignStatus(placement, id))
  })

  app.get('/api/storage/campaigns/:id', { config: looks }, async (request) => {
    const { id } = parse(idParams, request.params)
    return campaignStatus(placement, id)
  })

  app.get('/api/storage/campaigns/:id/estimate', { config: looks }, async (request) => {
    const { id } = parse(idParams, request.params)
    const campaign = await loadCampaign(placement.db, id)
    return estimateCampaign(placement, campaign, await campaignReach(placement))
  })

  app.get('/api/storage/campaigns/:id/objects', { config: looks }, async (request) => {
    const { id } = parse(idParams, request.params)
    const { state, after = null, limit } = parse(objectsQuery, request.query)
    const objects = await campaignObjects(placement, id, { state, after, limit })
    return { objects, next: objects.length === limit ? (objects.at(-1)?.objectId ?? null) : null }
  })

  app.post('/api/storage/campaigns/:id/actions', { config: acts }, async (request, reply) => {
    const { id } = parse(idParams, request.params)
    const { action } = parse(actionBody, request.body)
    const reverseId = await askCampaign(placement, id, action, `user ${actorOf(request).userId}`)
    return reply.status(202).send({ ...(await campaignStatus(placement, id)), reverseId })
  })

  app.put('/api/storage/campaigns/:id/limits', { config: acts }, async (request) => {
    const { id } = parse(idParams, request.params)
    await limitCampaign(placement, id, limitsOf(parse(limitsBody, request.body)))
    return campaignStatus(placement, id)
  })
}
