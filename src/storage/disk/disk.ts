/**
 * Objects as files below one root folder. A put writes under `.incoming/`, syncs, then links into place, so
 * that a key either holds all of the bytes or nothing, and never other bytes than its first.
 */
import { randomUUID } from 'node:crypto'
import { copyFile, type FileHandle, link, open, readdir, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type { Log } from '../../log.ts'
import type {
  Body,
  Features,
  GetOptions,
  LocalFiles,
  ObjectInfo,
  ObjectKey,
  PutOptions,
  PutResult,
  StorageBackend,
} from '../backend.ts'
import { StorageError } from '../backend.ts'
import { readBody } from '../bytes/read-body.ts'
import { mapStreamErrors } from '../bytes/stream-errors.ts'
import { assertObjectKey, MARKER_NAME } from '../object-key.ts'
import { assertPermitted } from '../removal-permit.ts'
import { readDiskCounter, writeDiskCounter } from './counter.ts'
import { codeOf, diskError } from './errors.ts'
import { openFolders, syncFolder } from './folders.ts'
import { listFiles } from './list.ts'
import { watchMount } from './mount.ts'
import { type Link, placeFile } from './place.ts'

const INCOMING = '.incoming'
/** A put that was last written to a day ago belongs to a process that is dead. */
const INCOMING_MAX_AGE_MS = 24 * 3_600_000
/** Larger than the default of 64 KiB: fewer turns of the thread pool per download. */
const READ_CHUNK_BYTES = 262_144
/** `prune` of a neighbour may take a folder away between our making it and our linking into it. */
const PLACE_ATTEMPTS = 5

const DISK_FEATURES: Features = {
  conditionalPut: true,
  conditionalReplace: null,
  conditionalComplete: null,
  enforcedDigests: ['sha256'],
  attestedDigests: [],
  multipartEtagIsMd5OfParts: null,
  maxPutBytes: Number.MAX_SAFE_INTEGER,
  multipart: null,
}

export type DiskBackend = StorageBackend & { readonly localFiles: LocalFiles }

/**
 * `root` must exist before anything is put; only `writeMarker` makes it, and only where `makesRoot`: a folder
 * that is missing may be a disk that is not mounted. `link` is replaced in tests by one that refuses, as file
 * systems without hard links do.
 */
export function openDiskBackend({
  root: givenRoot,
  log,
  makesRoot = true,
  link: linkFile = link,
}: {
  root: string
  log: Log
  makesRoot?: boolean
  link?: Link
}): DiskBackend {
  const root = resolve(givenRoot)
  const mount = watchMount(root, { makesRoot })
  const folders = openFolders(root)
  let features = DISK_FEATURES
  let swept: Promise<void> | undefined

  function pathOf(key: ObjectKey): string {
    assertObjectKey(key)
    return join(root, key)
  }

  /**
   * Runs one operation and maps what the file system throws; an aborted one rejects with the signal's reason.
   */
  async function attempt<T>(
    action: string,
    signal: AbortSignal | undefined,
    run: () => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    try {
      return await run()
    } catch (error) {
      if (signal?.aborted && error === signal.reason) throw error
      if (error instanceof TypeError) throw error
      throw diskError(error, action)
    }
  }

  async function place(from: string, key: ObjectKey): Promise<void> {
    const to = pathOf(key)
    for (let tries = 1; ; tries++) {
      try {
        const folder = await folders.ensure(dirname(key))
        await placeFile(from, to, linkFile)
        await syncFolder(folder)
        return
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' || tries === PLACE_ATTEMPTS) throw error
      }
    }
  }

  async function sweepIncoming(): Promise<void> {
    const folder = await folders.ensure(INCOMING)
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      const age = await stat(path).then(
        ({ mtimeMs }) => Date.now() - mtimeMs,
        () => 0,
      )
      if (age < INCOMING_MAX_AGE_MS) continue
      await rm(path, { force: true })
      log.info({ path }, 'removed what an interrupted write left behind')
    }
  }

  async function openIncoming(): Promise<{ path: string; handle: FileHandle }> {
    await mount.assertPresent()
    swept ??= sweepIncoming().catch((error: unknown) => {
      swept = undefined
      throw error
    })
    await swept
    const path = join(await folders.ensure(INCOMING), randomUUID())
    return { path, handle: await open(path, 'wx') }
  }

  async function describe(key: ObjectKey): Promise<ObjectInfo> {
    const { size, mtime } = await stat(pathOf(key))
    return { key, size, modifiedAt: mtime, attested: [] }
  }

  async function adopt(stagedPath: string, key: ObjectKey): Promise<ObjectInfo> {
    await mount.assertPresent()
    try {
      await place(stagedPath, key)
    } catch (error) {
      // Staging on another file system after all: only a copy helps.
      if (codeOf(error) !== 'EXDEV') throw error
      const { path, handle } = await openIncoming()
      try {
        await copyFile(stagedPath, path)
        await handle.sync()
        await place(path, key)
      } finally {
        await handle.close()
        await rm(path, { force: true })
      }
    }
    return describe(key)
  }

  const localFiles: LocalFiles = {
    path: pathOf,
    adopt: (stagedPath, key) =>
      attempt(`taking ${stagedPath} into ${root}`, undefined, () => adopt(stagedPath, key)),
    space: () =>
      attempt(`asking for the free space of ${root}`, undefined, async () => {
        const { bavail, blocks, bsize } = await statfs(root)
        return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
      }),
  }

  return {
    localFiles,
    get features() {
      return features
    },
    useFeatures(found) {
      features = found
    },

    head(key, { signal } = {}) {
      return attempt(`looking for ${key} in ${root}`, signal, async () => {
        const path = pathOf(key)
        const found = await stat(path).catch((error: unknown) => {
          if (isAbsent(error)) return null
          throw error
        })
        if (found?.isFile()) return { key, size: found.size, modifiedAt: found.mtime, attested: [] }
        await mount.assertPresent()
        return null
      })
    },

    get(key: ObjectKey, { range, signal }: GetOptions = {}) {
      return attempt(`reading ${key} in ${root}`, signal, async () => {
        const handle = await open(pathOf(key), 'r').catch(async (error: unknown) => {
          if (!isAbsent(error)) throw error
          await mount.assertPresent()
          throw new StorageError('not-found', `${root} holds nothing under ${key}`, { cause: error })
        })
        const { size, mtime } = await handle.stat()
        if (range !== undefined && range.start >= size) {
          await handle.close()
          throw new StorageError('corrupt', `${key} has ${size} bytes; byte ${range.start} was asked for`)
        }
        const stream = handle.createReadStream({
          start: range?.start ?? 0,
          // An empty file has no last byte to name.
          ...(size > 0 && { end: Math.min(range?.end ?? size - 1, size - 1) }),
          highWaterMark: READ_CHUNK_BYTES,
          signal,
        })
        mapStreamErrors(stream, (error) =>
          signal?.aborted ? error : diskError(error, `reading ${key} in ${root}`),
        )
        return { key, size, modifiedAt: mtime, attested: [], stream }
      })
    },

    put(key: ObjectKey, body: Body, { signal, onProgress }: PutOptions = {}): Promise<PutResult> {
      return attempt(`writing ${key} in ${root}`, signal, async () => {
        const to = pathOf(key)
        if (
          await stat(to).then(
            () => true,
            () => false,
          )
        ) {
          throw new StorageError('already-exists', `${root} already holds something under ${key}`)
        }
        const { path, handle } = await openIncoming()
        try {
          let written = 0
          const write = async (chunk: Buffer) => {
            await writeAll(handle, chunk)
            written += chunk.length
            onProgress?.(written)
          }
          await readBody(body, write, { signal })
          await handle.sync()
          await place(path, key)
        } finally {
          await handle.close()
          await rm(path, { force: true })
        }
        const held = await describe(key)
        return { ...held, proof: 'enforced', evidence: { modifiedAtMs: held.modifiedAt.getTime() } }
      })
    },

    async delete(permit, { signal } = {}) {
      assertPermitted(permit)
      const { keys } = permit
      const paths = keys.map((key) => ({ key, path: pathOf(key) }))
      await attempt(`deleting in ${root}`, signal, () => mount.assertPresent())
      const failures: unknown[] = []
      for (const { key, path } of paths) {
        signal?.throwIfAborted()
        assertPermitted(permit)
        try {
          await rm(path)
        } catch (error) {
          // A folder is not an object: nothing is held under its name.
          if (!isAbsent(error) && codeOf(error) !== 'ERR_FS_EISDIR') failures.push(error)
        }
        await folders.prune(dirname(key))
      }
      if (failures.length > 0)
        throw diskError(failures[0], `deleting ${failures.length} of ${keys.length} in ${root}`)
    },

    async *list(prefix, { after, signal } = {}) {
      const action = `listing ${root}`
      await attempt(action, signal, () => mount.assertPresent())
      try {
        yield* listFiles(root, { prefix, after, signal })
      } catch (error) {
        signal?.throwIfAborted()
        throw diskError(error, action)
      }
    },

    readMarker: () => attempt(`reading the marker of ${root}`, undefined, mount.readMarker),
    listsMarker: () =>
      attempt(`listing ${root}`, undefined, async () => (await readdir(root)).includes(MARKER_NAME)),
    writeMarker: (id) => attempt(`writing the marker of ${root}`, undefined, () => mount.writeMarker(id)),
    readCounter: () => attempt(`reading the counter of ${root}`, undefined, () => readDiskCounter(root)),
    writeCounter: (text, expected) =>
      attempt(`writing the counter of ${root}`, undefined, async () => {
        await mount.assertPresent()
        return writeDiskCounter(root, text, expected)
      }),
    async close() {},
  }
}

function isAbsent(error: unknown): boolean {
  return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR'
}

/** A write may take less than it was given. */
async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, at)
    at += bytesWritten
  }
}
