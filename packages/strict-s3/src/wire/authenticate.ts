/**
 * Who sent the request, and did they sign exactly this? Header signatures and presigned URLs; nothing is
 * anonymous. Stricter than most: two authentications, unsigned `x-amz-*` headers and skewed clocks are
 * refused, as AWS does.
 */
import { timingSafeEqual } from 'node:crypto'
import { S3Error } from './s3-error.ts'
import { canonicalRequest, type SignedParts, sign, signingKey, stringToSign } from './signature.ts'

export type Credentials = { accessKeyId: string; secretAccessKey: string }

/** A proven sender. `signature`, `key`, `date` and `scope` go on into the signatures of streamed chunks. */
export type Authentication = {
  presigned: boolean
  /** `x-amz-content-sha256`: a SHA-256 in hex, `UNSIGNED-PAYLOAD` or a `STREAMING-…` word. */
  payload: string
  signature: string
  key: Buffer
  date: string
  scope: string
}

type Settings = {
  credentials: Credentials
  region: string
  anyRegion: boolean
  now: Date
  /** Absent: refuse both. */
  lenient?: { doubleAuthentication: boolean; expired: boolean }
}
type Claim = {
  credential: string
  signedHeaders: string[]
  signature: string
  date: string
  malformed: 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError'
}

const algorithm = 'AWS4-HMAC-SHA256'
const maxSkewMs = 15 * 60 * 1000
const maxExpirySeconds = 7 * 24 * 3600
export const streamingPayloads = [
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
]

function parseAmzDate(text: string): Date | null {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  if (!found) return null
  const [, year, month, day, hour, minute, second] = found
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(date.getTime()) ? null : date
}

const amzDate = (date: Date): string => `${date.toISOString().replace(/[-:]|\.\d+/g, '')}`

function claimFromHeader(header: string, headers: Map<string, string>): Claim {
  const malformed = 'AuthorizationHeaderMalformed'
  if (!header.startsWith(`${algorithm} `)) {
    throw new S3Error('InvalidArgument', {
      message: 'Unsupported Authorization Type',
      details: { ArgumentName: 'Authorization', ArgumentValue: header.split(' ')[0] ?? '' },
    })
  }
  const fields = new Map(
    header
      .slice(algorithm.length + 1)
      .split(',')
      .map((field) => {
        const [name, ...value] = field.trim().split('=')
        return [name ?? '', value.join('=')] as const
      }),
  )
  const credential = fields.get('Credential')
  const signedHeaders = fields.get('SignedHeaders')
  const signature = fields.get('Signature')
  if (!credential || !signedHeaders || !signature) {
    throw new S3Error(malformed, {
      message:
        'The authorization header is malformed; Credential, SignedHeaders and Signature are all required.',
    })
  }
  const plainDate = headers.get('date')
  const date =
    headers.get('x-amz-date') ??
    (plainDate && !Number.isNaN(Date.parse(plainDate)) ? amzDate(new Date(plainDate)) : '')
  if (!parseAmzDate(date)) {
    throw new S3Error('AccessDenied', {
      message: 'AWS authentication requires a valid Date or x-amz-date header',
    })
  }
  return { credential, signedHeaders: signedHeaders.split(';'), signature, date, malformed }
}

