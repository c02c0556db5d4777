/** Cross-origin requests from browsers. https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html */

import type { BucketRecord, CorsRule } from '../objects/object-store.ts'
import { S3Error } from '../wire/s3-error.ts'
import { emptyReply, type Reply } from './call.ts'

const vary = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method'

/** One `*` stands for any text. */
function matchesPattern(pattern: string, text: string): boolean {
  const [before, after] = pattern.split('*')
  if (after === undefined) return pattern === text
  return text.length >= before!.length + after.length && text.startsWith(before!) && text.endsWith(after)
}

function findRule(
  bucket: BucketRecord,
  origin: string,
  method: string,
  requestHeaders: string[],
): CorsRule | undefined {
  return bucket.cors?.find(
    (rule) =>
      rule.allowedOrigins.some((allowed) => matchesPattern(allowed, origin)) &&
      rule.allowedMethods.includes(method) &&
      requestHeaders.every((header) =>
        rule.allowedHeaders.some((allowed) => matchesPattern(allowed.toLowerCase(), header.toLowerCase())),
      ),
  )
}

function ruleHeaders(rule: CorsRule, origin: string): Record<string, string> {
  const isForAll = rule.allowedOrigins.includes('*')
  return {
    'access-control-allow-origin': isForAll ? '*' : origin,
    'access-control-allow-methods': rule.allowedMethods.join(', '),
    ...(isForAll ? {} : { 'access-control-allow-credentials': 'true' }),
    ...(rule.exposeHeaders.length > 0
      ? { 'access-control-expose-headers': rule.exposeHeaders.join(', ') }
      : {}),
    ...(rule.maxAgeSeconds === undefined ? {} : { 'access-control-max-age': String(rule.maxAgeSeconds) }),
    vary,
  }
}

/** Answers `OPTIONS`, which carries no signature. */
export function answerPreflight(bucket: BucketRecord | undefined, headers: Map<string, string>): Reply {
  const origin = headers.get('origin')
  const method = headers.get('access-control-request-method')
  if (origin === undefined) {
    throw new S3Error('BadRequest', { message: 'Insufficient information. Origin request header needed.' })
  }
  if (method === undefined) {
    throw new S3Error('BadRequest', { message: 'Invalid Access-Control-Request-Method: null' })
  }
  if (!bucket?.cors)
    throw new S3Error('AccessForbidden', { message: 'CORSResponse: CORS is not enabled for this bucket.' })
  const asked = (headers.get('access-control-request-headers') ?? '').split(',').map((name) => name.trim())
  const requestHeaders = asked.filter((name) => name !== '')
  const rule = findRule(bucket, origin, method, requestHeaders)
  if (!rule) {
    throw new S3Error('AccessForbidden', {
      message:
        "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
    })
  }
  return emptyReply(200, {
    ...ruleHeaders(rule, origin),
    ...(requestHeaders.length > 0 ? { 'access-control-allow-headers': requestHeaders.join(', ') } : {}),
  })
}

/** CORS headers of a response that is no preflight, errors included; empty when no rule matches. */
export function corsHeaders(
  bucket: BucketRecord | undefined,
  method: string,
  headers: Map<string, string>,
): Record<string, string> {
  const origin = headers.get('origin')
  if (origin === undefined || !bucket?.cors) return {}
  const rule = findRule(bucket, origin, method, [])
  return rule ? ruleHeaders(rule, origin) : {}
}
