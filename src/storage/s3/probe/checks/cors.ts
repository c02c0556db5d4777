import { type CORSRule, GetBucketCorsCommand } from '@aws-sdk/client-s3'
import { isStorageError } from '../../../backend.ts'
import { drawback, noProblem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import type { S3Bucket } from '../../requests/bucket.ts'
import { encryptionHeaders } from '../../requests/encryption.ts'
import { corsRules } from './paste.ts'
import { type Probe, putRaw, someBytes } from './probing.ts'
import { sendPlain, signProbeGet, signProbePut } from './signing.ts'

const REQUEST_HEADERS = ['content-md5', 'content-type', 'if-none-match']
const REMEDY =
  'add the rule below, or leave it: then all of a browser’s uploads and downloads go through Glassine'
export const NO_CORS_REMEDY =
  'the service has no CORS rules: leave it, all of a browser’s uploads and downloads go through Glassine'

/**
 * May pages of our origins put and get here? Asks as a browser would; only a browser itself knows its own
 * way.
 */
export async function checkCors(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket, origins } = probe
  if (bucket.settings.encryption?.type === 'sse-c')
    return [noProblem('browsers', 'not tried: browsers are given no URL of a bucket with SSE-C')]
  if (origins.length === 0) {
    return [noProblem('browsers', 'not tried: no browser has opened a page of Glassine yet')]
  }
  const key = probe.key('cors')
  await putRaw(probe, key, someBytes(100))
  const findings: ProbeFinding[] = []
  for (const origin of origins) {
    const missing = await findMissing(probe, key, origin)
    if (missing === null) {
      findings.push(of(origin, noProblem('browsers', 'may put and get, and see the ETag')))
    } else if (bucket.provider.hasCors) {
      const paste = corsRules(bucket, [origin], await readCorsRules(bucket))
      findings.push(of(origin, drawback('browsers', missing, REMEDY, paste)))
    } else {
      findings.push(of(origin, noProblem('browsers', `${missing}; ${NO_CORS_REMEDY}`)))
    }
  }
  return findings
}

/** There is one finding for each origin, and its name says which. */
function of(origin: string, finding: ProbeFinding): ProbeFinding {
  return { ...finding, check: `${finding.check} at ${origin}` }
}

/** What a browser at that origin lacks, or null. */
async function findMissing(probe: Probe, key: string, origin: string): Promise<string | null> {
  const { bucket } = probe
  const encryption = encryptionHeaders(bucket.settings.encryption)
  const requestHeaders = [...REQUEST_HEADERS, ...Object.keys(encryption)]
  const put = await signProbePut(bucket.signUrl, bucket.fullKey(key), {
    bytes: someBytes(100),
    contentType: 'image/jpeg',
    encryption,
  })
  const preflight = await sendPlain(bucket, 'OPTIONS', put.url, {
    origin,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': requestHeaders.join(','),
  })
  const allowed = (name: string) => words(preflight.headers[`access-control-allow-${name}`])
  const isFor = (headers: Record<string, string>) =>
    ['*', origin].includes(headers['access-control-allow-origin'] ?? '')
  if (preflight.status >= 300 || !isFor(preflight.headers) || !includes(allowed('methods'), 'put')) {
    return 'may not put: the bucket has no CORS rule for this origin and PUT'
  }
  const refused = requestHeaders.filter((header) => !includes(allowed('headers'), header))
  if (refused.length > 0) return `may not put: the CORS rule does not allow ${refused.join(', ')}`

  const url = await signProbeGet(bucket.signUrl, bucket.fullKey(key), {
    contentType: 'image/jpeg',
    fileName: 'photo.jpg',
  })
  const got = await sendPlain(bucket, 'GET', url, { origin })
  if (!isFor(got.headers)) return 'may put but not get: the CORS rule does not allow GET'
  if (!includes(words(got.headers['access-control-expose-headers']), 'etag')) {
    return 'may put and get, but not see the ETag, which uploads in parts need'
  }
  return null
}

const words = (header: string | undefined) =>
  (header ?? '').split(',').map((word) => word.trim().toLowerCase())
const includes = (list: string[], word: string) => list.includes('*') || list.includes(word)

/** The rules that are there, so that ours is proposed beside them; none where they may not be read. */
export async function readCorsRules(bucket: S3Bucket): Promise<CORSRule[]> {
  const command = new GetBucketCorsCommand({ Bucket: bucket.settings.bucket })
  try {
    const { CORSRules } = await bucket.call('GetBucketCors', undefined, (options) =>
      bucket.client.send(command, options),
    )
    return CORSRules ?? []
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    return []
  }
}
