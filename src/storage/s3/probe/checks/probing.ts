import { createHash, randomBytes } from 'node:crypto'
import type { LifecycleRule } from '@aws-sdk/client-s3'
import {
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3'
import type { DigestAlgorithm, Features } from '../../../backend.ts'
import { isStorageError } from '../../../backend.ts'
import type { ProbeFinding, ProbeOptions } from '../../../probe-report.ts'
import type { Traits } from '../../../traits.ts'
import type { S3Bucket } from '../../requests/bucket.ts'
import { signPayload } from '../../requests/client.ts'

/** Below the location's prefix. Its name begins with a dot, so that nothing in it is ever listed. */
export const PROBE_FOLDER = '.glassine-probe/'

/** One probe under way. Checks add to `features` only what they saw. */
export type Probe = {
  bucket: S3Bucket
  /** Below the location's prefix. */
  folder: string
  features: Features
  /** What was seen, one answer each. */
  traits: Traits
  findings: ProbeFinding[]
  latencyMs: number
  /** Origins whose pages are to reach the bucket. */
  origins: readonly string[]
  /** Whether classes of the configuration are archives. */
  usesArchives: boolean
  /** Rules of the bucket; null: none are known, or they may not be read. */
  lifecycle: LifecycleRule[] | null
  /** As the bucket says; false where we may not know. */
  isVersioned: boolean
  /** Keys (without the location's prefix) that may hold something. */
  made: Set<string>
  /** A key of the probe, new at every call (a check may be run again), and noted for removal. */
  key(name: string): string
}

export function openProbe(
  bucket: S3Bucket,
  folder: string,
  { origins = [], usesArchives = false }: ProbeOptions = {},
): Probe {
  const made = new Set<string>()
  return {
    bucket,
    folder,
    features: { ...bucket.features, enforcedDigests: [], attestedDigests: [] },
    traits: {},
    findings: [],
    latencyMs: 0,
    origins,
    usesArchives,
    lifecycle: null,
    isVersioned: false,
    made,
    key(name) {
      const key = `${folder}${name}-${randomBytes(4).toString('hex')}`
      made.add(key)
      return key
    },
  }
}

/** A check may be run again after a hiccup: what it learnt before counts once. */
export function learnDigest(list: DigestAlgorithm[], algorithm: DigestAlgorithm): void {
  if (!list.includes(algorithm)) list.push(algorithm)
}

export const someBytes = (size: number) => randomBytes(size)
export const md5Of = (bytes: Buffer) => createHash('md5').update(bytes).digest()
export const sha256Of = (bytes: Buffer) => createHash('sha256').update(bytes).digest()

/** A plain put; `payload` is the SHA-256 to sign, by default the right one. */
export function putRaw(
  { bucket }: Probe,
  key: string,
  bytes: Buffer,
  {
    payload = sha256Of(bytes).toString('hex'),
    ...more
  }: Partial<PutObjectCommandInput> & { payload?: string } = {},
) {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key) }
  // What locks needs a digest.
  const digest = more.ObjectLockMode === undefined ? {} : { ContentMD5: md5Of(bytes).toString('base64') }
  const body = { Body: bytes, ContentLength: bytes.length, ...digest }
  const command = new PutObjectCommand({ ...at, ...body, ...more })
  return bucket.call(`PutObject of ${key}`, undefined, (options) =>
    bucket.client.send(signPayload(command, payload), options),
  )
}

export function headRaw({ bucket }: Probe, key: string, checksums = false) {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key) }
  const command = new HeadObjectCommand({ ...at, ...(checksums && { ChecksumMode: 'ENABLED' }) })
  return bucket.call(`HeadObject of ${key}`, undefined, (options) => bucket.client.send(command, options))
}

export async function readRaw(
  { bucket }: Probe,
  key: string,
  range?: string,
): Promise<{ bytes: Buffer; contentRange?: string }> {
  const at = { Bucket: bucket.settings.bucket, Key: bucket.fullKey(key) }
  const command = new GetObjectCommand({ ...at, ...(range !== undefined && { Range: range }) })
  return bucket.call(`GetObject of ${key}`, undefined, async (options) => {
    const answer = await bucket.client.send(command, options)
    const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
    return { bytes, contentRange: answer.ContentRange }
  })
}

export async function exists(probe: Probe, key: string): Promise<boolean> {
  try {
    await headRaw(probe, key)
    return true
  } catch (error) {
    if (isStorageError(error, 'not-found')) return false
    throw error
  }
}

/** The refusal, or null where it was carried out. A service that does not answer has refused nothing. */
export async function refusalOf(run: () => Promise<unknown>): Promise<string | null> {
  try {
    await run()
    return null
  } catch (error) {
    if (!isStorageError(error) || error.kind === 'unavailable') throw error
    return error.said
  }
}
