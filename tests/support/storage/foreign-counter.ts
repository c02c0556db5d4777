import { randomUUID } from 'node:crypto'
import type { StorageBackend } from '../../../src/storage/backend.ts'

/**
 * What another ledger does that uses the location too: it advances the counter there, and ours knows nothing
 * of it.
 */
export async function advanceAsAnother(backend: StorageBackend, by = 1): Promise<void> {
  const held = await backend.readCounter()
  if (held === null) throw new Error('there is no counter yet: nobody has used this location')
  const { marker, value } = JSON.parse(held.text) as { marker: string; value: number }
  await backend.writeCounter(JSON.stringify({ marker, value: value + by, token: randomUUID() }), held.version)
}
