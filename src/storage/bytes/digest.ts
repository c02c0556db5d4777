/** Streaming digests of the bytes of an object, and the comparison of what is expected with what is held. */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Digest, DigestAlgorithm } from '../backend.ts'
import { createCrc64Nvme } from './crc64-nvme.ts'

/** Takes bytes in order; `values` may be asked for once, at the end. */
export type Digester = { update(chunk: Uint8Array): void; digests(): Digest[] }

type OneDigester = { update(chunk: Uint8Array): void; value(): string }

/** Digests of everything passed to `update`, all in one pass. */
export function createDigester(algorithms: readonly DigestAlgorithm[]): Digester {
  const each = algorithms.map((algorithm) => ({ algorithm, digester: createOne(algorithm) }))
  return {
    update(chunk) {
      for (const { digester } of each) digester.update(chunk)
    },
    digests() {
      return each.map(({ algorithm, digester }) => ({ algorithm, value: digester.value() }))
    },
  }
}

function createOne(algorithm: DigestAlgorithm): OneDigester {
  if (algorithm === 'crc64nvme') return createCrc64Nvme()
  if (algorithm === 'crc32') {
    let crc = 0
    return {
      update(chunk) {
        crc = crc32(chunk, crc)
      },
      value: () => crc.toString(16).padStart(8, '0'),
    }
  }
  const hash = createHash(algorithm)
  return {
    update(chunk) {
      hash.update(chunk)
    },
    value: () => hash.digest('hex'),
  }
}

/** Digests of bytes that are in memory. */
export function digestsOf(bytes: Uint8Array, algorithms: readonly DigestAlgorithm[]): Digest[] {
  const digester = createDigester(algorithms)
  digester.update(bytes)
  return digester.digests()
}

/** Reads a stream to its end: its size in bytes and its digests. */
export async function digestStream(
  stream: AsyncIterable<Uint8Array>,
  algorithms: readonly DigestAlgorithm[],
): Promise<{ size: number; digests: Digest[] }> {
  const digester = createDigester(algorithms)
  let size = 0
  for await (const chunk of stream) {
    size += chunk.length
    digester.update(chunk)
  }
  return { size, digests: digester.digests() }
}

/** The value of one algorithm, lower-case hex, or undefined where it is not among them. */
export function digestValue(digests: readonly Digest[], algorithm: DigestAlgorithm): string | undefined {
  return digests.find((digest) => digest.algorithm === algorithm)?.value
}

/**
 * `same`: at least one algorithm is in both and all those agree. `different`: one disagrees. `unknown`: none
 * is in both, and no evidence is never equality.
 */
export function compareDigests(a: readonly Digest[], b: readonly Digest[]): 'same' | 'different' | 'unknown' {
  let answer: 'same' | 'unknown' = 'unknown'
  for (const digest of a) {
    const other = digestValue(b, digest.algorithm)
    if (other === undefined) continue
    if (other !== digest.value) return 'different'
    answer = 'same'
  }
  return answer
}
