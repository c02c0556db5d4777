/**
 * How files get to people: through this server (`proxy`), or by a redirect to a URL that is signed by the
 * bucket or by a content delivery network in front of it.
 *
 * Signatures are made for windows: everything signed between `n * windowMs` and the next multiple is signed
 * as of the window's start and holds until the end of the one after. So a URL stays the same for a whole
 * window, which lets browsers keep what they fetched under it, and a redirect that is kept until its window
 * ends leads to a URL that holds for at least one window more.
 */
import type { ObjectKind } from '../database/schema.ts'
import type { Cdn } from '../storage/cdn/cdn.ts'

export type DeliveryMode = 'proxy' | 'redirect' | 'cdn'

export type Delivery = {
  /** Kinds that are not named are proxied. */
  modes: { readonly [Kind in ObjectKind]?: DeliveryMode }
  /** Whether clients that are not known to be browsers are redirected as well. */
  immichClients: 'proxy' | 'same'
  /** How long a URL holds, at least, when a client is sent to it; it holds for twice as long at most. */
  windowMs: number
  /** The network, and the location that it stands in front of. */
  cdn: { locationId: string; cdn: Cdn } | null
}

export const PROXY_EVERYTHING: Delivery = {
  modes: {},
  immichClients: 'proxy',
  windowMs: 3_600_000,
  cdn: null,
}

/**
 * How long, at most, the URL of a file of this kind holds when a client is sent to it now, in milliseconds;
 * 0: no client is.
 */
export function longestRedirectMs({ modes, windowMs }: Delivery, kind: ObjectKind): number {
  return (modes[kind] ?? 'proxy') === 'proxy' ? 0 : 2 * windowMs
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
