/**
 * Uploads a file past the server into its bucket: announce, put with signed URLs, confirm, wait for the
 * proof. Nothing but what it is given is used, so that it runs in browsers and in Node. Whoever lost
 * everything announces the same file again: the server answers with the same upload and what of it is there.
 */
import type {
  AnnounceAnswer,
  Announcement,
  DirectUpload,
  DirectUploadConfig,
  SignedParts,
} from './protocol.ts'
import type { Put } from './put.ts'

export type Ports = {
  /** A call of the server's API, `path` below `/api`; JSON in and out; throws what the server refuses. */
  call<T>(method: string, path: string, options?: { body?: unknown; signal?: AbortSignal }): Promise<T>
  put: Put
  /** Lower-case hex. */
  md5(part: Blob): Promise<string>
  sleep(ms: number): Promise<void>
}

/**
 * `unreachable`: the bucket gave no answer, so another way may work. `refused`: it said no. `failed`: the
 * proof did.
 */
export class DirectUploadError extends Error {
  readonly kind: 'unreachable' | 'refused' | 'failed'

  constructor(kind: DirectUploadError['kind'], message: string) {
    super(message)
    this.name = 'DirectUploadError'
    this.kind = kind
  }
}

export type UploadOptions = {
  signal?: AbortSignal
  /** Bytes that are in the bucket or on the way to it. */
  onProgress?: (bytes: number) => void
  /** The server knows of it; its id is what a later page is told. */
  onAsked?: (uploadId: string) => void
  /** All bytes are there, and the server was told; what follows is its proof. */
  onReceived?: () => void
  /** Awaited before every put: resolves at once unless the upload is paused. */
  whilePaused?: () => Promise<void>
}

export type Uploaded = { id: string; status: 'created' | 'duplicate' }

const PARTS_AT_ONCE = 4
const TRIES = 4
const FIRST_DELAY_MS = 500

/** Resolves when the asset is there. @throws DirectUploadError, the signal's reason, or what `call` throws */
export async function uploadDirectly(
  ports: Ports,
  file: Blob,
  announcement: Announcement,
  { wait, ...options }: UploadOptions & { wait: ProofWatch },
): Promise<Uploaded> {
  const { signal } = options
  const ask = () => ports.call<AnnounceAnswer>('POST', '/storage/uploads', { body: announcement, signal })
  // Not cut: an announcement whose answer nobody hears is an upload that nobody gives up.
  const asked = await ports.call<AnnounceAnswer>('POST', '/storage/uploads', { body: announcement })
  if (asked.status === 'duplicate') return asked
  options.onAsked?.(asked.id)
  signal?.throwIfAborted()
  if (asked.state === 'open') {
    if (asked.put !== null) await putWhole(ports, file, { first: asked, ask, options })
    else await putParts(ports, file, asked, options)
    await ports.call('POST', `/storage/uploads/${asked.id}/confirm`, { signal })
  }
  options.onReceived?.()
  const ended = await wait(asked.id, signal)
  if (ended.assetId === null)
    throw new DirectUploadError('failed', ended.reason ?? `the upload ended as ${ended.state}`)
  return { id: ended.assetId, status: ended.state === 'duplicate' ? 'duplicate' : 'created' }
}

type Asked = Exclude<AnnounceAnswer, { status: 'duplicate' }>
const cleared = async () => undefined

async function putWhole(
  ports: Ports,
  file: Blob,
  {
    first,
    ask,
    options: { signal, onProgress, whilePaused = cleared },
  }: { first: Asked; ask: () => Promise<AnnounceAnswer>; options: UploadOptions },
): Promise<void> {
  let signed = first.put
  await tryAgain(ports, signal, async () => {
    await whilePaused()
    if (signed === null || Date.parse(signed.expiresAt) < Date.now()) {
      const again = await ask()
      signed = again.status === 'duplicate' ? null : again.put
    }
    if (signed === null) return 200
    const status = await ports.put(signed, file, { signal, onProgress })
    // Refused for its age, most likely: a clock that is wrong here says nothing about it there.
    if (status === 403) signed = null
    return status
  })
}

