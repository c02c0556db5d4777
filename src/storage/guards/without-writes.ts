import { type StorageBackend, StorageError } from '../backend.ts'
import { type CallName, mapCalls } from './map-calls.ts'

/** A restore makes a copy that is paid for, and needs a right that a reader does not have: it is a write. */
const IS_WRITE: Record<CallName, boolean> = {
  head: false,
  listsMarker: false,
  readMarker: false,
  readCounter: false,
  listParts: false,
  look: false,
  delete: true,
  writeMarker: true,
  writeCounter: true,
  begin: true,
  complete: true,
  abort: true,
  copy: true,
  restore: true,
  extend: true,
  bringBack: true,
}

/**
 * The backend of a read-only location: whatever would change something there is refused (`denied`) before
 * anything is sent, signed puts included. Outermost, so that a refusal counts neither as a failure of the
 * place nor as a try.
 * @param label names the location in the error
 */
export function withoutWrites(inner: StorageBackend, label: string): StorageBackend {
  const refuse = async (): Promise<never> => {
    throw new StorageError('denied', `${label} is read-only: nothing is written or removed there`)
  }
  return mapCalls(inner, {
    get: (key, options) => inner.get(key, options),
    put: refuse,
    call: (name, signal, run) => (IS_WRITE[name] ? refuse() : run(signal)),
    sign: (run, isWrite) => (isWrite ? refuse() : run()),
    list: (signal, open) => open(signal),
    streamingPut: ({ partBytes }) => ({ partBytes, begin: refuse }),
  })
}
