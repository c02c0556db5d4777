import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type {
  Body,
  ByteRange,
  Features,
  GetOptions,
  ObjectInfo,
  ObjectKey,
  PutOptions,
  PutResult,
  StorageBackend,
} from '../backend.ts'
import { StorageError } from '../backend.ts'
import { digestsOf, digestValue } from '../bytes/digest.ts'
import { readBody } from '../bytes/read-body.ts'
import { assertObjectKey } from '../object-key.ts'
import { assertPermitted } from '../removal-permit.ts'

type Held = { bytes: Buffer; modifiedAt: Date }

/** `held` is what it holds, open to tests that want to damage or lose bytes behind the backend's back. */
export type MemoryBackend = StorageBackend & { readonly held: Map<string, Held> }

const CHUNK_BYTES = 65_536

const MEMORY_FEATURES: Features = {
  conditionalPut: true,
  conditionalReplace: true,
  conditionalComplete: null,
  enforcedDigests: ['sha256'],
  attestedDigests: ['md5'],
  multipartEtagIsMd5OfParts: null,
  maxPutBytes: 2 ** 31,
  multipart: null,
}

/**
 * Objects in memory, for tests and rehearsals. Digests are computed over what is held at the time of asking.
 */
export function openMemoryBackend(options: { features?: Partial<Features> } = {}): MemoryBackend {
  let features: Features = { ...MEMORY_FEATURES, ...options.features }
  const held = new Map<string, Held>()
  let marker: string | null = null
  let counter: { text: string; version: string; at: number } | null = null

  function infoOf(key: ObjectKey, { bytes, modifiedAt }: Held): ObjectInfo {
    return { key, size: bytes.length, modifiedAt, attested: digestsOf(bytes, features.attestedDigests) }
  }

  return {
    held,
    get features() {
      return features
    },
    useFeatures(found) {
      features = found
    },

    async head(key, { signal } = {}) {
      assertObjectKey(key)
      signal?.throwIfAborted()
      const found = held.get(key)
      return found === undefined ? null : infoOf(key, found)
    },

    async get(key: ObjectKey, { range, signal }: GetOptions = {}) {
      assertObjectKey(key)
      signal?.throwIfAborted()
      const found = held.get(key)
      if (found === undefined) throw new StorageError('not-found', `nothing is held under ${key}`)
      const stream = Readable.from(chunksOf(sliceOf(key, found.bytes, range)), { objectMode: false, signal })
      return { ...infoOf(key, found), stream }
    },

    async put(key: ObjectKey, body: Body, { signal, onProgress }: PutOptions = {}): Promise<PutResult> {
      assertObjectKey(key)
      if (held.has(key)) throw alreadyExists(key)
      const chunks: Buffer[] = []
      let received = 0
      const keep = (chunk: Buffer) => {
        chunks.push(chunk)
        received += chunk.length
        onProgress?.(received)
      }
      await readBody(body, keep, { signal })
      if (held.has(key)) throw alreadyExists(key)
      const now: Held = { bytes: Buffer.concat(chunks), modifiedAt: new Date() }
      held.set(key, now)
      const info = infoOf(key, now)
      const md5 = digestValue(info.attested, 'md5')
      return { ...info, proof: info.attested.length > 0 ? 'attested' : 'enforced', evidence: { md5 } }
    },

    async delete(permit, { signal } = {}) {
      assertPermitted(permit)
      const { keys } = permit
      for (const key of keys) assertObjectKey(key)
      signal?.throwIfAborted()
      for (const key of keys) held.delete(key)
    },

    async *list(prefix, { after, signal } = {}) {
      for (const key of [...held.keys()].sort()) {
        signal?.throwIfAborted()
        const found = held.get(key)
        if (found === undefined || !key.startsWith(prefix) || (after !== undefined && key <= after)) continue
        yield { ...infoOf(key as ObjectKey, found), attested: [] }
      }
    },

    async readMarker() {
      return marker
    },
    async listsMarker() {
      return marker !== null
    },
    async writeMarker(id) {
      marker = id
    },
    async readCounter() {
      return counter && { text: counter.text, version: counter.version, ageMs: Date.now() - counter.at }
    },
    async writeCounter(text, expected) {
      if ((counter?.version ?? null) !== expected) throw counterTaken()
      counter = { text, version: randomUUID(), at: Date.now() }
      return counter.version
    },
    async close() {},
  }
}

function counterTaken(): StorageError {
  return new StorageError('already-exists', 'another counter is held than the expected one')
}

function alreadyExists(key: string): StorageError {
  return new StorageError('already-exists', `${key} is taken`)
}

function sliceOf(key: string, bytes: Buffer, range: ByteRange | undefined): Buffer {
  if (range === undefined) return bytes
  if (range.start >= bytes.length) {
    throw new StorageError('corrupt', `${key} has ${bytes.length} bytes; byte ${range.start} was asked for`)
  }
  return bytes.subarray(range.start, range.end === undefined ? undefined : range.end + 1)
}

function* chunksOf(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES)
}
