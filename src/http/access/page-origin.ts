import type { FastifyRequest } from 'fastify'
import { z } from 'zod'
import { text } from '../validate.ts'

/** Where the page that asks comes from: browsers say so with every request that changes something. */
export function originOf(request: FastifyRequest): string {
  const named = request.headers.origin
  if (named !== undefined && URL.canParse(named) && /^https?:$/.test(new URL(named).protocol)) {
    return new URL(named).origin
  }
  return `${request.protocol}://${request.host}`
}

/** What a page found out about a location with the probe that it was offered. */
export const browserResult = z.object({
  why: z.enum(['cors', 'policy', 'mixed', 'unreachable', 'refused', 'incomplete']).nullable(),
  canUpload: z.boolean(),
  detail: text(300),
})
