import type { Readable } from 'node:stream'
import { type StorageBackend, StorageError } from '../../../src/storage/backend.ts'

export type Fault = { call: 'head' | 'get' | 'put' | 'delete'; when: 'before' | 'after'; error?: Error }

/** A backend whose next calls fail as planned: `before` they do anything, or `after` they did all of it. */
export function faultyBackend<Inner extends StorageBackend>(inner: Inner) {
  const planned: Fault[] = []
  const calls = { head: 0, get: 0, put: 0, delete: 0 }

  async function run<T>(call: Fault['call'], act: () => Promise<T>): Promise<T> {
    calls[call] += 1
    const index = planned.findIndex((fault) => fault.call === call)
    const [fault] = index < 0 ? [] : planned.splice(index, 1)
    const error = fault?.error ?? new StorageError('unavailable', `planned fault at ${call}`)
    if (fault?.when === 'before') throw error
    const result = await act()
    if (fault?.when !== 'after') return result
    if (result !== null && typeof result === 'object' && 'stream' in result)
      (result.stream as Readable).destroy()
    throw error
  }

  const backend: StorageBackend = {
    get features() {
      return inner.features
    },
    useFeatures: (features) => inner.useFeatures(features),
    head: (key, options) => run('head', () => inner.head(key, options)),
    get: (key, options) => run('get', () => inner.get(key, options)),
    put: (key, body, options) => run('put', () => inner.put(key, body, options)),
    delete: (permit, options) => run('delete', () => inner.delete(permit, options)),
    list: (prefix, options) => inner.list(prefix, options),
    readMarker: (options) => inner.readMarker(options),
    listsMarker: (options) => inner.listsMarker(options),
    writeMarker: (id) => inner.writeMarker(id),
    readCounter: (options) => inner.readCounter(options),
    writeCounter: (text, expected) => inner.writeCounter(text, expected),
    ...(inner.localFiles ? { localFiles: inner.localFiles } : {}),
    ...(inner.copies ? { copies: inner.copies } : {}),
    ...(inner.archive ? { archive: inner.archive } : {}),
    close: () => inner.close(),
  }
  return {
    backend,
    inner,
    calls,
    plan: (fault: Fault) => planned.push(fault),
    clear: () => planned.splice(0),
  }
}
