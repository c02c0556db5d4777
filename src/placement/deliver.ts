/**
 * Ways out that lead past us: a signed URL of the bucket, or of a content delivery network in front of it. Which way a kind
 * of file goes is configuration; what can't go that way (not proven in the bucket, signed for too short a time, an
 * address that this client can't reach) is proxied.
 *
 * Signatures are made for windows: everything signed between `n * windowMs` and the next multiple is signed as of the
 * window's start and holds until the end of the one after. So a URL stays the same for a whole window, which lets
 * browsers keep what they fetched under it, and a redirect that is kept until its window ends leads to a URL that holds
 * for at least one window more.
 */
import type { ObjectKind } from '../database/schema.ts'
import type { Cdn } from '../storage/cdn.ts'
import { isOutOfReach } from './browser-reach.ts'
import { unitAt } from './cache.ts'
import { isCached } from './cache-store.ts'
import { adoptProbe, locationOf } from './locations.ts'
import { lookedUpLately } from './looked-up-lately.ts'
import type { Location, Placement } from './placement.ts'
import type { Replica, StoredObject } from './replicas.ts'

export type Way = 'proxy' | 'redirect' | 'cdn'

export type Delivery = {
  /** Kinds that are not named are proxied. */
  ways: { readonly [Kind in ObjectKind]?: Way }
  /** Whether clients that are not known to be browsers are redirected as well. */
  immichClients: 'proxy' | 'same'
  /** The least time for which a URL holds that a client is sent to; it holds for twice as long at most. */
  windowMs: number
  /** The network, and the location that it stands in front of. */
  cdn: { locationId: string; cdn: Cdn } | null
}

export const PROXY_EVERYTHING: Delivery = {
  ways: {},
  immichClients: 'proxy',
  windowMs: 3_600_000,
  cdn: null,
}

export type HandOverWish = {
  contentType: string
  contentDisposition: string
  /** Null: not a person in a browser who is logged in there. */
  browserOfUserId: string | null
  /** Of the pages of a browser, as in the Origin header; null: not known to be a browser. */
  pageOrigin: string | null
  /** Whether this client gets to an address that the configuration does not call public. */
  canReach(address: URL, options: { isPublic: boolean }): boolean
}

export type HandOver = {
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

export async function handOver(
  placement: Placement,
  object: StoredObject,
  readable: readonly Replica[],
  wish: HandOverWish,
): Promise<HandOver | null> {
  const { delivery } = placement
  const way = delivery.ways[object.kind] ?? 'proxy'
  if (way === 'proxy') return null
  const now = placement.now()
  const window = signingWindow(now, delivery.windowMs)
  const replica = readable.find(({ locationId }) =>
    way === 'cdn'
      ? locationId === delivery.cdn?.locationId
      : locationOf(placement, locationId).backend.presign !== undefined,
  )
  if (!replica) return null
  const location = locationOf(placement, replica.locationId)
  // A copy here is better than an address that does not answer; where there is none, our own 503 says when to come back.
  // A network may hold what the bucket behind it can't give now.
  if (isKnownToBeAway(location) && (way === 'redirect' || (await isAtHand(placement, object, readable))))
    return null
  if (way === 'redirect' && !(await keepsSignedGets(placement, location))) return null
  const file = { ...window, contentType: wish.contentType, contentDisposition: wish.contentDisposition }
  const isPublic = way === 'cdn' || location.hasPublicAddress === true
  let signed: { url: string; cookies: string[]; expiresAt: Date }
  if (way === 'cdn') {
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
  if (way === 'redirect' && pageOrigin !== null && (await isOutOfReach(placement, location.id, pageOrigin)))
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
  if (readable.some(({ locationId }) => locationOf(placement, locationId).kind === 'disk')) return true
  return placement.cache !== null && (await isCached(placement.cache, unitAt(placement.cache, object, 0)))
}

/** For how long the URL of a file of this kind holds at most that somebody was sent to just now, in milliseconds; 0: nobody is. */
export function longestHandOverMs({ ways, windowMs }: Delivery, kind: ObjectKind): number {
  return (ways[kind] ?? 'proxy') === 'proxy' ? 0 : 2 * windowMs
}

const told = new WeakSet<Location>()
const lately = lookedUpLately<Location, boolean>()

/**
 * Whether the place was seen to answer a signed URL as it was signed: its ranges, type and file name. The probe may have run
 * in another process, and is looked up every few seconds.
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

/** The window that a time lies in. Whole seconds, as signatures have them. */
export function signingWindow(
  now: Date,
  windowMs: number,
): { signedAt: Date; endsAt: Date; expiresAt: Date } {
  const start = Math.floor(now.getTime() / windowMs) * windowMs
  return {
    signedAt: new Date(start),
    endsAt: new Date(start + windowMs),
    expiresAt: new Date(start + 2 * windowMs),
  }
}

/** Scheme and host of all addresses that clients may be sent to: what the page's policy has to allow. */
export async function deliveryOrigins(placement: Placement): Promise<string[]> {
  const { delivery } = placement
  const ways = new Set(Object.values(delivery.ways))
  const origins: string[] = []
  if (ways.has('cdn') && delivery.cdn) origins.push(delivery.cdn.cdn.origin)
  if (ways.has('redirect')) origins.push(...(await bucketOrigins(placement)))
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
