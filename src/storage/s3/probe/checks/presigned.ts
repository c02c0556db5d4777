import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { drawback, noProblem } from '../../../probe-findings.ts'
import type { ProbeFinding } from '../../../probe-report.ts'
import type { S3Bucket } from '../../requests/bucket.ts'
import { encryptionHeaders } from '../../requests/encryption.ts'
import { exists, type Probe, putRaw, readRaw, someBytes } from './probing.ts'
import { EXPIRES_IN_S, type Signed, sendPlain, signProbeGet, signProbePut } from './signing.ts'

const CONTENT_TYPE = 'image/jpeg'
/** Whoever used a URL would have to be given the key, so Glassine signs none. */
const KEY_OF_OURS = 'not tried: files are encrypted with a key that no browser is given (SSE-C)'
const BYTES = 2_000

/** A presigned put must take what it was signed for, and nothing else. */
export async function checkPresignedPut(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const name = 'presigned-put'
  if (bucket.settings.encryption?.type === 'sse-c') {
    probe.features.presignedPut = false
    return [noProblem(name, KEY_OF_OURS)]
  }
  const remedy = 'clients do not upload past the server: all goes through Glassine, as if nothing were signed'
  const right = someBytes(BYTES)
  const accepted = probe.key('presigned')
  const signed = await signPut(probe, accepted, right)
  const answer = await sendPlain(bucket, 'PUT', signed.url, signed.headers, right)
  const isStored = answer.status === 200 && (await exists(probe, accepted))
  if (!isStored) {
    probe.features.presignedPut = false
    probe.traits.presignedPutBound = false
    return [drawback(name, `answered ${answer.status} ${codeIn(answer.bytes)}`.trim(), remedy)]
  }

  const tries: { what: string; change(signed: Signed): { url?: string; headers?: object; body?: Buffer } }[] =
    [
      { what: 'other bytes', change: () => ({ body: someBytes(BYTES) }) },
      { what: 'fewer bytes', change: () => lengthened(right.subarray(1)) },
      { what: 'more bytes', change: () => lengthened(Buffer.concat([right, right])) },
      { what: 'another type', change: () => ({ headers: { 'content-type': 'text/html' } }) },
      { what: 'another key', change: ({ url }) => ({ url: url.replace('presigned-', 'presigned-other-') }) },
    ]
  const taken: string[] = []
  for (const { what, change } of tries) {
    const key = probe.key('presigned-wrong')
    const own = await signPut(probe, key, right)
    const { url = own.url, headers = {}, body = right } = change(own)
    const landsAt = url === own.url ? key : key.replace('presigned-', 'presigned-other-')
    probe.made.add(landsAt)
    const got = await sendPlain(bucket, 'PUT', url, { ...own.headers, ...headers }, body)
    if (got.status < 400 || (await exists(probe, landsAt))) taken.push(what)
  }
  probe.traits.presignedPutBound = taken.length === 0

  const late = probe.key('presigned-late')
  const expired = await signPut(probe, late, right, new Date(Date.now() - 2 * EXPIRES_IN_S * 1000))
  const got = await sendPlain(bucket, 'PUT', expired.url, expired.headers, right)
  probe.traits.presignedExpires = got.status >= 400 && !(await exists(probe, late))
  if (!probe.traits.presignedExpires) taken.push('a put after its time')

  probe.features.presignedPut = taken.length === 0
  if (taken.length > 0) return [drawback(name, `accepted, and so is ${taken.join(', and ')}`, remedy)]
  return [noProblem(name, 'accepted; other bytes, lengths, types, keys and late ones are refused')]
}

function lengthened(body: Buffer) {
  return { body, headers: { 'content-length': String(body.length) } }
}

function signPut({ bucket }: Probe, key: string, bytes: Buffer, signedAt?: Date): Promise<Signed> {
  const encryption = encryptionHeaders(bucket.settings.encryption)
  return signProbePut(bucket.signUrl, bucket.fullKey(key), {
    bytes,
    contentType: CONTENT_TYPE,
    signedAt,
    encryption,
  })
}

/**
 * A presigned get: ranges, the type and file name that were signed, and what a second authentication does to
 * it.
 */
