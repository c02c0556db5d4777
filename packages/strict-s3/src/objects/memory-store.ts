/** Objects in memory: for tests. Everything goes with the process. */
import { createKeyLock } from './key-lock.ts'
import { comparePaths, isBehind } from './list-order.ts'
import type {
  BlobRef,
  BucketRecord,
  KeyRecord,
  ObjectStore,
  PartRecord,
  UploadRecord,
} from './object-store.ts'

type Bucket = { record: BucketRecord; records: Map<string, KeyRecord>; sortedKeys: string[] | null }

const readChunkBytes = 256 * 1024

export function createMemoryStore(): ObjectStore {
  const buckets = new Map<string, Bucket>()
  const blobs = new Map<string, Buffer>()
  const uploads = new Map<string, { upload: UploadRecord; parts: Map<number, PartRecord> }>()
  const lock = createKeyLock()
  let lastBlob = 0

  const addBlob = (bytes: Buffer): BlobRef => {
    const id = String(++lastBlob)
    blobs.set(id, bytes)
    return { id, size: bytes.length }
  }
  const bytesOf = (blob: BlobRef): Buffer => {
    const bytes = blobs.get(blob.id)
    if (bytes === undefined) throw new Error(`blob ${blob.id} is gone`)
    return bytes
  }

  return {
    listBuckets: async () => [...buckets.values()].map((bucket) => bucket.record),
    readBucket: async (name) => buckets.get(name)?.record,
    writeBucket: async (record) => {
      const bucket = buckets.get(record.name)
      if (bucket) bucket.record = record
      else buckets.set(record.name, { record, records: new Map(), sortedKeys: [] })
    },
    removeBucket: async (name) => {
      buckets.delete(name)
    },

    readRecord: async (bucket, key) => buckets.get(bucket)?.records.get(key),
    updateRecord: (bucketName, key, change) =>
      lock(`${bucketName}/${key}`, async () => {
        const bucket = buckets.get(bucketName)
        if (bucket === undefined) throw new Error(`bucket ${bucketName} is gone`)
        const before = bucket.records.get(key)?.versions ?? []
        const after = await change([...before])
        if (before.length === 0 || after.length === 0) bucket.sortedKeys = null
        if (after.length === 0) bucket.records.delete(key)
        else bucket.records.set(key, { key, versions: after })
        const kept = new Set(after.flatMap((version) => version.blobs.map((blob) => blob.id)))
        for (const version of before)
          for (const blob of version.blobs) if (!kept.has(blob.id)) blobs.delete(blob.id)
      }),
    async *records(bucketName, { prefix, from }) {
      const bucket = buckets.get(bucketName)
      if (bucket === undefined) return
      bucket.sortedKeys ??= [...bucket.records.keys()].sort(comparePaths)
      for (const key of bucket.sortedKeys) {
        if (!key.startsWith(prefix) || !isBehind(key, from)) continue
        const record = bucket.records.get(key)
        if (record) yield record
      }
    },

    createBlob: async () => {
      const chunks: Buffer[] = []
      return {
        write: (chunk) => {
          chunks.push(chunk)
        },
        finish: async () => addBlob(Buffer.concat(chunks)),
        discard: async () => {
          chunks.length = 0
        },
      }
    },
    copyBlob: async (blob) => addBlob(Buffer.from(bytesOf(blob))),
    discardBlob: async (_bucket, _key, blob) => {
      blobs.delete(blob.id)
    },
    async *readBlob(blob, { start, end }) {
      const bytes = bytesOf(blob)
      for (let at = start; at <= end && at < bytes.length; at += readChunkBytes) {
        yield bytes.subarray(at, Math.min(at + readChunkBytes, end + 1))
      }
    },

    createUpload: async (upload) => {
      uploads.set(upload.id, { upload, parts: new Map() })
    },
    readUpload: async (id) => {
      const found = uploads.get(id)
      if (found === undefined) return undefined
      return { upload: found.upload, parts: [...found.parts.values()].sort((a, b) => a.number - b.number) }
    },
    writePart: (id, part) =>
      lock(`upload ${id}`, async () => {
        const found = uploads.get(id)
        if (found === undefined) return false
        const replaced = found.parts.get(part.number)
        found.parts.set(part.number, part)
        if (replaced) blobs.delete(replaced.blob.id)
        return true
      }),
    holdUpload: (id, work) => lock(`upload ${id}`, work),
    removeUpload: async (id, keep) => {
      for (const part of uploads.get(id)?.parts.values() ?? [])
        if (!keep.has(part.blob.id)) blobs.delete(part.blob.id)
      uploads.delete(id)
    },
    listUploads: async (bucket) =>
      [...uploads.values()].map((found) => found.upload).filter((upload) => upload.bucket === bucket),

    damageBlob: async (blob, damage) => {
      const bytes = Buffer.from(bytesOf(blob))
      if ('flipAt' in damage) bytes[damage.flipAt] = bytes[damage.flipAt]! ^ 0xff
      blobs.set(blob.id, 'flipAt' in damage ? bytes : bytes.subarray(0, damage.truncateTo))
    },
    close: async () => undefined,
  }
}
