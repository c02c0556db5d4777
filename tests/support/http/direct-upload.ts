/**
 * A server whose originals belong in a real bucket, and a client that puts them there as
 * docs/direct-upload.md says.
 */
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import type { TestContext } from 'node:test'
import { type StrictS3, type StrictS3Options, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { probeLocation } from '../../../src/placement/locations/locations.ts'
import { openS3BrowserProbe } from '../../../src/storage/s3/probe/browser-probe.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import type { S3Settings } from '../../../src/storage/s3/requests/client.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import type { Client } from '../client.ts'
import { locationOfBackend } from '../placement.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../server.ts'
import { probeOnce } from '../storage/probe-once.ts'

export type Signed = { url: string; headers: Record<string, string> }
export type Upload = {
  id: string
  status?: 'created' | 'open' | 'duplicate'
  state: string
  reason: string | null
  assetId: string | null
  parts: { partBytes: number; count: number } | null
  put: (Signed & { expiresAt: string }) | null
  present: { number: number; size: number }[]
}

const CREDENTIALS = { accessKeyId: 'direct', secretAccessKey: 'direct-secret' }

export type DirectServer = TestServer & { bucket: StrictS3 }

/** On a strict S3 server of its own, probed, so that what it enforces is known. */
export async function startDirectServer(
  t: TestContext,
  options: TestServerOptions & {
    profile?: StrictS3Options['profile']
    clock?: () => Date
    cors?: StrictS3Options['cors']
    settings3?: Partial<S3Settings>
    maxPutBytes?: number
  } = {},
): Promise<DirectServer> {
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['photos'],
    ...(options.profile && { profile: options.profile }),
    ...(options.clock && { clock: options.clock }),
    ...(options.cors && { cors: options.cors }),
  })
  const address = { endpoint: bucket.endpoint, ...CREDENTIALS, bucket: 'photos' }
  // A clock of its own may tell the probe something else every time.
  const kind = options.clock === undefined ? { profile: options.profile, cors: options.cors } : undefined
  const server = await startServerOn(t, address, options, kind)
  t.after(() => bucket.close())
  bucket.counts.reset()
  return { ...server, bucket }
}

/**
 * On any bucket. `kind`: of a new one, what tells it from others of the file (see `probeOnce`).
 * `maxPutBytes`: what is larger goes in parts.
 */
export async function startServerOn(
  t: TestContext,
  address: { endpoint: string; accessKeyId: string; secretAccessKey: string; bucket: string },
  options: TestServerOptions & { settings3?: Partial<S3Settings>; maxPutBytes?: number } = {},
  kind?: object,
): Promise<TestServer> {
  const settings = s3TestSettings(address, options.settings3)
  const backend = openS3Backend(settings, silentLog)
  let isNew = kind !== undefined
  const location = {
    ...locationOfBackend('s3', 's3', backend),
    probe: async () => {
      const report = await (isNew ? probeOnce(kind, settings) : probeS3(settings, silentLog))
      if (options.maxPutBytes !== undefined) report.features.maxPutBytes = options.maxPutBytes
      return report
    },
    openBrowserProbe: async () => openS3BrowserProbe(settings, silentLog),
  }
  const server = await startTestServer(t, { ...options, remotes: [], originals: ['s3'], extra: [location] })
  await probeLocation(server.placement, 's3')
  isNew = false
  return server
}

export const hashOf = (algorithm: 'md5' | 'sha1' | 'sha256', bytes: Buffer) =>
  createHash(algorithm).update(bytes).digest('hex')

export function announce(bytes: Buffer, fileName: string, more: Record<string, unknown> = {}) {
  return {
    fileName,
    size: bytes.length,
    sha256: hashOf('sha256', bytes),
    sha1: hashOf('sha1', bytes),
    md5: hashOf('md5', bytes),
    fileCreatedAt: '2024-05-01T12:00:00.000Z',
    fileModifiedAt: '2024-05-02T12:00:00.000Z',
    ...more,
  }
}

export const post = (client: Client, path: string, body?: unknown) =>
  client.call(`/storage/uploads${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })

export async function ask(
  client: Client,
  bytes: Buffer,
  fileName: string,
  more: Record<string, unknown> = {},
): Promise<Upload> {
  const response = await post(client, '', announce(bytes, fileName, more))
  if (!response.ok) throw new Error(`asking answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as Upload
}

export const show = (client: Client, id: string) => client.json<Upload>(`/storage/uploads/${id}`)
export const confirm = async (client: Client, id: string) => {
  const response = await post(client, `/${id}/confirm`)
  return { status: response.status, body: (await response.json()) as Upload & { message: string } }
}

/** As it is said, wrong lengths included, which `fetch` would refuse to send. */
export function send(
  { url, headers }: Signed,
  bytes: Buffer,
  more: Record<string, string> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'PUT', headers: { ...headers, ...more } }, (incoming) => {
      incoming.resume()
      incoming.on('end', () => resolve(incoming.statusCode ?? 0))
    })
    outgoing.on('error', reject)
    outgoing.end(bytes)
  })
}

export const cut = (bytes: Buffer, { partBytes, count }: { partBytes: number; count: number }) =>
  Array.from({ length: count }, (_, index) => bytes.subarray(index * partBytes, (index + 1) * partBytes))

/** Signs and sends the parts of these numbers. */
export async function sendParts(
  client: Client,
  upload: Upload,
  bytes: Buffer,
  numbers: number[],
): Promise<void> {
  const pieces = cut(bytes, upload.parts!)
  const wanted = numbers.map((number) => {
    const piece = pieces[number - 1]!
    return { number, size: piece.length, md5: hashOf('md5', piece) }
  })
  const response = await post(client, `/${upload.id}/parts`, { parts: wanted })
  if (!response.ok) throw new Error(`signing answered ${response.status}: ${await response.text()}`)
  const { parts } = (await response.json()) as { parts: (Signed & { number: number })[] }
  for (const part of parts) {
    const status = await send(part, pieces[part.number - 1]!)
    if (status !== 200) throw new Error(`part ${part.number} answered ${status}`)
  }
}
