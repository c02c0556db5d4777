/**
 * One put to a signed URL. The length is the body's own: browsers set that header, and let nobody else do it.
 */
import type { SignedRequest } from './protocol.ts'

export type PutOptions = { signal?: AbortSignal; onProgress?: (bytes: number) => void }
/** Resolves with the status of the answer, whatever it is. Rejects where there is none that may be read. */
export type Put = (request: SignedRequest, body: Blob, options?: PutOptions) => Promise<number>

/** Without progress within one put; for Node. Browsers have `put-xhr.ts`. */
export const putByFetch: Put = async ({ url, headers }, body, { signal, onProgress } = {}) => {
  const response = await fetch(url, { method: 'PUT', headers: withoutLength(headers), body, signal })
  await response.arrayBuffer()
  if (response.ok) onProgress?.(body.size)
  return response.status
}

export function withoutLength(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== 'content-length'))
}
