/**
 * Does this browser reach the bucket by itself? Only a page can tell: a bucket may answer the server and
 * still be closed to browsers (CORS), unknown to them (an address of the inner network) or forbidden (a page
 * over HTTPS, a bucket over HTTP).
 */
import type { BrowserProbeOffer, BrowserProbeResult } from '../../api-types.ts'

const LIMIT_MS = 20_000
const FROM = 100
const TO = 199

type Finding = Omit<BrowserProbeResult, 'canUpload'>

export type ProbingPage = {
  /** Of the page. */
  protocol: string
  fetch: typeof fetch
  /** Whether the page's own policy has refused a request to that origin since it was asked to watch. */
  watchPolicy(origin: string): { hasRefused(): boolean; stop(): void }
}

/** Puts what it is given, then gets some of it back. Never throws: what stood in the way is the result. */
export async function tryBucket(offer: BrowserProbeOffer, page: ProbingPage): Promise<BrowserProbeResult> {
  let canUpload = false
  const onUploaded = () => {
    canUpload = true
  }
  const finding = await tryBoth(offer, page, onUploaded)
  return { ...finding, canUpload }
}

async function tryBoth(
  offer: BrowserProbeOffer,
  page: ProbingPage,
  onUploaded: () => void,
): Promise<Finding> {
  const url = new URL(offer.put.url)
  if (page.protocol === 'https:' && url.protocol === 'http:' && !isLoopback(url.hostname)) {
    return {
      why: 'mixed',
      detail: `this page came over HTTPS and ${url.host} speaks HTTP only, which browsers refuse`,
    }
  }
  const body = Uint8Array.from(atob(offer.body), (char) => char.charCodeAt(0))
  const policy = page.watchPolicy(url.origin)
  const send = (to: string, init: RequestInit) =>
    page.fetch(to, { ...init, credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(LIMIT_MS) })
  try {
    const put = await send(offer.put.url, { method: 'PUT', headers: offer.put.headers, body })
    if (!put.ok) return { why: 'refused', detail: `the upload was answered ${put.status}` }
    onUploaded()
    if (put.headers.get('etag') === null) {
      return { why: 'incomplete', detail: 'the upload worked, but its ETag is not shown to pages' }
    }
    return await tryGet(offer, body, send)
  } catch {
    // A browser says no more than that it failed.
    if (policy.hasRefused()) return { why: 'policy', detail: `this page may not speak to ${url.host}` }
    const answers = await send(offer.get.url, { mode: 'no-cors' }).then(
      () => true,
      () => false,
    )
    if (answers)
      return { why: 'cors', detail: `${url.host} answers, but not to pages of this address (CORS)` }
    return { why: 'unreachable', detail: `this browser does not reach ${url.host}` }
  } finally {
    policy.stop()
  }
}

async function tryGet(
  offer: BrowserProbeOffer,
  body: Uint8Array,
  send: (to: string, init: RequestInit) => Promise<Response>,
): Promise<Finding> {
  let got: Response
  try {
    got = await send(offer.get.url, { headers: { range: `bytes=${FROM}-${TO}` } })
  } catch {
    return { why: 'cors', detail: 'the upload worked, but pages of this address may not download (CORS)' }
  }
  if (got.status !== 206) return { why: 'refused', detail: `a part of the file was answered ${got.status}` }
  const part = new Uint8Array(await got.arrayBuffer())
  const isRight = part.length === TO - FROM + 1 && part.every((byte, at) => byte === body[FROM + at])
  if (!isRight)
    return { why: 'incomplete', detail: 'the part that came back is not the one that was asked for' }
  return { why: null, detail: 'uploads, the ETag and downloads in parts work' }
}

/** Browsers take these for safe, HTTPS or not. */
function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
}
