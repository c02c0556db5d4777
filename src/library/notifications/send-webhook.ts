/** A webhook as standardwebhooks.com describes it, so that receivers can use its libraries. */
import { createHmac } from 'node:crypto'
import type { Sent } from './send-email.ts'
import type { WebhookSettings } from './settings.ts'

const ANSWER_MS = 10_000
const PREFIX = 'whsec_'

/** @throws unless it is answered with 2xx in time; the error holds neither the secret nor the URL's path */
export async function sendWebhook(
  { url, secret }: WebhookSettings,
  { id, at, message }: Sent,
  signal?: AbortSignal,
): Promise<void> {
  const { kind, state, level, title, text } = message
  const body = JSON.stringify({
    type: `alert.${state}`,
    timestamp: at.toISOString(),
    data: { kind, level, title, text },
  })
  const seconds = String(Math.floor(Date.now() / 1_000))
  const { host } = new URL(url)
  const inTime = AbortSignal.timeout(ANSWER_MS)
  let response: Response
  try {
    response = await fetch(url, {
      method: 'POST',
      body,
      // A redirect could lead anywhere; the one who configures it names the place itself.
      redirect: 'manual',
      signal: signal === undefined ? inTime : AbortSignal.any([inTime, signal]),
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Glassine',
        'webhook-id': id,
        'webhook-timestamp': seconds,
        'webhook-signature': signWebhook(secret, { id, seconds, body }),
      },
    })
  } catch (error) {
    const { message: what, cause } = error as Error & { cause?: { code?: string } }
    const why = inTime.aborted ? `no answer within ${ANSWER_MS / 1_000} s` : (cause?.code ?? what)
    throw new Error(`notifications.webhook: ${host}: ${why}`, { cause: error })
  }
  await response.body?.cancel()
  if (response.ok) return
  const why =
    response.status >= 300 && response.status < 400
      ? ', a redirect, which is not followed: configure the URL that it leads to'
      : ''
  throw new Error(`notifications.webhook: ${host} answered ${response.status}${why}`)
}

/** The header `webhook-signature`: HMAC-SHA256 of id, time and body, in base64 behind `v1,`. */
export function signWebhook(
  secret: string,
  { id, seconds, body }: { id: string; seconds: string; body: string },
): string {
  const key = secret.startsWith(PREFIX)
    ? Buffer.from(secret.slice(PREFIX.length), 'base64')
    : Buffer.from(secret, 'utf8')
  return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
}
