import { PassThrough } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import { publish } from '../../../database/events.ts'
import { AppError } from '../../../errors.ts'
import { type AdoptionReport, beginAdoption, emptyReport } from '../../../placement/takeover/adoption.ts'
import { planAdoption } from '../../../placement/takeover/plan-adoption.ts'
import { actorOf } from '../../access/authenticate.ts'
import { toErrorResponse } from '../../error-response.ts'
import type { HttpParts } from '../../parts.ts'
import { parse } from '../../validate.ts'

const locationParams = z.object({ locationId: z.string().min(1).max(100) })
/** A page that redraws more often helps nobody. */
const PROGRESS_MS = 250

/** One line of a plan. One that is done or failed is the last; without it the plan was cut off. */
type PlanLine =
  | { state: 'counting'; report: AdoptionReport }
  | { state: 'done'; report: AdoptionReport }
  | { state: 'failed'; message: string }

/** Glassine's own: what taking over a location would mean that another ledger has used, and doing it. */
export function registerAdoptionRoutes(app: FastifyInstance, { db, placement, log }: HttpParts): void {
  const access = { who: 'admin', permission: 'job.create' } as const
  const known = (params: unknown): string => {
    const { locationId } = parse(locationParams, params)
    if (placement.locations.has(locationId)) return locationId
    throw new AppError('not-found', `unknown location "${locationId}"`)
  }

  // A listing of a million files takes minutes: lines of JSON say how far it is, and it ends when the client
  // leaves.
  app.post(
    '/api/storage/locations/:locationId/adoption/plan',
    { config: { access } },
    async (request, reply) => {
      const locationId = known(request.params)
      const lines = new PassThrough()
      const say = (line: PlanLine) => {
        if (!lines.destroyed) lines.write(`${JSON.stringify(line)}\n`)
      }
      const gone = new AbortController()
      lines.once('close', () => gone.abort())
      say({ state: 'counting', report: emptyReport() })
      const onProgress = throttled((report) => say({ state: 'counting', report }))
      planAdoption(placement, locationId, { signal: gone.signal, onProgress })
        .then((report) => say({ state: 'done', report }))
        .catch((error: Error) => {
          if (gone.signal.aborted) return
          const told = { requestId: request.id, location: locationId, error: error.message }
          log.warn(told, 'an adoption could not be planned')
          say({ state: 'failed', message: toErrorResponse(error).body.message })
        })
        .finally(() => lines.end())
      reply.header('content-type', 'application/x-ndjson')
      reply.header('cache-control', 'no-store')
      // Otherwise a proxy may keep the lines until the end.
      reply.header('x-accel-buffering', 'no')
      return reply.send(lines)
    },
  )

  app.post('/api/storage/locations/:locationId/adoption', { config: { access } }, async (request, reply) => {
    const locationId = known(request.params)
    await beginAdoption(placement, locationId, `user ${actorOf(request).userId}`)
    await publish(db, { type: 'storage-changed' })
    return reply.status(202).send({ location: locationId })
  })
}

/** Without a timer: what is left out is older than what comes next. */
function throttled(act: (report: AdoptionReport) => void): (report: AdoptionReport) => void {
  let actedAt = performance.now()
  return (report) => {
    if (performance.now() - actedAt < PROGRESS_MS) return
    actedAt = performance.now()
    act(report)
  }
}
