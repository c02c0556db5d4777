/**
 * The operations of a backend, listed once for all that stands around one: a decorator says what it does with
 * each kind of call. An operation or ability that is new to `StorageBackend` is missing here until it is
 * added (the types say so), and a new name of a call is missing in each decorator's table.
 */
import type { StorageBackend, StreamingPuts } from '../backend.ts'

/** Calls of one answer, without those that every decorator treats by itself: get, put, streaming puts. */
export type CallName =
  | 'head'
  | 'delete'
  | 'readMarker'
  | 'listsMarker'
  | 'writeMarker'
  | 'readCounter'
  | 'writeCounter'
  | 'begin'
  | 'listParts'
  | 'complete'
  | 'abort'
  | 'copy'
  | 'restore'
  | 'look'
  | 'extend'
  | 'bringBack'

/** What a decorator does with the calls of the backend inside. */
export type Around = Pick<StorageBackend, 'get' | 'put'> & {
  /** `run` may be called again, and with a signal in place of the caller's. */
  call<T>(
    name: CallName,
    signal: AbortSignal | undefined,
    run: (signal: AbortSignal | undefined) => Promise<T>,
  ): Promise<T>
  /** Signing asks nobody, but what it gives leads to the location; `isWrite`: to a put. */
  sign<T>(run: () => Promise<T>, isWrite: boolean): Promise<T>
  list<T>(
    signal: AbortSignal | undefined,
    open: (signal: AbortSignal | undefined) => AsyncIterable<T>,
  ): AsyncIterable<T>
  streamingPut(inner: StreamingPuts): StreamingPuts
}

type Optional<T> = { [Name in keyof T]-?: object extends Pick<T, Name> ? Name : never }[keyof T]
type Abilities = { [Name in Optional<StorageBackend>]: StorageBackend[Name] | undefined }

/** The backend with `around` about each of its calls. Abilities that it lacks stay absent. */
export function mapCalls(inner: StorageBackend, around: Around): StorageBackend {
  const { get, put, call, sign, list, streamingPut } = around
  const { presign, multipart, copies, archive, locks } = inner
  const abilities: Abilities = {
    localFiles: inner.localFiles,
    presign: presign && {
      origin: () => presign.origin(),
      get: (key, options) => sign(() => presign.get(key, options), false),
      put: (key, options) => sign(() => presign.put(key, options), true),
    },
    multipart: multipart && {
      get wholeBytes() {
        return multipart.wholeBytes
      },
      begin: (key, options) =>
        call('begin', options?.signal, (signal) => multipart.begin(key, withSignal(options, signal))),
      presignPart: (key, part) => sign(() => multipart.presignPart(key, part), true),
      listParts: (key, uploadId, options) =>
        call('listParts', options?.signal, (signal) =>
          multipart.listParts(key, uploadId, withSignal(options, signal)),
        ),
      complete: (key, uploadId, parts, options) =>
        call('complete', options?.signal, (signal) =>
          multipart.complete(key, uploadId, parts, withSignal(options, signal)),
        ),
      abort: (permit, uploadId) => call('abort', undefined, () => multipart.abort(permit, uploadId)),
      listUnfinished: (prefix) => list(undefined, () => multipart.listUnfinished(prefix)),
    },
    streamingPut: inner.streamingPut && streamingPut(inner.streamingPut),
    copies: copies && {
      copy: (from, to, options) =>
        call('copy', options.signal, (signal) => copies.copy(from, to, withSignal(options, signal))),
    },
    archive: archive && {
      restore: (key, options) => call('restore', undefined, () => archive.restore(key, options)),
    },
    locks: locks && {
      daysOf: (key) => locks.daysOf(key),
      look: (key, options) =>
        call('look', options?.signal, (signal) => locks.look(key, withSignal(options, signal))),
      extend: (key, until, options) =>
        call('extend', options?.signal, (signal) => locks.extend(key, until, withSignal(options, signal))),
      bringBack: (key, options) =>
        call('bringBack', options?.signal, (signal) => locks.bringBack(key, withSignal(options, signal))),
      listHidden: (prefix, options) =>
        list(options?.signal, (signal) => locks.listHidden(prefix, withSignal(options, signal))),
    },
  }
  return {
    get features() {
      return inner.features
    },
    useFeatures: (features) => inner.useFeatures(features),
    head: (key, options) =>
      call('head', options?.signal, (signal) => inner.head(key, withSignal(options, signal))),
    get,
    put,
    delete: (permit, options) =>
      call('delete', options?.signal, (signal) => inner.delete(permit, withSignal(options, signal))),
    list: (prefix, options) =>
      list(options?.signal, (signal) => inner.list(prefix, withSignal(options, signal))),
    readMarker: (options) =>
      call('readMarker', options?.signal, (signal) => inner.readMarker(withSignal(options, signal))),
    listsMarker: (options) =>
      call('listsMarker', options?.signal, (signal) => inner.listsMarker(withSignal(options, signal))),
    writeMarker: (id) => call('writeMarker', undefined, () => inner.writeMarker(id)),
    readCounter: (options) =>
      call('readCounter', options?.signal, (signal) => inner.readCounter(withSignal(options, signal))),
    writeCounter: (text, expected) =>
      call('writeCounter', undefined, () => inner.writeCounter(text, expected)),
    ...onlyPresent(abilities),
    close: () => inner.close(),
  }
}

function withSignal<Options extends { signal?: AbortSignal }>(
  options: Options | undefined,
  signal: AbortSignal | undefined,
): Options {
  return { ...options, ...(signal && { signal }) } as Options
}

function onlyPresent(abilities: Abilities): Pick<StorageBackend, keyof Abilities> {
  return Object.fromEntries(Object.entries(abilities).filter(([, ability]) => ability !== undefined))
}
