/**
 * A request's body, read once, with everything checked that the client declared about it: length, SHA-256 of
 * the signature, Content-MD5, `x-amz-checksum-*` in front or behind. Hashes are computed only where somebody
 * asked for them.
 */
import { createHash, type Hash } from 'node:crypto'
import type { StrictProfile } from '../profiles.ts'
import { type Authentication, streamingPayloads } from '../wire/authenticate.ts'
import {
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumBytes,
  checksumHeader,
  type Hasher,
  startChecksum,
} from '../wire/checksums.ts'
import { decodeChunkedBody } from '../wire/chunked-body.ts'
import { S3Error } from '../wire/s3-error.ts'
import { Disconnect } from './request-socket.ts'

/** What the body turned out to be. `md5` is there when it was asked for or declared. */
export type BodyFacts = {
  size: number
  md5: Buffer | null
  checksums: Partial<Record<ChecksumAlgorithm, string>>
}

export type RequestBody = {
  /** Bytes inside any framing, as declared. */
  declaredSize: number
  /** Which checksum the client declared, in front or in a trailer. */
  declaredChecksum: ChecksumAlgorithm | null
  hasContentMd5: boolean
  /**
   * Hands every chunk to `take`, then checks. Throws an S3Error when anything is not as declared: what `take`
   * got is then worth nothing. `compute` asks for further hashes.
   */
  read(
    take: (chunk: Buffer) => Promise<void> | void,
    compute?: { md5?: boolean; checksum?: ChecksumAlgorithm | null },
  ): Promise<BodyFacts>
}

type Source = {
  headers: Map<string, string>
  authentication: Authentication
  /** Starts the body (sends `100 Continue` where the client waits for it). */
  open(): AsyncIterable<Buffer>
}

const sameDigest = (declared: string, computed: Buffer): boolean =>
  Buffer.from(declared, 'base64').equals(computed)

function contentMd5(headers: Map<string, string>): string | null {
  const value = headers.get('content-md5')
  if (value === undefined) return null
  if (!/^[A-Za-z0-9+/]{22}==$/.test(value))
    throw new S3Error('InvalidDigest', { details: { 'Content-MD5': value } })
  return value
}

type Declared = { algorithm: ChecksumAlgorithm; value: string | null }

