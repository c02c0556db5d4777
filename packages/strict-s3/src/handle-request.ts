/**
 * One HTTP request, from the wire to the operation and back: routing, faults, authentication, permissions,
 * errors.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Counts } from './counts.ts'
import type { createFaults, Fault } from './faults.ts'
import type { BucketRecord, ObjectStore } from './objects/object-store.ts'
import { bucketOperations, serviceOperations } from './operations/table.ts'
import type { StrictProfile } from './profiles.ts'
import type { Call, Reply } from './requests/call.ts'
import { answerPreflight, corsHeaders } from './requests/cors.ts'
import { isDenied } from './requests/denied.ts'
import { errorReply, faultError, hostId } from './requests/error-reply.ts'
import { openRequestBody } from './requests/request-body.ts'
import { Disconnect, gone, readSocket } from './requests/request-socket.ts'
import { routeRequest, type Target } from './requests/route.ts'
import { sendReply, throttled } from './requests/send-reply.ts'
import { type Authentication, authenticate, type Credentials } from './wire/authenticate.ts'
import { S3Error } from './wire/s3-error.ts'
import { sha256Hex } from './wire/signature.ts'

export type ServerParts = {
  store: ObjectStore
  credentials: Credentials
  profile: StrictProfile
  region: string
  endpoint: string
  ownHosts: string[]
  clock: () => Date
  counts: Counts
  faults: ReturnType<typeof createFaults>
  /** How long a client may be silent in the middle of its body. */
  idleBodyMs: number
  /** Told of every error that is not an answer of the protocol: those are ours. */
  onInternalError(error: unknown, request: { operation: string; bucketName: string; key: string }): void
}

const emptyHash = sha256Hex('')

/** Header values joined as SigV4 wants them, under lower-case names. */
function readHeaders(request: IncomingMessage): Map<string, string> {
  const headers = new Map<string, string>()
  for (const [name, values] of Object.entries(request.headersDistinct))
    headers.set(name, (values ?? []).join(','))
  return headers
}

/** In a presigned URL, `x-amz-*` parameters stand for the headers that the SDKs moved there. */
function withHoistedHeaders(headers: Map<string, string>, target: Target): Map<string, string> {
  const all = new Map(headers)
  for (const [name, value] of target.query) {
    const lower = name.toLowerCase()
    const isOwn = /^x-amz-(algorithm|credential|date|expires|signedheaders|signature|security-token)$/.test(
      lower,
    )
    if (lower.startsWith('x-amz-') && !isOwn && !all.has(lower)) all.set(lower, value)
  }
  return all
}

async function perform(parts: ServerParts, call: Call, bucket: BucketRecord | undefined): Promise<Reply> {
  const { profile, operation } = call
  if (
    isDenied(
      profile,
      operation === 'DeleteObject' && call.query.has('versionId') ? 'DeleteObjectVersion' : operation,
    )
  ) {
    // DeleteObjects is refused key by key: its own name must be denied for the whole to be.
    throw new S3Error('AccessDenied')
  }
  const service = serviceOperations[operation]
  if (service) return service(call)
  const elsewhere = profile.bucketRegions[call.bucketName]
  if (elsewhere !== undefined && elsewhere !== parts.region) {
    throw new S3Error('PermanentRedirect', {
      details: { Bucket: call.bucketName, Endpoint: `${call.bucketName}.s3.${elsewhere}.amazonaws.com` },
      headers: { 'x-amz-bucket-region': elsewhere },
    })
  }
  if (!bucket) throw new S3Error('NoSuchBucket', { details: { BucketName: call.bucketName } })
  const perBucket = bucketOperations[operation]
  if (!perBucket) throw new S3Error('NotImplemented')
  try {
    return await perBucket({ ...call, bucket })
  } catch (error) {
    // Without the right to list, a client may not learn whether a key is there.
    const isHidden =
      error instanceof S3Error && error.code === 'NoSuchKey' && isDenied(profile, 'ListObjectsV2')
    throw isHidden ? new S3Error('AccessDenied') : error
  }
}

const has = (faults: Fault[], kind: Fault['kind']): boolean => faults.some((fault) => fault.kind === kind)

