import { finished } from 'node:stream'
import type { Archive, Copies, GetOptions, ObjectKey, StorageBackend } from './backend.ts'
import { openSlots } from './slots.ts'

/** How many calls may be under way at once. Reads and writes wait apart: an offload never makes a viewer wait. */
export type Limits = { reads: number; writes: number; others: number }

/**
 * Bounds what one location is asked at once. A get holds its slot until its stream has ended or was destroyed; whoever
 * is aborted while waiting leaves the queue.
 */
export function withLimits(inner: StorageBackend, limits: Limits): StorageBackend {
  const reads = openSlots(limits.reads)
  const writes = openSlots(limits.writes)
  const others = openSlots(limits.others)

  const { multipart } = inner

  async function get(key: ObjectKey, options?: GetOptions) {
    const release = await reads.take(options?.signal)
    try {
      const got = await inner.get(key, options)
      finished(got.stream, { writable: false }, release)
      return got
    } catch (error) {
      release()
      throw error
    }
  }

  return {
    get features() {
      return inner.features
    },
    useFeatures: (features) => inner.useFeatures(features),
    get,
    head: (key, options) => others.run(options?.signal, () => inner.head(key, options)),
    put: (key, body, options) => writes.run(options?.signal, () => inner.put(key, body, options)),
    delete: (keys, options) => others.run(options?.signal, () => inner.delete(keys, options)),
    // A listing lasts as long as its reader likes, so it holds no slot; its pages come one at a time anyway.
    list: (prefix, options) => inner.list(prefix, options),
    readMarker: (options) => others.run(options?.signal, () => inner.readMarker(options)),
    writeMarker: (id) => others.run(undefined, () => inner.writeMarker(id)),
    ...(inner.localFiles && { localFiles: inner.localFiles }),
    ...(inner.presign && { presign: inner.presign }),
    // Parts are sent by others; what we ask about them is small.
    ...(multipart && {
      multipart: {
        ...multipart,
        begin: (key, options) => others.run(options?.signal, () => multipart.begin(key, options)),
        listParts: (key, uploadId, options) =>
          others.run(options?.signal, () => multipart.listParts(key, uploadId, options)),
        complete: (key, uploadId, parts, options) =>
          writes.run(options?.signal, () => multipart.complete(key, uploadId, parts, options)),
        abort: (key, uploadId) => others.run(undefined, () => multipart.abort(key, uploadId)),
      },
    }),
    ...(inner.growing && { growing: inner.growing }),
    ...(inner.copies && {
      copies: {
        copy: (from: ObjectKey, to: ObjectKey, options: Parameters<Copies['copy']>[2]) =>
          writes.run(options.signal, () => inner.copies!.copy(from, to, options)),
      },
    }),
    ...(inner.archive && {
      archive: {
        restore: (key: ObjectKey, options: Parameters<Archive['restore']>[1]) =>
          others.run(undefined, () => inner.archive!.restore(key, options)),
      },
    }),
    close: () => inner.close(),
  }
}