function declaredChecksum(headers: Map<string, string>, trailers: string[]): Declared | null {
  const inFront = checksumAlgorithms.filter((algorithm) => headers.has(checksumHeader(algorithm)))
  const behind = checksumAlgorithms.filter((algorithm) => trailers.includes(checksumHeader(algorithm)))
  if (inFront.length + behind.length > 1) {
    throw new S3Error('InvalidRequest', {
      message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    })
  }
  const algorithm = inFront[0] ?? behind[0]
  const named = headers.get('x-amz-sdk-checksum-algorithm')?.toUpperCase()
  if (named !== undefined && named !== algorithm) {
    throw new S3Error('InvalidRequest', {
      message: algorithm
        ? 'Value for x-amz-sdk-checksum-algorithm header is invalid.'
        : 'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    })
  }
  if (algorithm === undefined) return null
  const value = headers.get(checksumHeader(algorithm)) ?? null
  if (value !== null) checkChecksumValue(algorithm, value)
  return { algorithm, value }
}

function checkChecksumValue(algorithm: ChecksumAlgorithm, value: string): void {
  const bytes = Buffer.from(value, 'base64')
  if (bytes.length !== checksumBytes[algorithm] || bytes.toString('base64') !== value) {
    throw new S3Error('InvalidRequest', {
      message: `Value for ${checksumHeader(algorithm)} header is invalid.`,
    })
  }
}

function declaredLength(headers: Map<string, string>, isFramed: boolean): number {
  const name = isFramed ? 'x-amz-decoded-content-length' : 'content-length'
  const value = headers.get(name)
  if (value === undefined || !/^\d+$/.test(value)) throw new S3Error('MissingContentLength')
  return Number(value)
}

/** Checks all that can be checked before the first byte, so that a refusal costs no transfer. */
export function openRequestBody(
  source: Source,
  profile: StrictProfile,
  maxBytes: number,
  options: { checksumsAreOfObject?: boolean } = {},
): RequestBody {
  const { headers, authentication } = source
  const isFramed = streamingPayloads.includes(authentication.payload)
  const trailerNames = (headers.get('x-amz-trailer') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
  const trailers = trailerNames.filter((name) => name !== '')
  if (profile.refuseTrailers && authentication.payload.endsWith('-TRAILER')) {
    throw profile.refuseTrailers === 411 ? new S3Error('MissingContentLength') : new S3Error('NotImplemented')
  }
  if (trailers.length > 0 && !authentication.payload.endsWith('-TRAILER')) {
    throw new S3Error('InvalidRequest', {
      message: 'x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.',
    })
  }
  const declaredSize = declaredLength(headers, isFramed)
  const md5Value = contentMd5(headers)
  const ignores = profile.ignoreChecksums || options.checksumsAreOfObject
  const declared = ignores ? null : declaredChecksum(headers, trailers)
  if (declaredSize > maxBytes) {
    throw new S3Error('EntityTooLarge', {
      details: { ProposedSize: String(declaredSize), MaxSizeAllowed: String(maxBytes) },
    })
  }

  return {
    declaredSize,
    declaredChecksum: declared?.algorithm ?? null,
    hasContentMd5: md5Value !== null,
    async read(take, compute = {}) {
      const sha256: Hash | null = /^[0-9a-f]{64}$/i.test(authentication.payload) ? createHash('sha256') : null
      const md5: Hash | null = md5Value !== null || compute.md5 ? createHash('md5') : null
      const checksumOf = profile.ignoreChecksums ? null : (declared?.algorithm ?? compute.checksum ?? null)
      // The signature's SHA-256 serves as the checksum too: hashing the same bytes twice would cost twice.
      const checksum: Hasher | null =
        checksumOf && !(checksumOf === 'SHA256' && sha256) ? startChecksum(checksumOf) : null
      let trailing = new Map<string, string>()
      const raw = source.open()
      const bytes = isFramed
        ? decodeChunkedBody(raw, { authentication, announcedTrailers: trailers }, (found) => {
            trailing = found
          })
        : raw
      let size = 0
      for await (const chunk of profile.keepCutPuts ? untilCut(bytes) : bytes) {
        size += chunk.length
        if (size > declaredSize)
          throw new S3Error('IncompleteBody', { message: 'The body is longer than was declared.' })
        sha256?.update(chunk)
        md5?.update(chunk)
        checksum?.update(chunk)
        const pending = take(chunk)
        if (pending) await pending
      }
      if (size !== declaredSize && !profile.keepCutPuts) throw new S3Error('IncompleteBody')

      const sha256Digest = sha256?.digest() ?? null
      if (
        sha256Digest &&
        !profile.ignoreDigests &&
        sha256Digest.toString('hex') !== authentication.payload.toLowerCase()
      ) {
        throw new S3Error('XAmzContentSHA256Mismatch', {
          details: {
            ClientComputedContentSHA256: authentication.payload,
            S3ComputedContentSHA256: sha256Digest.toString('hex'),
          },
        })
      }
      const md5Digest = md5?.digest() ?? null
      if (md5Value !== null && md5Digest && !profile.ignoreDigests && !sameDigest(md5Value, md5Digest)) {
        throw new S3Error('BadDigest', {
          details: { ExpectedDigest: md5Value, CalculatedDigest: md5Digest.toString('base64') },
        })
      }
      if (checksumOf === null) return { size, md5: md5Digest, checksums: {} }
      const digest = checksum?.digest() ?? sha256Digest!
      const value = declared && (declared.value ?? trailing.get(checksumHeader(declared.algorithm)) ?? '')
      if (declared && typeof value === 'string') {
        checkChecksumValue(declared.algorithm, value)
        if (!sameDigest(value, digest)) {
          throw new S3Error('BadDigest', {
            message: `The ${declared.algorithm} you specified did not match the calculated checksum.`,
          })
        }
      }
      return { size, md5: md5Digest, checksums: { [checksumOf]: digest.toString('base64') } }
    },
  }
}

/** A lost connection passes for the end of the body. */
async function* untilCut(bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  try {
    yield* bytes
  } catch (error) {
    if (!(error instanceof Disconnect)) throw error
  }
}
