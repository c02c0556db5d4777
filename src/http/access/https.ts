import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/** Half a year. */
const HSTS_SECONDS = 15_552_000

/**
 * Whether the browser came by https: a proxy that the configuration trusts says so, or the request is for the
 * public URL, and that is one of https.
 */
export function isHttps(request: FastifyRequest, publicUrl: string | null): boolean {
  if (request.protocol === 'https') return true
  if (publicUrl === null) return false
  const { protocol, host } = new URL(publicUrl)
  return protocol === 'https:' && hostOf(request) === host
}

/**
 * The value of `Strict-Transport-Security`, by which a browser never again asks this name by plain http; null
 * where that would shut somebody out: on addresses of one machine or without a name, and where https is not
 * on its own port, since the header holds for all ports of the name, and something else may answer at 80.
 */
export function strictTransport(request: FastifyRequest, publicUrl: string | null): string | null {
  if (!isHttps(request, publicUrl)) return null
  const host = hostOf(request)
  if (host === null) return null
  const { hostname, port } = new URL(`https://${host}`)
  const isNamed = isIP(hostname.replace(/^\[|\]$/g, '')) === 0 && hostname.includes('.')
  if (!isNamed || hostname.endsWith('.localhost') || port !== '') return null
  return `max-age=${HSTS_SECONDS}`
}

/** Without the port of https; null for what is no host. */
function hostOf({ host }: FastifyRequest): string | null {
  const url = `https://${host}`
  return URL.canParse(url) ? new URL(url).host : null
}
