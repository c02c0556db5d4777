/**
 * For tests: a look at what a server holds, and ways to spoil it as failing hardware and failing providers
 * do.
 */

import type { ObjectStore, ObjectVersion, UploadRecord } from './objects/object-store.ts'
import { readVersion } from './operations/objects/get-object.ts'

export type StoredObject = { bucket: string; key: string; size: number; etag: string; storageClass: string }

/** Without `bucket`, the first of the buckets that the server was started with. */
export type StoredObjects = {
  /** Every current object. */
  objects(bucket?: string): Promise<StoredObject[]>
  /** All versions and delete markers of all keys: what a versioned bucket really holds. */
  versions(bucket?: string): Promise<{ key: string; version: ObjectVersion }[]>
  bytes(key: string, bucket?: string): Promise<Buffer>
  unfinishedUploads(bucket?: string): Promise<(UploadRecord & { parts: number })[]>
  /** One stored byte becomes another (at `offset`, or in the middle); size and ETag stay. */
  tamper(key: string, options?: { bucket?: string; offset?: number }): Promise<void>
  /** The tail is lost (to `size` bytes, or half): HEAD tells the new size, the ETag stays. */
  truncateStored(key: string, options?: { bucket?: string; size?: number }): Promise<void>
  /** The class becomes another one behind its owner's back, as a lifecycle rule of the bucket does it. */
  reclass(key: string, storageClass: string, bucket?: string): Promise<void>
  /** The object is gone, without a delete marker. */
  vanish(key: string, bucket?: string): Promise<void>
}

export function lookAtStored(store: ObjectStore, firstBucket: string): StoredObjects {
  const newest = async (bucket: string, key: string): Promise<ObjectVersion> => {
    const version = (await store.readRecord(bucket, key))?.versions[0]
    if (!version || version.deleteMarker) throw new Error(`no object ${key} in bucket ${bucket}`)
    return version
  }
  const all = async (bucket: string) => Array.fromAsync(store.records(bucket, { prefix: '', from: null }))
  return {
    async objects(bucket = firstBucket) {
      const found: StoredObject[] = []
      for (const { key, versions } of await all(bucket)) {
        const version = versions[0]
        if (!version || version.deleteMarker) continue
        found.push({
          bucket,
          key,
          size: version.size,
          etag: version.etag,
          storageClass: version.storageClass,
        })
      }
      return found
    },
    async versions(bucket = firstBucket) {
      return (await all(bucket)).flatMap(({ key, versions }) => versions.map((version) => ({ key, version })))
    },
    async bytes(key, bucket = firstBucket) {
      const version = await newest(bucket, key)
      return Buffer.concat(
        await Array.fromAsync(readVersion(store, version, { start: 0, end: version.size - 1 })),
      )
    },
    async unfinishedUploads(bucket = firstBucket) {
      const uploads = await store.listUploads(bucket)
      return Promise.all(
        uploads.map(async (upload) => ({
          ...upload,
          parts: (await store.readUpload(upload.id))?.parts.length ?? 0,
        })),
      )
    },
    async tamper(key, { bucket = firstBucket, offset } = {}) {
      const version = await newest(bucket, key)
      let at = offset ?? Math.floor(version.size / 2)
      for (const blob of version.blobs) {
        if (at < blob.size) return store.damageBlob(blob, { flipAt: at })
        at -= blob.size
      }
      throw new Error(`${key} has ${version.size} bytes, none at ${offset}`)
    },
    async truncateStored(key, { bucket = firstBucket, size } = {}) {
      const version = await newest(bucket, key)
      const target = size ?? Math.floor(version.size / 2)
      let left = target
      const blobs = version.blobs.map((blob) => {
        const kept = Math.min(left, blob.size)
        left -= kept
        return { ...blob, size: kept }
      })
      for (const blob of blobs) await store.damageBlob(blob, { truncateTo: blob.size })
      await store.updateRecord(bucket, key, ([first, ...older]) => [
        { ...first!, size: target, blobs },
        ...older,
      ])
    },
    async reclass(key, storageClass, bucket = firstBucket) {
      await newest(bucket, key)
      await store.updateRecord(bucket, key, ([first, ...older]) => [{ ...first!, storageClass }, ...older])
    },
    async vanish(key, bucket = firstBucket) {
      await newest(bucket, key)
      await store.updateRecord(bucket, key, () => [])
    },
  }
}
