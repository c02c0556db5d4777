/**
 * Redirects: presigned URLs of the bucket, or signed URLs of a content delivery network in front of it. Which
 * mode a kind of file has is configuration (`delivery-rules.ts`); what can't go that way (not proven in the
 * bucket, signed for too short a time, an address that this client can't reach) is proxied.
 */
import { unitAt } from '../cache/cache.ts'
import { isCached } from '../cache/store.ts'
import { signingWindow } from '../delivery-rules.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import type { Location } from '../location.ts'
import { isOutOfReach } from '../locations/browser-reach.ts'
import { adoptProbe, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { ttlCache } from '../ttl-cache.ts'

export type RedirectWish = {
  contentType: string
  contentDisposition: string
  /** Null: not a person in a browser who is logged in there. */
  browserOfUserId: string | null
  /** Of the pages of a browser, as in the Origin header; null: not known to be a browser. */
  pageOrigin: string | null
  /** Whether this client gets to an address that the configuration does not call public. */
  canReach(address: URL, options: { isPublic: boolean }): boolean
}

export type RedirectTarget = {
  url: string
  /** Values of `Set-Cookie`. */
  cookies: string[]
  /** How long the redirect may be kept. The URL holds for longer. */
  maxAgeSeconds: number
}

/** A redirect is followed within this time, or its URL counts as over. */
const TIME_TO_FOLLOW_MS = 60_000
/** Objects never change; what was deleted is to be gone from every cache within a day. */
const KEEP_SECONDS = 86_400

export async function redirectTarget(
  placement: Placement,
  object: StoredObject,
  readable: readonly Replica[],
  wish: RedirectWish,
): Promise<RedirectTarget | null> {
  const { delivery } = placement
  const mode = delivery.modes[object.kind] ?? 'proxy'
  if (mode === 'proxy') return null
  const now = placement.now()
  const window = signingWindow(now, delivery.windowMs)
  const replica = readable.find(({ locationId }) =>
    mode === 'cdn'
      ? locationId === delivery.cdn?.locationId
      : locationOf(placement, locationId).backend.presign !== undefined,
  )
  if (!replica) return null
  const location = locationOf(placement, replica.locationId)
  // A copy here is better than an address that does not answer; where there is none, our own 503 says when to
  // come back. A network may hold what the bucket behind it can't give now.
  if (isKnownToBeAway(location) && (mode === 'redirect' || (await isAtHand(placement, object, readable))))
    return null
  if (mode === 'redirect' && !(await keepsSignedGets(placement, location))) return null
  const file = { ...window, contentType: wish.contentType, contentDisposition: wish.contentDisposition }
  const isPublic = mode === 'cdn' || location.hasPublicAddress === true
  let signed: { url: string; cookies: string[]; expiresAt: Date }
  if (mode === 'cdn') {
    const isOwnersBrowser = wish.browserOfUserId === object.ownerId
    const cacheControl = `public, max-age=${KEEP_SECONDS}, immutable`
    signed = {
      ...delivery.cdn!.cdn.sign({ ...file, key: replica.key, cacheControl, isOwnersBrowser }),
      expiresAt: window.expiresAt,
    }
  } else {
    const cacheControl = `private, max-age=${KEEP_SECONDS}, immutable`
    try {
      signed = {
        ...(await location.backend.presign!.get(replica.key, { ...file, cacheControl })),
        cookies: [],
      }
    } catch (error) {
      placement.log.warn(
        { location: location.id, error: (error as Error).message },
        'a URL could not be signed; the file is proxied',
      )
      return null
    }
  }
  if (!wish.canReach(new URL(signed.url), { isPublic })) return null
  const { pageOrigin } = wish
  if (mode === 'redirect' && pageOrigin !== null && (await isOutOfReach(placement, location.id, pageOrigin)))
    return null
  const untilMs = Math.min(window.endsAt.getTime(), signed.expiresAt.getTime() - TIME_TO_FOLLOW_MS)
  const maxAgeSeconds = Math.floor((untilMs - now.getTime()) / 1000)
  if (maxAgeSeconds < 0) return null
  return { url: signed.url, cookies: signed.cookies, maxAgeSeconds }
}

/** Also while one trial is under way or due: until it was answered nobody is sent there. */
function isKnownToBeAway({ breaker }: Location): boolean {
  return breaker !== undefined && (breaker.state !== 'closed' || breaker.blockedFor !== null)
}

/** Whether it can be served without the bucket; of what is cached in pieces, whether its beginning can. */
async function isAtHand(
  placement: Placement,
  object: StoredObject,
  readable: readonly Replica[],
): Promise<boolean> {
  if (readable.some(({ locationId }) => locationId === placement.local.id)) return true
  return placement.cache !== null && (await isCached(placement.cache, unitAt(placement.cache, object, 0)))
}

const told = new WeakSet<Location>()
const lately = ttlCache<Location, boolean>()

/**
 * Whether the place was seen to answer a signed URL as it was signed: its ranges, type and file name. The
 * probe may have run in another process, and is looked up every few seconds.
 */
function keepsSignedGets(placement: Placement, location: Location): Promise<boolean> {
  return lately(location, 'signed gets', () => lookAtProbe(placement, location))
}

async function lookAtProbe(placement: Placement, location: Location): Promise<boolean> {
  await adoptProbe(placement, location)
  const { presignedGet } = location.backend.features
  if (presignedGet === true) told.delete(location)
  else if (!told.has(location)) {
    told.add(location)
    const why =
      presignedGet === false
        ? 'its probe saw signed URLs answered otherwise than they were signed'
        : 'its signed URLs were not probed yet'
    placement.log.warn({ location: location.id, why }, 'files are proxied instead of redirected')
  }
  return presignedGet === true
}

/** Scheme and host of all addresses that clients may be sent to: what the page's policy has to allow. */
export async function deliveryOrigins(placement: Placement): Promise<string[]> {
  const { delivery } = placement
  const modes = new Set(Object.values(delivery.modes))
  const origins: string[] = []
  if (modes.has('cdn') && delivery.cdn) origins.push(delivery.cdn.cdn.origin)
  if (modes.has('redirect')) origins.push(...(await bucketOrigins(placement)))
  return origins
}

/** Where presigned URLs lead. Told from the settings, without a request. */
export async function bucketOrigins({ locations }: Placement): Promise<string[]> {
  const origins: string[] = []
  for (const { backend } of locations.values()) {
    if (backend.presign) origins.push(await backend.presign.origin())
  }
  return origins
}