/** Serves one request. Resolves when it is over; rejects never. */
export async function handleRequest(
  parts: ServerParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { counts, profile, store } = parts
  const requestId = randomBytes(8).toString('hex').toUpperCase()
  const method = request.method ?? 'GET'
  const isHead = method === 'HEAD'
  const headers = readHeaders(request)
  const state = { hasBegun: false }
  // A client that goes away in the middle of an answer is no failure of ours.
  response.on('error', () => request.socket.destroy())
  let target: Target = { operation: 'Unsupported', bucketName: '', key: '', path: '', query: [] }
  let faults: Fault[] = []
  let bucket: BucketRecord | undefined
  let reply: Reply
  try {
    try {
      target = routeRequest(
        {
          method,
          url: request.url ?? '/',
          host: request.headers.host,
          isCopy: headers.has('x-amz-copy-source'),
        },
        parts.ownHosts,
      )
    } finally {
      counts.total += 1
      counts.requests[target.operation] = (counts.requests[target.operation] ?? 0) + 1
    }
    bucket = target.bucketName === '' ? undefined : await store.readBucket(target.bucketName)
    const isPresigned = target.query.some(([name]) => name === 'X-Amz-Signature')
    faults = parts.faults.take({ operation: target.operation, key: target.key, method, isPresigned })
    for (const fault of faults) {
      if (fault.kind === 'delay')
        await Promise.race([sleep(fault.ms, undefined, { ref: false }), gone(response)])
      if (fault.kind === 'hold') await Promise.race([fault.until, gone(response)])
      if (fault.kind === 'status') throw faultError(fault)
      if (fault.kind === 'stale-404' && (method === 'GET' || isHead)) throw new S3Error('NoSuchKey')
      if (fault.kind === 'reset' && !fault.commit) throw new Disconnect('reset')
      if (fault.kind === 'hang' && !fault.commit) await gone(response)
    }
    if (target.operation === 'Preflight') reply = answerPreflight(bucket, headers)
    else {
      const now = parts.clock()
      const authentication = authenticate(
        { method, path: target.path, query: target.query, headers },
        {
          credentials: parts.credentials,
          region: parts.region,
          anyRegion: profile.anyRegion,
          now,
          lenient: {
            doubleAuthentication: profile.acceptDoubleAuthentication,
            expired: profile.ignoreExpiry,
          },
        },
      )
      const allHeaders = authentication.presigned ? withHoistedHeaders(headers, target) : headers
      const slow = faults.find((fault) => fault.kind === 'slow')
      const source = () => {
        const bytes = readSocket(parts, request, response, faults, state)
        return slow ? throttled(bytes, slow.bytesPerSecond) : bytes
      }
      const call: Call = {
        ...target,
        method,
        query: new Map(target.query),
        headers: allHeaders,
        authentication,
        requestId,
        now,
        store,
        profile,
        region: parts.region,
        endpoint: parts.endpoint,
        damage:
          (profile.bucketSilentlyDamages && declaredBytes(allHeaders) >= DAMAGED_FROM_BYTES) ||
          (has(faults, 'wrong-bytes') && method === 'PUT'),
        body: (maxBytes, options) =>
          openRequestBody({ headers: allHeaders, authentication, open: source }, profile, maxBytes, options),
      }
      checkBodyless(call, authentication)
      for (const fault of faults) if (fault.kind === 'other-range') shiftRange(allHeaders)
      for (const fault of faults) if (fault.kind === 'short-listing') call.shortListing = fault
      const unfinished = faults.find((fault) => fault.kind === 'error-in-200')
      if (unfinished && !unfinished.commit) throw new S3Error('InternalError', { status: 200 })
      reply = await perform(parts, call, bucket)
      for (const fault of faults) {
        if (fault.kind === 'wrong-etag' && reply.headers.etag !== undefined)
          reply.headers.etag = `"${randomBytes(16).toString('hex')}"`
        if (fault.kind === 'commit-then-500') throw new S3Error('InternalError')
        if (fault.kind === 'error-in-200') throw new S3Error('InternalError', { status: 200 })
        if (fault.kind === 'reset') throw new Disconnect('reset')
        if (fault.kind === 'hang') await gone(response)
        // Nothing of the body was read (the operation takes none): the cut falls here.
        if (fault.kind === 'cut-request') throw new Disconnect('close')
      }
    }
  } catch (error) {
    if (error instanceof Disconnect || response.destroyed || response.headersSent) {
      if (error instanceof Disconnect && error.how === 'reset') request.socket.resetAndDestroy()
      else request.socket.destroy()
      return
    }
    if (!(error instanceof S3Error)) parts.onInternalError(error, target)
    const known = error instanceof S3Error ? error : new S3Error('InternalError')
    counts.errors[known.code] = (counts.errors[known.code] ?? 0) + 1
    reply = errorReply(known, target, requestId)
  }

  Object.assign(
    reply.headers,
    corsHeaders(target.operation === 'Preflight' ? undefined : bucket, method, headers),
    {
      'x-amz-request-id': requestId,
      'x-amz-id-2': hostId,
      date: parts.clock().toUTCString(),
      server: 'StrictS3',
    },
  )
  // A client that waits for "100 Continue" never sends its body: what follows on the connection could not be
  // told apart.
  const isUnread = !state.hasBegun && !request.complete && request.headers.expect !== undefined
  try {
    if (!request.readableEnded && !isUnread) request.resume()
    await sendReply(response, reply, { isHead, closeAfter: isUnread, faults, counts })
  } catch (error) {
    if (!response.destroyed) response.destroy()
    parts.onInternalError(error, target)
  }
}

/** As many bytes, from the beginning of the object. */
function shiftRange(headers: Map<string, string>): void {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.get('range') ?? '') ?? []
  if (first !== undefined && last !== undefined)
    headers.set('range', `bytes=0-${Number(last) - Number(first)}`)
}

/** A request that takes no body must not claim one in its signature. */
function checkBodyless(call: Call, authentication: Authentication): void {
  const isWrite = call.method === 'PUT' || call.method === 'POST'
  if (isWrite || !/^[0-9a-f]{64}$/i.test(authentication.payload)) return
  if (
    authentication.payload.toLowerCase() === emptyHash ||
    Number(call.headers.get('content-length') ?? 0) > 0
  )
    return
  throw new S3Error('XAmzContentSHA256Mismatch', {
    details: { ClientComputedContentSHA256: authentication.payload, S3ComputedContentSHA256: emptyHash },
  })
}

/**
 * Smaller objects are left alone by `bucketSilentlyDamages`: clients keep their own marks in them, and would
 * notice only those.
 */
const DAMAGED_FROM_BYTES = 512

function declaredBytes(headers: Map<string, string>): number {
  const declared = headers.get('x-amz-decoded-content-length') ?? headers.get('content-length')
  return declared === undefined ? Number.POSITIVE_INFINITY : Number(declared)
}
