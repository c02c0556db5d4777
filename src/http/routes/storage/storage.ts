import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { publish } from '../../../database/events.ts'
import { exportReceipts, RECEIPT_FORMATS } from '../../../library/assets/receipt-export.ts'
import { receiptForActor } from '../../../library/assets/receipts.ts'
import { DEFAULT_READING_BUDGET } from '../../../library/processing/reading-budget.ts'
import { readingStatus } from '../../../library/processing/reading-status.ts'
import { storageFailures } from '../../../library/server/storage-failures.ts'
import { storageHealthFor, storageOverview } from '../../../library/server/storage-overview.ts'
import { ALL_LOCAL_FIRST } from '../../../library/uploads/upload-strategy.ts'
import { beginBrowserProbes, finishBrowserProbe } from '../../../placement/locations/browser-reach.ts'
import { MAX_DRILL_MINUTES, startDrill, stopDrill } from '../../../placement/locations/drill.ts'
import { probeLocation } from '../../../placement/locations/locations.ts'
import { acknowledgeChanges } from '../../../placement/locations/probe-changes.ts'
import { countLost } from '../../../placement/reports/status.ts'
import { askToReload } from '../../../queue/worker/reload-requests.ts'
import { actorOf } from '../../access/authenticate.ts'
import { browserResult, originOf } from '../../access/page-origin.ts'
import type { HttpParts } from '../../parts.ts'
import { idParams, parse, uuid } from '../../validate.ts'

/** A process that opens new locations looks at each for 10 s at most. */
const RELOAD_PATIENCE_MS = 30_000

const drillBody = z.object({
  location: z.string().min(1).max(100),
  minutes: z.int().min(1).max(MAX_DRILL_MINUTES),
})
const drillQuery = z.object({ location: z.string().min(1).max(100).optional() })
const receiptParams = z.object({ assetId: uuid })
const receiptsQuery = z.object({ format: z.enum(['csv', 'json']).default('json') })
const locationParams = z.object({ locationId: z.string().max(100) })

/** Glassine's own: is everything safe, where is it, what failed, are the places healthy. */
export function registerStorageRoutes(app: FastifyInstance, parts: HttpParts): void {
  const { db, pool, log, placement, config } = parts
  const ways = config.storage ?? ALL_LOCAL_FIRST
  const status = () => storageOverview({ db, placement }, ways)

  app.get(
    '/api/storage/status',
    { config: { access: { who: 'admin', permission: 'server.storage' } } },
    status,
  )

  app.get(
    '/api/storage/health',
    { config: { access: { who: 'user', permission: 'server.about' } } },
    async (request) => {
      const { places, ...health } = await storageHealthFor(placement, ways, actorOf(request))
      return actorOf(request).isAdmin ? { ...health, places, atRisk: await countLost(placement) } : health
    },
  )

  app.post(
    '/api/storage/drill',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) => {
      const { location, minutes } = parse(drillBody, request.body)
      const actor = `user ${actorOf(request).userId}`
      const drill = await startDrill(placement, { locationId: location, minutes, actor })
      return reply.status(201).send({
        location,
        startedAt: drill.startedAt.toISOString(),
        endsAt: drill.endsAt.toISOString(),
      })
    },
  )

  app.delete(
    '/api/storage/drill',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request) => ({
      stopped: await stopDrill(placement, parse(drillQuery, request.query).location ?? null),
    }),
  )

  app.get(
    '/api/storage/receipts/:assetId',
    { config: { access: { who: 'user', permission: 'asset.read' } } },
    async (request) =>
      receiptForActor({ db, placement }, actorOf(request), parse(receiptParams, request.params).assetId),
  )

  // Of all users for administrators, else one's own. It is made while it is sent.
  app.get(
    '/api/storage/receipts',
    { config: { access: { who: 'user', permission: 'asset.read' } } },
    async (request, reply) => {
      const { format } = parse(receiptsQuery, request.query)
      const { isAdmin, userId } = actorOf(request)
      const lines = exportReceipts(db, format, { ownerId: isAdmin ? null : userId })
      return reply
        .type(RECEIPT_FORMATS[format])
        .header(
          'content-disposition',
          `attachment; filename="receipts.${format === 'csv' ? 'csv' : 'jsonl'}"`,
        )
        .send(Readable.from(lines))
    },
  )

  app.post(
    '/api/storage/probe',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) => {
      const options = { origins: [originOf(request)] }
      const probed = [...placement.locations.keys()].map((id) => probeLocation(placement, id, options))
      // A location that can't be probed is not an error of this request: its health says so.
      await Promise.allSettled(probed)
      await publish(db, { type: 'storage-changed' })
      return reply.status(200).send(await status())
    },
  )

  app.post(
    '/api/storage/reload',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (_request, reply) =>
      reply.status(200).send({ processes: await askToReload({ pool, db, log }, RELOAD_PATIENCE_MS) }),
  )

  app.post(
    '/api/storage/browser-probes',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) =>
      reply.status(201).send({ probes: await beginBrowserProbes(placement, originOf(request)) }),
  )

  app.put(
    '/api/storage/browser-probes/:id',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request) => {
      const { id } = parse(idParams, request.params)
      const result = parse(browserResult, request.body)
      const reach = await finishBrowserProbe(placement, id, result, { isAdmins: true })
      await publish(db, { type: 'storage-changed' })
      return reach
    },
  )

  app.post(
    '/api/storage/locations/:locationId/acknowledge',
    { config: { access: { who: 'admin', permission: 'job.create' } } },
    async (request, reply) => {
      const { locationId } = parse(locationParams, request.params)
      if (await acknowledgeChanges(placement, locationId, actorOf(request).userId)) {
        await publish(db, { type: 'storage-changed' })
      }
      return reply.status(200).send(await status())
    },
  )

  app.get(
    '/api/storage/readings',
    { config: { access: { who: 'admin', permission: 'job.read' } } },
    async () => readingStatus({ db, placement }, config.reading ?? DEFAULT_READING_BUDGET),
  )

  app.get(
    '/api/storage/failures',
    { config: { access: { who: 'admin', permission: 'job.read' } } },
    async () => storageFailures(db),
  )
}
