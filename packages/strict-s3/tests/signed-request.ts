/**
 * A SigV4 client of a few lines, written apart from the server's own code, whose requests can be spoilt at
 * every place that an SDK would not let one touch.
 */
import { createHash, createHmac } from 'node:crypto'
import { type IncomingHttpHeaders, request } from 'node:http'

export const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'a secret/with+signs' }
export const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex')
export const md5Base64 = (data: string | Buffer): string => createHash('md5').update(data).digest('base64')
const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest()
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

export type Spec = {
  method?: string
  /** Decoded. */
  path: string
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: string | Buffer
  /** `x-amz-content-sha256`; by default the body's hash. */
  payload?: string
  date?: Date
  region?: string
  accessKeyId?: string
  secretAccessKey?: string
  /** Applied to what was signed, just before it leaves. */
  spoil?: (wire: Wire) => void
}
export type Wire = { method: string; url: string; headers: Record<string, string>; body: string | Buffer }
export type Answer = {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  text: string
  code: string | undefined
}

const amzDate = (date: Date): string => date.toISOString().replace(/[-:]|\.\d+/g, '')
const keyFor = (secret: string, day: string, region: string): Buffer =>
  hmac(hmac(hmac(hmac(`AWS4${secret}`, day), region), 's3'), 'aws4_request')

/** Signs by header; also gives what the signatures of chunks start from. */
export function signByHeader(endpoint: string, spec: Spec): { wire: Wire; seed: Seed } {
  const method = spec.method ?? 'GET'
  const body = spec.body ?? ''
  const date = amzDate(spec.date ?? new Date())
  const region = spec.region ?? 'us-east-1'
  const scope = `${date.slice(0, 8)}/${region}/s3/aws4_request`
  const payload = spec.payload ?? sha256(body)
  const headers: Record<string, string> = {
    host: new URL(endpoint).host,
    'x-amz-date': date,
    'x-amz-content-sha256': payload,
    ...spec.headers,
  }
  const names = Object.keys(headers).sort()
  const query = Object.entries(spec.query ?? {})
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const path = spec.path.split('/').map(encode).join('/')
  const canonical = [
    method,
    path,
    query,
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    payload,
  ]
  const key = keyFor(spec.secretAccessKey ?? credentials.secretAccessKey, date.slice(0, 8), region)
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical.join('\n'))].join('\n')
  const signature = hmac(key, toSign).toString('hex')
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${spec.accessKeyId ?? credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  if (method === 'PUT' || method === 'POST') headers['content-length'] ??= String(Buffer.byteLength(body))
  const wire = { method, url: query ? `${path}?${query}` : path, headers, body }
  spec.spoil?.(wire)
  return { wire, seed: { key, date, scope, signature } }
}

export type Seed = { key: Buffer; date: string; scope: string; signature: string }

/** Frames chunks as `aws-chunked`, signed when there is a seed. */
export function frameChunks(
  chunks: Buffer[],
  options: { seed?: Seed; trailers?: Record<string, string>; trailerSignature?: string } = {},
): Buffer {
  const { seed } = options
  let previous = seed?.signature ?? ''
  const sign = (kind: string, hashes: string[]): string => {
    previous = hmac(
      seed!.key,
      [`AWS4-HMAC-SHA256-${kind}`, seed!.date, seed!.scope, previous, ...hashes].join('\n'),
    ).toString('hex')
    return previous
  }
  const out: Buffer[] = []
  for (const chunk of [...chunks, Buffer.alloc(0)]) {
    const signature = seed ? `;chunk-signature=${sign('PAYLOAD', [sha256(''), sha256(chunk)])}` : ''
    out.push(Buffer.from(`${chunk.length.toString(16)}${signature}\r\n`), chunk)
    if (chunk.length > 0) out.push(Buffer.from('\r\n'))
  }
  const trailers = Object.entries(options.trailers ?? {})
  for (const [name, value] of trailers) out.push(Buffer.from(`${name}:${value}\r\n`))
  if (seed && trailers.length > 0) {
    const canonical = trailers.map(([name, value]) => `${name}:${value}\n`).join('')
    const signature = options.trailerSignature ?? sign('TRAILER', [sha256(canonical)])
    out.push(Buffer.from(`x-amz-trailer-signature:${signature}\r\n`))
  }
  out.push(Buffer.from('\r\n'))
  return Buffer.concat(out)
}

export function presign(
  endpoint: string,
  spec: Spec & { expires?: number; signedHeaders?: Record<string, string> },
): string {
  const method = spec.method ?? 'GET'
  const date = amzDate(spec.date ?? new Date())
  const region = spec.region ?? 'us-east-1'
  const scope = `${date.slice(0, 8)}/${region}/s3/aws4_request`
  const headers: Record<string, string> = { host: new URL(endpoint).host, ...spec.signedHeaders }
  const names = Object.keys(headers).sort()
  const query = Object.entries({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${spec.accessKeyId ?? credentials.accessKeyId}/${scope}`,
    'X-Amz-Date': date,
    'X-Amz-Expires': String(spec.expires ?? 60),
    'X-Amz-SignedHeaders': names.join(';'),
    ...spec.query,
  })
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&')
  const path = spec.path.split('/').map(encode).join('/')
  const canonical = [
    method,
    path,
    query,
    ...names.map((name) => `${name}:${headers[name]}`),
    '',
    names.join(';'),
    'UNSIGNED-PAYLOAD',
  ]
  const toSign = ['AWS4-HMAC-SHA256', date, scope, sha256(canonical.join('\n'))].join('\n')
  const key = keyFor(spec.secretAccessKey ?? credentials.secretAccessKey, date.slice(0, 8), region)
  return `${endpoint}${path}?${query}&X-Amz-Signature=${hmac(key, toSign).toString('hex')}`
}

/** Sends it on a connection of its own, with nothing added. */
export function send(endpoint: string, wire: Partial<Wire> & { url: string }): Promise<Answer> {
  const { hostname, port } = new URL(endpoint)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        hostname,
        port,
        method: wire.method ?? 'GET',
        path: wire.url,
        headers: wire.headers ?? {},
        agent: false,
        setDefaultHeaders: wire.headers?.host === undefined,
      },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const body = Buffer.concat(chunks)
          const text = body.toString('utf8')
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            body,
            text,
            code: /<Code>(.*?)<\/Code>/.exec(text)?.[1],
          })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(wire.body ?? '')
  })
}

export function sendSigned(endpoint: string, spec: Spec): Promise<Answer> {
  return send(endpoint, signByHeader(endpoint, spec).wire)
}

export function sendUrl(url: string, wire: Omit<Partial<Wire>, 'url'> = {}): Promise<Answer> {
  const { origin, host } = new URL(url)
  return send(origin, { ...wire, url: url.slice(origin.length), headers: { host, ...wire.headers } })
}
