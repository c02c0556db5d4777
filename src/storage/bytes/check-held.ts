import type { Body, Evidence, ObjectInfo, ObjectKey, PutResult, StorageBackend } from '../backend.ts'
import { compareDigests, digestStream, digestValue } from './digest.ts'

/**
 * `different` says nothing about who put those bytes there; `absent` nothing about a put that is still under
 * way.
 */
export type Held =
  | { answer: 'same'; info: ObjectInfo; result: PutResult }
  | { answer: 'different'; info: ObjectInfo }
  | { answer: 'absent' }

/**
 * Are exactly the bytes of this body held under the key? Asked after a put that ended without an answer. What
 * the location attests decides; where it attests nothing that can be compared, all bytes are read back.
 */
export async function checkHeld(
  backend: Pick<StorageBackend, 'head' | 'get'>,
  key: ObjectKey,
  body: Pick<Body, 'size' | 'digests'>,
  { evidence = {}, signal }: { evidence?: Evidence; signal?: AbortSignal | undefined } = {},
): Promise<Held> {
  const info = await backend.head(key, { signal })
  if (info === null) return { answer: 'absent' }
  if (info.size !== body.size) return { answer: 'different', info }
  const known = [...body.digests]
  if (evidence.md5 !== undefined && digestValue(known, 'md5') === undefined) {
    known.push({ algorithm: 'md5', value: evidence.md5 })
  }
  const attested = compareDigests(info.attested, known)
  if (attested === 'different') return { answer: 'different', info }
  const ours: Evidence = { ...evidence, ...(info.etag !== undefined && { etag: info.etag }) }
  if (attested === 'same')
    return { answer: 'same', info, result: { ...info, proof: 'attested', evidence: ours } }

  const { stream } = await backend.get(key, { signal })
  const read = await digestStream(stream, ['sha256'])
  const same = read.size === body.size && compareDigests(read.digests, body.digests) === 'same'
  if (!same) return { answer: 'different', info }
  return { answer: 'same', info, result: { ...info, proof: 'enforced', evidence: ours } }
}