export async function checkPresignedGet(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  const name = 'presigned-get'
  if (bucket.settings.encryption?.type === 'sse-c') {
    probe.features.presignedGet = false
    return [noProblem(name, KEY_OF_OURS)]
  }
  const remedy = 'downloads are not redirected to the bucket: all goes through Glassine'
  const key = probe.key('presigned-get')
  const bytes = someBytes(BYTES)
  await putRaw(probe, key, bytes)
  const url = await signProbeGet(bucket.signUrl, bucket.fullKey(key), {
    contentType: CONTENT_TYPE,
    fileName: 'photo.jpg',
  })
  const part = await sendPlain(bucket, 'GET', url, { range: 'bytes=100-199' })
  const whole = await sendPlain(bucket, 'GET', url, {})
  const wrong: string[] = []
  if (part.status !== 206 || !part.bytes.equals(bytes.subarray(100, 200))) wrong.push('ranges')
  if (whole.status !== 200 || !whole.bytes.equals(bytes)) wrong.push(`the whole (${whole.status})`)
  if (whole.headers['content-type'] !== CONTENT_TYPE) wrong.push('the type')
  if (!whole.headers['content-disposition']?.includes('photo.jpg')) wrong.push('the file name')
  probe.features.presignedGet = wrong.length === 0
  probe.traits.presignedGet = wrong.length === 0

  const twice = await sendPlain(bucket, 'GET', url, { authorization: 'Bearer of-another-server' })
  probe.traits.refusesDoubleAuthentication = twice.status >= 400
  const double = noProblem(
    'two-authentications',
    twice.status >= 400
      ? `refused (${twice.status}), so clients that keep sending theirs after a redirect would fail`
      : 'accepted; AWS would refuse them',
  )
  if (wrong.length > 0) return [drawback(name, `does not give ${wrong.join(', ')}`, remedy), double]
  return [noProblem(name, 'ranges, type and file name are as they were signed'), double]
}

/**
 * URLs for browsers name the public address; the server, which may not even reach that, tries them at its
 * own.
 */
export async function notePublicAddress({ bucket }: Probe): Promise<ProbeFinding[]> {
  const { publicEndpoint, endpoint } = bucket.settings
  if (publicEndpoint == null || publicEndpoint === endpoint) return []
  const detail =
    `presigned URLs and CORS rules are tried at ${endpoint ?? 'AWS'}; whether browsers reach ${publicEndpoint} ` +
    "is found out by the page's own probe"
  return [noProblem('public-address', detail)]
}

const CUT = 'cut'

/**
 * Sends a put whose connection is lost before its last byte; what became of it, `checkCutPut` looks at later.
 */
export async function sendCutPut(probe: Probe): Promise<ProbeFinding[]> {
  const { bucket } = probe
  if (bucket.settings.encryption?.type === 'sse-c') return []
  const bytes = someBytes(BYTES)
  const encryption = encryptionHeaders(bucket.settings.encryption)
  const what = { bytes, contentType: CONTENT_TYPE, withoutMd5: true, encryption }
  const signed = await signProbePut(bucket.signUrl, bucket.fullKey(probe.key(CUT)), what)
  await cutShort(signed, bytes.subarray(0, BYTES / 2), bucket)
  return []
}

/** Nothing may be there, some hundred requests after. */
export async function checkCutPut(probe: Probe): Promise<ProbeFinding[]> {
  const name = 'cut-put'
  const key = [...probe.made].find((made) => made.startsWith(`${probe.folder}${CUT}-`))
  if (key === undefined) return []
  probe.traits.refusesCutPut = !(await exists(probe, key))
  if (probe.traits.refusesCutPut) return [noProblem(name, 'leaves nothing')]
  const held = (await readRaw(probe, key)).bytes.length
  const remedy = 'nothing to do: Glassine compares sizes and digests before it trusts a copy'
  return [drawback(name, `of ${BYTES} bytes ${held} were kept`, remedy)]
}

/** Announces more than it sends, then closes the connection; resolves when that is over. */
function cutShort({ url, headers }: Signed, bytes: Buffer, { settings }: S3Bucket): Promise<void> {
  return new Promise((resolve) => {
    const send = url.startsWith('https:') ? requestHttps : requestHttp
    const request = send(url, { method: 'PUT', headers, timeout: settings.requestTimeoutMs })
    request.on('response', (response) => response.resume())
    request.on('timeout', () => request.destroy())
    // Cut by ourselves: that it fails is what was wanted.
    request.on('error', () => undefined)
    request.on('close', resolve)
    request.write(bytes, () => request.destroy())
  })
}

/** The error code in an answer of the service. */
function codeIn(bytes: Buffer): string {
  return /<Code>([^<]*)<\/Code>/.exec(bytes.toString('utf8', 0, 4_000))?.[1] ?? ''
}
