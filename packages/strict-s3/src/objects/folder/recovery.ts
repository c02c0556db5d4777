/**
 * What a killed process leaves behind, put in order at the next start. Work is proportional to what was under
 * way, never to what is stored.
 */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyRecord, PartRecord, UploadRecord } from '../object-store.ts'
import type { FolderBlobs } from './blobs.ts'
import { readJson } from './files.ts'

/**
 * Written before a change of a record or a part, removed after it: which blobs of which key it was about. Null:
 * of a part, as earlier versions noted it.
 */
export type Pending = { bucket: string | null; key: string | null; blobs: string[] }

export type Recovery = {
  root: string
  blobs: FolderBlobs
  readRecord(bucket: string, key: string): Promise<KeyRecord | undefined>
}

export const goneSuffix = '.gone'

export const blobsOf = (record: KeyRecord | undefined): string[] =>
  record?.versions.flatMap((version) => version.blobs.map((blob) => blob.id)) ?? []

export async function readParts(folder: string): Promise<PartRecord[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith('part-')).sort()
  const parts = await Promise.all(names.map((name) => readJson<PartRecord>(join(folder, name))))
  return parts.filter((part) => part !== undefined)
}

/** Ends uploads that were completed or aborted but not yet forgotten; gives the blobs of those that go on. */
async function recoverUploads({ root, blobs, readRecord }: Recovery): Promise<Set<string>> {
  const live = new Set<string>()
  for (const name of await readdir(join(root, 'uploads'))) {
    const folder = join(root, 'uploads', name)
    const upload = await readJson<UploadRecord>(join(folder, 'upload.json'))
    const parts = await readParts(folder)
    const record = upload && (await readRecord(upload.bucket, upload.key))
    const completed = record?.versions.find((version) => version.upload?.id === upload?.id)
    if (upload && !completed && !name.endsWith(goneSuffix)) {
      for (const part of parts) live.add(part.blob.id)
      continue
    }
    const kept = new Set(completed?.blobs.map((blob) => blob.id))
    for (const part of parts) if (!kept.has(part.blob.id)) await blobs.remove(part.blob.id)
    await rm(folder, { recursive: true, force: true })
  }
  return live
}

export async function recoverFolder(recovery: Recovery): Promise<void> {
  const { root, blobs, readRecord } = recovery
  const live = await recoverUploads(recovery)
  for (const name of await readdir(join(root, 'pending'))) {
    const path = join(root, 'pending', name)
    // A half-written note was followed by no change: there is nothing to undo.
    const pending = name.endsWith('.note') ? await readJson<Pending>(path).catch(() => undefined) : undefined
    if (pending) {
      const record =
        pending.bucket !== null && pending.key !== null
          ? await readRecord(pending.bucket, pending.key)
          : undefined
      const kept = new Set(blobsOf(record))
      for (const id of pending.blobs) if (!kept.has(id) && !live.has(id)) await blobs.remove(id)
    }
    await rm(path, { force: true })
  }
  for (const name of await readdir(join(root, 'incoming')))
    await rm(join(root, 'incoming', name), { force: true })
}
