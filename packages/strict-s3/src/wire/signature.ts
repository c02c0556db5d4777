/**
 * The arithmetic of AWS Signature Version 4, S3's flavour (paths are encoded once, not twice).
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac } from 'node:crypto'

/** What is signed. `path` and `query` are decoded; header names are lower-case, values as on the wire. */
export type SignedParts = {
  method: string
  path: string
  query: [string, string][]
  headers: Map<string, string>
}

/** Percent-encodes all but `A-Z a-z 0-9 - . _ ~`. */
export function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

const byCodeUnit = (left: string, right: string): number => (left < right ? -1 : left > right ? 1 : 0)

export function canonicalRequest(parts: SignedParts, signedHeaders: string[], payloadHash: string): string {
  const query = parts.query
    .map(([name, value]) => [encodeRfc3986(name), encodeRfc3986(value)] as const)
    .sort((a, b) => byCodeUnit(a[0], b[0]) || byCodeUnit(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
  const headers = signedHeaders.map((name) => {
    // node hands header bytes over as latin1; what the client signed were UTF-8 bytes.
    const value = Buffer.from(parts.headers.get(name) ?? '', 'latin1').toString('utf8')
    return `${name}:${value.trim().replace(/ +/g, ' ')}\n`
  })
  const path = parts.path.split('/').map(encodeRfc3986).join('/')
  return [parts.method, path, query, headers.join(''), signedHeaders.join(';'), payloadHash].join('\n')
}

export const sha256Hex = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')

/** `scope` is `date/region/service/aws4_request`, `date` the long form `YYYYMMDDTHHMMSSZ`. */
export function stringToSign(date: string, scope: string, canonical: string): string {
  return ['AWS4-HMAC-SHA256', date, scope, sha256Hex(canonical)].join('\n')
}

const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()

/**
 * By secret and scope: a client's requests of one day have the same, and deriving it takes four of the five
 * HMACs of a request. A scope is what the client says it is, so there are few.
 */
const signingKeys = new Map<string, Buffer>()
const MAX_SIGNING_KEYS = 16

export function signingKey(secretAccessKey: string, scope: string): Buffer {
  const name = JSON.stringify([secretAccessKey, scope])
  const known = signingKeys.get(name)
  if (known !== undefined) return known
  const key = scope
    .split('/')
    .reduce<Buffer>((derived, part) => hmac(derived, part), Buffer.from(`AWS4${secretAccessKey}`))
  if (signingKeys.size >= MAX_SIGNING_KEYS) signingKeys.clear()
  signingKeys.set(name, key)
  return key
}

export const sign = (key: Buffer, text: string): string => hmac(key, text).toString('hex')
