/**
 * Which clients may be redirected for a file, and what they can reach. In doubt the file is proxied: every
 * client can read what we send ourselves.
 */
import { BlockList, isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import type { Delivery } from '../../placement/delivery-rules.ts'
import { COOKIES } from '../access/authenticate.ts'

/**
 * A browser that shows a file, or follows a link to it: a link with `download` has the destination `empty`.
 * No script can ask in the mode `navigate`, and what scripts fetch would need the bucket's CORS settings.
 */
const BROWSER_DESTINATIONS = new Map([
  ['no-cors', ['image', 'video', 'audio']],
  ['navigate', ['document', 'empty']],
])
/** Some clients send this along wherever they are redirected, and S3 refuses it beside a signed URL. */
const CREDENTIAL_HEADERS = ['authorization', 'x-api-key', 'x-immich-user-token', 'x-immich-session-token']
/** Set by proxies between the client and us. */
const FORWARDED_HEADERS = ['x-forwarded-for', 'forwarded', 'via', 'x-real-ip']

/**
 * A browser, whose session is in its cookie: it says so in headers that no script and no other client sets
 * (`Sec-Fetch-*`, on https and localhost only).
 */
export function isBrowser(request: FastifyRequest): boolean {
  const { headers } = request
  const destinations = BROWSER_DESTINATIONS.get(String(headers['sec-fetch-mode'])) ?? []
  return (
    destinations.includes(String(headers['sec-fetch-dest'])) &&
    request.cookies[COOKIES.accessToken] !== undefined &&
    CREDENTIAL_HEADERS.every((name) => headers[name] === undefined)
  )
}

/**
 * Whether the answer may be a redirect at all. `?delivery=proxy` and `?delivery=redirect` say so for one
 * request.
 */
export function mayRedirect(request: FastifyRequest, { immichClients }: Delivery): boolean {
  // HEAD is answered from the ledger; a range that depends on our ETag means nothing elsewhere.
  if (request.method !== 'GET' || request.headers['if-range'] !== undefined) return false
  const { delivery } = request.query as { delivery?: unknown }
  if (delivery === 'proxy') return false
  return delivery === 'redirect' || immichClients === 'same' || isBrowser(request)
}

/**
 * Whether the client can reach an address. One of this machine or of a private network can be reached by
 * clients of the same only, unless the configuration says that it is public. A page that came by https can't
 * show what comes by http.
 */
export function canReach(
  request: FastifyRequest,
  address: URL,
  { isPublic }: { isPublic: boolean },
): boolean {
  if (address.protocol === 'http:' && isSecure(request)) return false
  if (isPublic) return true
  const place = placeOf(address.hostname)
  if (place === 'public') return true
  if (place === 'unknown') return false
  // Behind a proxy that the configuration does not trust, everybody has the proxy's address.
  const isWrittenThrough = FORWARDED_HEADERS.some((name) => name in request.headers)
  if (isWrittenThrough && request.ip === request.socket.remoteAddress) return false
  const from = placeOf(request.ip)
  if (place === 'private') return from === 'private' || from === 'loopback'
  // Through a tunnel the client has our loopback address, too, but hardly asks for it by that name.
  return from === 'loopback' && placeOf(hostOf(request.headers.host)) === 'loopback'
}

function isSecure(request: FastifyRequest): boolean {
  return request.protocol === 'https' || /^https/i.test(String(request.headers['x-forwarded-proto'] ?? ''))
}

function hostOf(header: string | undefined): string {
  return URL.canParse(`http://${header}`) ? new URL(`http://${header}`).hostname : ''
}

type Place = 'loopback' | 'private' | 'public' | 'unknown'

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

const PRIVATE = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const)
  PRIVATE.addSubnet(network, bits, 'ipv4')
PRIVATE.addAddress('::', 'ipv6')
PRIVATE.addSubnet('fc00::', 7, 'ipv6')
PRIVATE.addSubnet('fe80::', 10, 'ipv6')

/**
 * Names without a dot, and those of private zones, mean what the resolver of one network says: nobody else's.
 */
export function placeOf(host: string): Place {
  const name = host.replace(/^\[|\]$/g, '').toLowerCase()
  const version = isIP(name)
  if (version !== 0) {
    const family = version === 4 ? 'ipv4' : 'ipv6'
    // IPv4 addresses within IPv6 (::ffff:10.0.0.1) are checked against the IPv4 networks as well.
    if (LOOPBACK.check(name, family)) return 'loopback'
    return PRIVATE.check(name, family) ? 'private' : 'public'
  }
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback'
  return !name.includes('.') || /\.(local|lan|home|internal|intranet|home\.arpa|svc|test)$/.test(name)
    ? 'unknown'
    : 'public'
}
