/**
 * Objects in a folder: durable, streamed, found again after `kill -9`. One process at a time.
 *
 *   buckets/<name>/bucket.json       buckets/<name>/keys/<path of the key>~.json   the records; a rename
 *   commits data/<aa>/<id>                   the bytes, plain
 *   uploads/<id>/upload.json, part-<n>.json incoming/<id>                    bytes on their way in
 *                pending/<n>.note, <n>.new
 */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { createKeyLock } from '../key-lock.ts'
import type { BucketRecord, KeyRecord, ObjectStore, UploadRecord } from '../object-store.ts'
import { createFolderBlobs } from './blobs.ts'
import { createFolderFiles, isErrno, lockFolder, readJson } from './files.ts'
import { recordPath } from './paths.ts'
import { blobsOf, goneSuffix, readParts, recoverFolder } from './recovery.ts'
import { walkRecords } from './walk.ts'

/** Upload ids become folder names: nothing but what we make ourselves may reach the file system. */
const isUploadId = (id: string): boolean => /^[A-Za-z0-9_-]{32}$/.test(id)

/** Throws when another process has the folder, or when it cannot be made or written. */
export async function openFolderStore(options: { path: string; sync: boolean }): Promise<ObjectStore> {
  const root = resolve(options.path)
  const files = createFolderFiles(options.sync)
  const blobs = createFolderBlobs(root, files, options.sync)
  const lock = createKeyLock()
  const bucketPath = (bucket: string): string => join(root, 'buckets', bucket)
  const keysPath = (bucket: string): string => join(bucketPath(bucket), 'keys')
  const uploadPath = (id: string): string => join(root, 'uploads', id)
  const partPath = (id: string, number: number): string =>
    join(uploadPath(id), `part-${String(number).padStart(5, '0')}.json`)
  const readRecord = (bucket: string, key: string): Promise<KeyRecord | undefined> =>
    readJson<KeyRecord>(join(keysPath(bucket), recordPath(key)))
  // Every request asks for its bucket; this process is the only one that changes them.
  const buckets = new Map<string, BucketRecord>()
  let lastChange = 0

  for (const name of ['buckets', 'data', 'incoming', 'pending', 'uploads']) {
    await mkdir(join(root, name), { recursive: true })
  }
  const unlock = await lockFolder(root)
  try {
    await recoverFolder({ root, blobs, readRecord })
    await files.syncFolder(root)
  } catch (error) {
    await unlock()
    throw error
  }

  /**
   * Removes blobs, but those that the key's record names: a change of it that failed may have been made all
   * the same, for its last steps come after the rename.
   */
  const removeUnnamed = async (bucket: string, key: string, ids: string[]): Promise<void> => {
    if (ids.length === 0) return
    const named = new Set(blobsOf(await readRecord(bucket, key)))
    for (const id of ids) if (!named.has(id)) await blobs.remove(id)
  }

  const newChange = (): string => join(root, 'pending', String(++lastChange))
  /** Notes which blobs a change is about, makes it, then removes those it gave up. */
  const change = async (
    about: { bucket: string; key: string; blobs: string[] },
    add: string[],
    giveUp: string[],
    commit: (temporary: string) => Promise<void>,
  ) => {
    const path = newChange()
    await writeFile(`${path}.note`, JSON.stringify(about))
    await blobs.settle(add)
    await commit(`${path}.new`)
    await removeUnnamed(about.bucket, about.key, giveUp)
    await rm(`${path}.note`, { force: true })
  }

  return {
    async listBuckets() {
      const names = (await readdir(join(root, 'buckets'))).sort()
      const found = await Promise.all(
        names.map((name) => readJson<BucketRecord>(join(bucketPath(name), 'bucket.json'))),
      )
      return found.filter((bucket) => bucket !== undefined)
    },
    async readBucket(name) {
      // Any other name would be a path.
      if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) || name.includes('..')) return undefined
      const bucket =
        buckets.get(name) ?? (await readJson<BucketRecord>(join(bucketPath(name), 'bucket.json')))
      if (bucket) buckets.set(name, bucket)
      return bucket
    },
    async writeBucket(bucket) {
      await mkdir(keysPath(bucket.name), { recursive: true })
      await files.writeJson(join(bucketPath(bucket.name), 'bucket.json'), bucket, `${newChange()}.new`)
      await files.syncFolder(join(root, 'buckets'))
      buckets.set(bucket.name, bucket)
    },
    async removeBucket(name) {
      buckets.delete(name)
      await rm(join(bucketPath(name), 'bucket.json'), { force: true })
      await rm(bucketPath(name), { recursive: true, force: true })
    },

    readRecord,
    updateRecord: (bucket, key, decide) =>
      lock(`${bucket}/${key}`, async () => {
        const before = (await readRecord(bucket, key))?.versions ?? []
        const after = await decide([...before])
        if (before.length === 0 && after.length === 0) return
        const blobsBefore = new Set(before.flatMap((version) => version.blobs.map((blob) => blob.id)))
        const blobsAfter = new Set(after.flatMap((version) => version.blobs.map((blob) => blob.id)))
        const add = [...blobsAfter.difference(blobsBefore)]
        const giveUp = [...blobsBefore.difference(blobsAfter)]
        const path = join(keysPath(bucket), recordPath(key))
        await change({ bucket, key, blobs: [...add, ...giveUp] }, add, giveUp, async (temporary) => {
          if (after.length === 0) await files.removeAndPrune(path, keysPath(bucket))
          else await files.writeJson(path, { key, versions: after } satisfies KeyRecord, temporary)
        })
      }),
    records: (bucket, range) => walkRecords(keysPath(bucket), range),

    createBlob: () => blobs.create(),
    copyBlob: (blob) => blobs.copy(blob),
    discardBlob: (bucket, key, blob) => removeUnnamed(bucket, key, [blob.id]),
    readBlob: (blob, range) => blobs.read(blob, range),

    async createUpload(upload) {
      await files.writeJson(join(uploadPath(upload.id), 'upload.json'), upload, `${newChange()}.new`)
    },
    async readUpload(id) {
      if (!isUploadId(id)) return undefined
      const upload = await readJson<UploadRecord>(join(uploadPath(id), 'upload.json'))
      if (!upload) return undefined
      try {
        return { upload, parts: await readParts(uploadPath(id)) }
      } catch (error) {
        if (isErrno(error, 'ENOENT')) return undefined
        throw error
      }
    },
    writePart: (id, part) =>
      lock(`upload ${id}`, async () => {
        const upload = await readJson<UploadRecord>(join(uploadPath(id), 'upload.json'))
        if (!upload) return false
        const replaced = await readJson<typeof part>(partPath(id, part.number))
        const giveUp = replaced ? [replaced.blob.id] : []
        // With the key: should a power cut bring this note back, the object may consist of them by then.
        const { bucket, key } = upload
        const about = { bucket, key, blobs: [part.blob.id, ...giveUp] }
        await change(about, [part.blob.id], giveUp, (temporary) =>
          files.writeJson(partPath(id, part.number), part, temporary),
        )
        return true
      }),
    holdUpload: (id, work) => lock(`upload ${id}`, work),
    async removeUpload(id, keep) {
      if (!isUploadId(id)) return
      const gone = uploadPath(id) + goneSuffix
      await rename(uploadPath(id), gone)
      await files.syncFolder(dirname(gone))
      const upload = await readJson<UploadRecord>(join(gone, 'upload.json'))
      const given = (await readParts(gone)).map(({ blob }) => blob.id).filter((blobId) => !keep.has(blobId))
      if (upload) await removeUnnamed(upload.bucket, upload.key, given)
      await rm(gone, { recursive: true, force: true })
    },
    async listUploads(bucket) {
      const names = (await readdir(join(root, 'uploads'))).filter((name) => !name.endsWith(goneSuffix))
      const found = await Promise.all(
        names.map((name) => readJson<UploadRecord>(join(uploadPath(name), 'upload.json'))),
      )
      return found.filter((upload) => upload?.bucket === bucket).filter((upload) => upload !== undefined)
    },

    damageBlob: (blob, damage) => blobs.damage(blob, damage),
    close: unlock,
  }
}
