import type { StreamingPut, StreamingPuts } from '../../backend.ts'
import { StorageError } from '../../backend.ts'
import { type BodySource, openBodySource } from '../../bytes/body-source.ts'
import { expectedSha256 } from '../../bytes/read-body.ts'
import { assertObjectKey } from '../../object-key.ts'
import type { S3Bucket } from '../requests/bucket.ts'
import { choosePartBytes, MAX_PARTS_AT_ONCE, openPartWriter, partLimits, type Upload } from './part-writer.ts'
import { assertSha256 } from './put.ts'
import { abortUpload, beginUpload, completeUpload } from './upload.ts'

/** Between these, as many parts as now are sent at once. */
const QUICK_PART_MS = 5_000
const SLOW_PART_MS = 15_000

/** Objects of which parts go up while the rest of them still arrives. */
export function streamingPutS3(bucket: S3Bucket): StreamingPuts {
  return {
    get partBytes() {
      return partLimits(bucket).partBytes
    },

    async begin(key, options) {
      assertObjectKey(key)
      const partBytes = choosePartBytes(bucket, options.expectedBytes ?? 0)
      const uploadId = await beginUpload(bucket, key, options)
      return openStreamingPut(bucket, { key, uploadId, partBytes, source: options.openFile })
    },
  }
}

function openStreamingPut(
  bucket: S3Bucket,
  {
    key,
    uploadId,
    partBytes,
    source: openFile,
  }: {
    key: Upload['key']
    uploadId: string
    partBytes: number
    source: Parameters<StreamingPuts['begin']>[1]['openFile']
  },
): StreamingPut {
  const maxBytes = partBytes * partLimits(bucket).maxParts
  const stop = new AbortController()
  const upload: Upload = { key, uploadId, signal: stop.signal }
  let atOnce = 2
  const writer = openPartWriter(bucket, upload, {
    atOnce: () => atOnce,
    onSent: (_sentBytes, tookMs) => {
      atOnce = nextPartsAtOnce(atOnce, tookMs)
    },
  })
  let source: BodySource | undefined

  async function send(bytes: number): Promise<void> {
    stop.signal.throwIfAborted()
    source ??= await openBodySource({ size: 0, digests: [], open: unreadable, openFile }, stop.signal)
    await writer.send(source, bytes)
  }

  async function end(): Promise<void> {
    stop.abort(new StorageError('unavailable', `the upload of ${key} was given up`))
    await writer.idle()
    await source?.close()
    source = undefined
  }

  return {
    uploadId,

    async advance(availableBytes) {
      if (availableBytes > maxBytes) {
        const message = `${key} is larger than ${maxBytes} bytes, and nobody had announced that: send its Content-Length`
        throw new StorageError('too-large', message)
      }
      while (availableBytes - writer.readBytes() >= partBytes) await send(partBytes)
    },

    async complete(body, signal) {
      const give = () => stop.abort(signal?.reason)
      if (signal?.aborted) give()
      signal?.addEventListener('abort', give, { once: true })
      try {
        while (writer.readBytes() < body.size) await send(Math.min(partBytes, body.size - writer.readBytes()))
        await writer.idle()
        stop.signal.throwIfAborted()
        const sent = writer.sent()
        assertSha256(sent.sha256, expectedSha256(body))
        return await completeUpload(bucket, upload, body, { ...sent, partBytes })
      } finally {
        signal?.removeEventListener('abort', give)
        await source?.close()
        source = undefined
      }
    },

    stop: end,

    async abort() {
      await end()
      await abortUpload(bucket, upload)
    },
  }
}

/**
 * How many parts may be under way after one that took so long. What is under way when the last byte arrives
 * is what somebody waits for, and over a slow line four parts at once would take a minute.
 */
export function nextPartsAtOnce(now: number, tookMs: number): number {
  if (tookMs > SLOW_PART_MS) return Math.max(1, now - 1)
  if (tookMs < QUICK_PART_MS) return Math.min(MAX_PARTS_AT_ONCE, now + 1)
  return now
}

function unreadable(): never {
  throw new TypeError('a growing body is read as a file only')
}
