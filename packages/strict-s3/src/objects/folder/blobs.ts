/**
 * Blobs as files: received in `incoming/`, at home in `data/<first two digits of the id>/`. Ids are random
 * and never used twice.
 */
import { randomBytes } from 'node:crypto'
import {
  constants,
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  rename,
  rm,
  stat,
  truncate,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BlobRef, BlobWriter } from '../object-store.ts'
import { type FolderFiles, isErrno } from './files.ts'

/** Bytes gathered before they are written: socket chunks of 64 KiB would cost a thread-pool trip each. */
const writeBytes = 1024 * 1024
const readBytes = 256 * 1024

export type FolderBlobs = {
  create(): Promise<BlobWriter>
  copy(blob: BlobRef): Promise<BlobRef>
  remove(id: string): Promise<void>
  /** Moves those of the blobs that are still incoming to their place, durably. */
  settle(ids: string[]): Promise<void>
  read(blob: BlobRef, range: { start: number; end: number }): AsyncIterable<Buffer>
  damage(blob: BlobRef, damage: { flipAt: number } | { truncateTo: number }): Promise<void>
}

async function startWriter(
  path: string,
  id: string,
  sync: boolean,
  onFinish: () => void,
): Promise<BlobWriter> {
  let file: FileHandle | null = await open(path, 'wx')
  let gathered: Buffer[] = []
  let gatheredBytes = 0
  let size = 0
  let underWay: Promise<unknown> = Promise.resolve()
  const flush = async (): Promise<void> => {
    // One write at a time, so that at most two batches are held in memory.
    await underWay
    if (gatheredBytes === 0 || !file) return
    const batch = gathered
    gathered = []
    gatheredBytes = 0
    underWay = writeAll(file, batch)
    // A failure is met at the next `flush`; until then it must not count as unhandled.
    underWay.catch(() => undefined)
  }
  return {
    write(chunk) {
      gathered.push(chunk)
      gatheredBytes += chunk.length
      size += chunk.length
      return gatheredBytes >= writeBytes ? flush() : undefined
    },
    async finish() {
      await flush()
      await underWay
      if (sync) await file?.datasync()
      await file?.close()
      file = null
      onFinish()
      return { id, size }
    },
    async discard() {
      await underWay.catch(() => undefined)
      await file?.close()
      file = null
      await rm(path, { force: true })
    },
  }
}

async function writeAll(file: FileHandle, buffers: Buffer[]): Promise<void> {
  const total = buffers.reduce((sum, buffer) => sum + buffer.length, 0)
  const { bytesWritten } = await file.writev(buffers)
  if (bytesWritten === total) return
  const rest = Buffer.concat(buffers).subarray(bytesWritten)
  for (let at = 0; at < rest.length; ) at += (await file.write(rest, at)).bytesWritten
}

/** Reads one piece ahead, so that the disk works while the socket does. */
async function* readFileRange(path: string, start: number, end: number): AsyncIterable<Buffer> {
  const file = await open(path, 'r')
  const readAt = (position: number): Promise<{ bytesRead: number; buffer: Buffer }> =>
    file.read(Buffer.allocUnsafe(Math.min(readBytes, end - position + 1)), 0, undefined, position)
  let next: ReturnType<typeof readAt> | null = start <= end ? readAt(start) : null
  try {
    for (let position = start; next !== null; ) {
      const { bytesRead, buffer }: Awaited<ReturnType<typeof readAt>> = await next
      if (bytesRead === 0) throw new Error(`${path} ends at byte ${position}, byte ${end} was promised`)
      position += bytesRead
      next = position <= end ? readAt(position) : null
      // Awaited in the next turn, or below: its failure must not count as unhandled meanwhile.
      next?.catch(() => undefined)
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await next?.catch(() => undefined)
    await file.close()
  }
}

export function createFolderBlobs(root: string, files: FolderFiles, sync: boolean): FolderBlobs {
  const incoming = new Set<string>()
  const incomingPath = (id: string): string => join(root, 'incoming', id)
  const homePath = (id: string): string => join(root, 'data', id.slice(0, 2), id)
  const newId = (): string => randomBytes(16).toString('hex')

  return {
    create() {
      const id = newId()
      return startWriter(incomingPath(id), id, sync, () => incoming.add(id))
    },
    async copy(blob) {
      const id = newId()
      try {
        await link(homePath(blob.id), incomingPath(id))
      } catch (error) {
        if (!isErrno(error, 'EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK')) throw error
        await copyFile(homePath(blob.id), incomingPath(id), constants.COPYFILE_FICLONE)
        const file = await open(incomingPath(id), 'r+')
        if (sync) await file.datasync()
        await file.close()
      }
      incoming.add(id)
      return { id, size: blob.size }
    },
    async remove(id) {
      incoming.delete(id)
      await rm(incomingPath(id), { force: true })
      await rm(homePath(id), { force: true })
    },
    async settle(ids) {
      const folders = new Set<string>()
      for (const id of ids) {
        if (!incoming.has(id)) continue
        const folder = dirname(homePath(id))
        if ((await mkdir(folder, { recursive: true })) !== undefined) await files.syncFolder(dirname(folder))
        await rename(incomingPath(id), homePath(id))
        incoming.delete(id)
        folders.add(folder)
      }
      for (const folder of folders) await files.syncFolder(folder)
    },
    read: (blob, { start, end }) => readFileRange(homePath(blob.id), start, end),
    async damage(blob, damage) {
      // On a copy of its own: the file may have another link, from CopyObject, which is to stay whole.
      const path = homePath(blob.id)
      const spoiled = incomingPath(newId())
      await copyFile(path, spoiled)
      if ('truncateTo' in damage)
        await truncate(spoiled, Math.min(damage.truncateTo, (await stat(spoiled)).size))
      else {
        const file = await open(spoiled, 'r+')
        const byte = Buffer.alloc(1)
        await file.read(byte, 0, 1, damage.flipAt)
        await file.write(Buffer.from([byte[0]! ^ 0xff]), 0, 1, damage.flipAt)
        await file.close()
      }
      await rename(spoiled, path)
    },
  }
}