async function putParts(
  ports: Ports,
  file: Blob,
  upload: Asked,
  { signal, onProgress, whilePaused = cleared }: UploadOptions,
): Promise<void> {
  const { partBytes, count } = upload.parts!
  const sent = new Map(upload.present.map(({ number, size }) => [number, size]))
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !sent.has(number))
  const tell = () => onProgress?.([...sent.values()].reduce((sum, bytes) => sum + bytes, 0))
  tell()
  for (let start = 0; start < missing.length; start += PARTS_AT_ONCE) {
    await whilePaused()
    const batch: { number: number; body: Blob; md5: string }[] = []
    for (const number of missing.slice(start, start + PARTS_AT_ONCE)) {
      const body = file.slice((number - 1) * partBytes, number * partBytes)
      batch.push({ number, body, md5: await ports.md5(body) })
    }
    const sign = async (parts: typeof batch) =>
      ports.call<SignedParts>('POST', `/storage/uploads/${upload.id}/parts`, {
        body: { parts: parts.map(({ number, body, md5 }) => ({ number, size: body.size, md5 })) },
        signal,
      })
    const signed = new Map((await sign(batch)).parts.map((part) => [part.number, part]))
    await Promise.all(
      batch.map((part) =>
        tryAgain(ports, signal, async (attempt) => {
          if (attempt > 1) signed.set(part.number, (await sign([part])).parts[0]!)
          const status = await ports.put(signed.get(part.number)!, part.body, {
            signal,
            onProgress(bytes) {
              sent.set(part.number, bytes)
              tell()
            },
          })
          if (status >= 200 && status < 300) sent.set(part.number, part.body.size)
          return status
        }),
      ),
    )
  }
}

/**
 * Until the bucket has taken it, some times. 412: it was there already, an answer that was lost on the way
 * said so.
 */
async function tryAgain(
  ports: Ports,
  signal: AbortSignal | undefined,
  run: (attempt: number) => Promise<number>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    let failure: DirectUploadError
    try {
      const status = await run(attempt)
      if ((status >= 200 && status < 300) || status === 412) return
      failure = new DirectUploadError('refused', `the bucket refused the file (${status})`)
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof TypeError)) throw error
      failure = new DirectUploadError('unreachable', 'the bucket gave no answer')
    }
    if (attempt >= TRIES) throw failure
    await ports.sleep(FIRST_DELAY_MS * 2 ** (attempt - 1))
    signal?.throwIfAborted()
  }
}

export type ProofWatch = (uploadId: string, signal?: AbortSignal) => Promise<DirectUpload>

const IDS_PER_REQUEST = 100
const FIRST_LOOK_MS = 300
const LONGEST_LOOK_MS = 5_000

/** Waits for proofs. One request asks for all that are waited for, more rarely the longer nothing ends. */
export function createProofWatch(ports: Pick<Ports, 'call' | 'sleep'>): ProofWatch {
  const waiting = new Map<string, { resolve(upload: DirectUpload): void; reject(error: unknown): void }>()
  let isLooking = false

  async function look(): Promise<void> {
    let delayMs = FIRST_LOOK_MS
    let failures = 0
    while (waiting.size > 0) {
      await ports.sleep(delayMs)
      const ids = [...waiting.keys()].slice(0, IDS_PER_REQUEST)
      if (ids.length === 0) break
      try {
        const { uploads } = await ports.call<{ uploads: DirectUpload[] }>(
          'GET',
          `/storage/uploads?ids=${ids.join(',')}`,
        )
        const ended = uploads.filter(({ state }) => state !== 'open' && state !== 'received')
        for (const upload of ended) {
          waiting.get(upload.id)?.resolve(upload)
          waiting.delete(upload.id)
        }
        // Rotate the polled ids: one request carries at most IDS_PER_REQUEST, and the others need their turn.
        for (const id of ids) {
          const entry = waiting.get(id)
          if (entry && waiting.size > IDS_PER_REQUEST) {
            waiting.delete(id)
            waiting.set(id, entry)
          }
        }
        delayMs = ended.length > 0 ? FIRST_LOOK_MS : Math.min(LONGEST_LOOK_MS, delayMs * 1.5)
        failures = 0
      } catch (error) {
        // The server may be restarting; the upload goes on without us.
        failures += 1
        if (failures > 20) {
          for (const { reject } of waiting.values()) reject(error)
          waiting.clear()
        }
        delayMs = LONGEST_LOOK_MS
      }
    }
    isLooking = false
  }

  return (uploadId, signal) =>
    new Promise((resolve, reject) => {
      const abort = () => {
        waiting.delete(uploadId)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', abort, { once: true })
      waiting.set(uploadId, { resolve, reject })
      if (isLooking) return
      isLooking = true
      void look()
    })
}

/**
 * Null where files may go straight into the bucket, as far as the server can tell; else why not, for people.
 */
export function whyNotDirect(config: DirectUploadConfig, pageOrigin: string | null): string | null {
  if (!config.isAvailable) return config.reason ?? 'the server offers none'
  if (config.isDemonstration && pageOrigin !== null && !isLoopback(new URL(pageOrigin).hostname))
    return 'the demonstration bucket can be reached from its own machine only'
  return null
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname)
}
