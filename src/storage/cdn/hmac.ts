/**
 * Addresses for networks that can run a check of ours: a worker, njs in nginx. docs/delivery.md holds the
 * recipe.
 */
import { createHmac } from 'node:crypto'
import { addressOf, type Cdn, epochSeconds } from './cdn.ts'

export type HmacCdnSettings = {
  baseUrl: string
  /** The UTF-8 bytes of this text are the key. */
  secret: string
  keyPrefix: string
}

/**
 * What is signed is the address as it is requested: path and query, exactly as they stand in the request
 * line, up to but without `&signature=`, which is last. HMAC-SHA-256, base64url without padding.
 */
export function openHmacCdn({ baseUrl, secret, keyPrefix }: HmacCdnSettings): Cdn {
  const { origin } = new URL(baseUrl)
  return {
    origin,
    sign(file) {
      const url = `${addressOf(baseUrl, keyPrefix, file)}&expires=${epochSeconds(file.expiresAt)}`
      const signature = createHmac('sha256', secret).update(url.slice(origin.length)).digest('base64url')
      return { url: `${url}&signature=${signature}`, cookies: [] }
    },
    endCookies: () => [],
  }
}
