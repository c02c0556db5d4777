/**
 * The checksums that S3 knows (`x-amz-checksum-*`), under the names it uses in XML.
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { combineCrcs, crc32c, crc64Finish, crc64Start, crc64Update } from './crc.ts'

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256'
export const checksumAlgorithms: ChecksumAlgorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

/** How many bytes a checksum has; its header carries them in base64. */
export const checksumBytes: Record<ChecksumAlgorithm, number> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
}

export const checksumHeader = (algorithm: ChecksumAlgorithm): string =>
  `x-amz-checksum-${algorithm.toLowerCase()}`
export const checksumElement = (algorithm: ChecksumAlgorithm): string => `Checksum${algorithm}`

/** COMPOSITE: of the parts' checksums, with `-count`; FULL_OBJECT: of the bytes themselves. */
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT'

/** A hash under way. */
export type Hasher = { update(data: Buffer): void; digest(): Buffer }

export function startChecksum(algorithm: ChecksumAlgorithm): Hasher {
  if (algorithm === 'SHA1' || algorithm === 'SHA256') return createHash(algorithm.toLowerCase())
  if (algorithm === 'CRC64NVME') {
    const state = crc64Start()
    return { update: (data) => crc64Update(state, data), digest: () => crc64Finish(state) }
  }
  const step = algorithm === 'CRC32' ? crc32 : crc32c
  let value = 0
  return {
    update: (data) => {
      value = step(data, value)
    },
    digest: () => {
      const out = Buffer.alloc(4)
      out.writeUInt32BE(value >>> 0)
      return out
    },
  }
}

/** The type a multipart upload gets when none is asked for, or undefined when the pair is not allowed. */
export function multipartChecksumType(
  algorithm: ChecksumAlgorithm,
  asked: string | undefined,
): ChecksumType | undefined {
  const isSha = algorithm === 'SHA1' || algorithm === 'SHA256'
  if (asked === undefined) return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  if (asked === 'FULL_OBJECT') return isSha ? undefined : 'FULL_OBJECT'
  if (asked === 'COMPOSITE') return algorithm === 'CRC64NVME' ? undefined : 'COMPOSITE'
  return undefined
}

/** The checksum of a whole multipart object from those of its parts (base64), as S3 reports it. */
export function joinChecksums(
  algorithm: ChecksumAlgorithm,
  type: ChecksumType,
  parts: { checksum: string; size: number }[],
): string {
  const decoded = parts.map((part) => ({ checksum: Buffer.from(part.checksum, 'base64'), size: part.size }))
  if (type === 'FULL_OBJECT' && algorithm !== 'SHA1' && algorithm !== 'SHA256') {
    return combineCrcs(algorithm, decoded).toString('base64')
  }
  const hasher = startChecksum(algorithm)
  for (const part of decoded) hasher.update(part.checksum)
  return `${hasher.digest().toString('base64')}-${parts.length}`
}
