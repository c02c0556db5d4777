import type { S3Connection } from './client.ts'
import type { KeyAddress } from './key-address.ts'
import { atTheService, type Signature } from './signature.ts'

/** Signs a request for one key that somebody else will send, with exactly these headers. */
export type SignUrl = (
  method: 'GET' | 'PUT',
  fullKey: string,
  what: {
    /** The SDK's name of the operation, which goes into the URL, as its own does. */
    operation: 'GetObject' | 'PutObject' | 'UploadPart'
    query?: Readonly<Record<string, string | undefined>>
    /** Names in lower case. */
    headers?: Readonly<Record<string, string>>
    /** From when on the signature holds; absent: now. */
    signedAt?: Date | undefined
    expiresInSeconds: number
  },
) => Promise<{
  url: string
  /**
   * Earlier than asked for where the credentials, those of a role, end before: what they signed ends with
   * them.
   */
  expiresAt: Date
}>

/** Credentials and clock are those of the connection; the addresses may be others than it sends to. */
export function openSignUrl(
  { client, http }: S3Connection,
  { addressOf, signature }: { addressOf(fullKey: string): Promise<KeyAddress>; signature: Signature },
): SignUrl {
  return async (method, fullKey, { operation, query = {}, headers = {}, signedAt, expiresInSeconds }) => {
    const [{ base, path }, credentials] = await Promise.all([addressOf(fullKey), client.config.credentials()])
    const parameters: Record<string, string> = { 'x-id': operation }
    for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters[name] = value
    const from = signedAt ?? new Date()
    const signed = signature.inQuery({
      method,
      host: base.host,
      path,
      query: parameters,
      headers,
      at: atTheService(from, http.clockSkewMs()),
      expiresInSeconds,
      credentials,
    })
    const expiresAt = new Date(from.getTime() + expiresInSeconds * 1000)
    const { expiration } = credentials
    const isShorter = expiration !== undefined && expiration < expiresAt
    return { url: `${base.origin}${path}?${signed}`, expiresAt: isShorter ? expiration : expiresAt }
  }
}