function claimFromQuery(query: Map<string, string>, { now, lenient }: Settings): Claim {
  const malformed = 'AuthorizationQueryParametersError'
  const need = (name: string): string => {
    const value = query.get(name)
    if (value) return value
    throw new S3Error(malformed, {
      message:
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
    })
  }
  if (need('X-Amz-Algorithm') !== algorithm) {
    throw new S3Error(malformed, { message: `X-Amz-Algorithm only supports "${algorithm}"` })
  }
  const claim: Claim = {
    credential: need('X-Amz-Credential'),
    signedHeaders: need('X-Amz-SignedHeaders').split(';'),
    signature: need('X-Amz-Signature'),
    date: need('X-Amz-Date'),
    malformed,
  }
  const signedAt = parseAmzDate(claim.date)
  if (!signedAt)
    throw new S3Error(malformed, {
      message: "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    })
  const expires = need('X-Amz-Expires')
  if (!/^\d+$/.test(expires) || Number(expires) < 1) {
    throw new S3Error(malformed, { message: 'X-Amz-Expires should be a number of at least 1' })
  }
  if (Number(expires) > maxExpirySeconds) {
    throw new S3Error(malformed, {
      message:
        'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    })
  }
  if (signedAt.getTime() - now.getTime() > maxSkewMs) {
    throw new S3Error('AccessDenied', {
      message: 'Request is not yet valid',
      details: { ServerTime: now.toISOString() },
    })
  }
  const expiresAt = new Date(signedAt.getTime() + Number(expires) * 1000)
  if (now > expiresAt && !lenient?.expired) {
    throw new S3Error('AccessDenied', {
      message: 'Request has expired',
      details: { 'X-Amz-Expires': expires, Expires: expiresAt.toISOString(), ServerTime: now.toISOString() },
    })
  }
  return claim
}

function checkScope(claim: Claim, settings: Settings): string {
  const parts = claim.credential.split('/')
  const [accessKeyId, day, region, service, terminator] = parts
  if (parts.length !== 5 || service !== 's3' || terminator !== 'aws4_request') {
    throw new S3Error(claim.malformed, {
      message: `The credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/s3/aws4_request".`,
    })
  }
  if (accessKeyId !== settings.credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', { details: { AWSAccessKeyId: accessKeyId ?? '' } })
  }
  if (day !== claim.date.slice(0, 8)) {
    throw new S3Error(claim.malformed, {
      message: `Invalid credential date "${day}". This date is not the same as X-Amz-Date.`,
    })
  }
  if (region !== settings.region && !settings.anyRegion) {
    throw new S3Error(claim.malformed, {
      message: `The authorization header is malformed; the region '${region}' is wrong; expecting '${settings.region}'`,
      details: { Region: settings.region },
      headers: { 'x-amz-bucket-region': settings.region },
    })
  }
  return parts.slice(1).join('/')
}

function checkSignedHeaders(claim: Claim, headers: Map<string, string>): void {
  const isOrdered = claim.signedHeaders.every((name, at) => at === 0 || claim.signedHeaders[at - 1]! < name)
  if (!claim.signedHeaders.includes('host') || !isOrdered) {
    throw new S3Error(claim.malformed, {
      message: 'SignedHeaders must name host and be in lower case and in order.',
    })
  }
  const unsigned = [...headers.keys()].filter(
    (name) => name.startsWith('x-amz-') && !claim.signedHeaders.includes(name),
  )
  if (unsigned.length > 0) {
    throw new S3Error('AccessDenied', {
      message: 'There were headers present in the request which were not signed',
      details: { HeadersNotSigned: unsigned.join(', ') },
    })
  }
}

function payloadOf(value: string | undefined): string {
  if (value === undefined) {
    throw new S3Error('InvalidRequest', {
      message: 'Missing required header for this request: x-amz-content-sha256',
    })
  }
  if (value === 'UNSIGNED-PAYLOAD' || streamingPayloads.includes(value) || /^[0-9a-f]{64}$/i.test(value))
    return value
  throw new S3Error('InvalidArgument', {
    message: `x-amz-content-sha256 must be UNSIGNED-PAYLOAD, ${streamingPayloads.join(', ')} or a valid sha256 value.`,
    details: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: value },
  })
}

/** Throws the S3Error that AWS would answer with. */
export function authenticate(parts: SignedParts, settings: Settings): Authentication {
  const query = new Map(parts.query)
  const presigned =
    query.has('X-Amz-Algorithm') || query.has('X-Amz-Signature') || query.has('X-Amz-Credential')
  const isReadOver = presigned && settings.lenient?.doubleAuthentication === true
  const header = isReadOver ? undefined : parts.headers.get('authorization')
  const isVersion2 = query.has('Signature') || query.has('AWSAccessKeyId')
  if (Number(presigned) + Number(isVersion2) + Number(header !== undefined) > 1) {
    throw new S3Error('InvalidArgument', {
      message:
        'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
      details: { ArgumentName: 'Authorization', ArgumentValue: header ?? '' },
    })
  }
  if (isVersion2) {
    throw new S3Error('InvalidRequest', {
      message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    })
  }
  if (!presigned && header === undefined) throw new S3Error('AccessDenied')
  const claim = presigned ? claimFromQuery(query, settings) : claimFromHeader(header ?? '', parts.headers)
  if (query.has('X-Amz-Security-Token') || parts.headers.has('x-amz-security-token'))
    throw new S3Error('InvalidToken')
  const scope = checkScope(claim, settings)
  checkSignedHeaders(claim, parts.headers)

  const payload = payloadOf(
    parts.headers.get('x-amz-content-sha256') ?? (presigned ? 'UNSIGNED-PAYLOAD' : undefined),
  )
  const signed = { ...parts, query: parts.query.filter(([name]) => name !== 'X-Amz-Signature') }
  const canonical = canonicalRequest(signed, claim.signedHeaders, payload)
  const text = stringToSign(claim.date, scope, canonical)
  const key = signingKey(settings.credentials.secretAccessKey, scope)
  const expected = Buffer.from(sign(key, text))
  const given = Buffer.from(claim.signature)
  const isMissing = claim.signedHeaders.some((name) => !parts.headers.has(name))
  if (isMissing || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new S3Error('SignatureDoesNotMatch', {
      details: {
        AWSAccessKeyId: settings.credentials.accessKeyId,
        StringToSign: text,
        SignatureProvided: claim.signature,
        CanonicalRequest: canonical,
      },
    })
  }
  const skewMs = Math.abs((parseAmzDate(claim.date)?.getTime() ?? 0) - settings.now.getTime())
  if (!presigned && skewMs > maxSkewMs) {
    throw new S3Error('RequestTimeTooSkewed', {
      details: {
        RequestTime: claim.date,
        ServerTime: settings.now.toISOString(),
        MaxAllowedSkewMilliseconds: String(maxSkewMs),
      },
    })
  }
  return { presigned, payload, signature: claim.signature, key, date: claim.date, scope }
}
