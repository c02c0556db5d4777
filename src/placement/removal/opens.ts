import type { ReplicaName } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import type { Check } from '../replica-io/verify.ts'
import { isArchiveClass } from '../storage-classes.ts'

/**
 * Why bytes that a HEAD calls right can't be read, or null. Where a service of its own keeps the key
 * (SSE-KMS), the key may be switched off, or our right to use it taken away: a HEAD asks for no key. So the
 * first byte is read. Archived ones can't be, and are believed.
 */
export async function whyNotOpened(
  { backend, isKeyElsewhere }: Location,
  { key }: Pick<ReplicaName, 'key'>,
  { held }: Pick<Check, 'held'>,
  size: number,
): Promise<string | null> {
  if (!isKeyElsewhere || size === 0 || isArchiveClass(held?.storageClass ?? null)) return null
  try {
    const { stream } = await backend.get(key, { range: { start: 0, end: 0 } })
    let read = 0
    for await (const piece of stream as AsyncIterable<Buffer>) read += piece.length
    return read === 1 ? null : `${read} bytes were sent instead of the first one`
  } catch (error) {
    return `its first byte can't be read: ${(error as Error).message}`
  }
}
