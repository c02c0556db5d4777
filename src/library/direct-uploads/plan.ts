/** How an announced file is to be sent. */
import { AppError } from '../../errors.ts'
import { type DirectTarget, takesSinglePuts } from '../../placement/uploads/direct-target.ts'

import { DIRECT_LIMITS } from './limits.ts'
import type { AnnouncedFile } from './rows.ts'

const MIB = 1024 * 1024
type Limits = Pick<DirectTarget['features'], 'conditionalPut' | 'maxPutBytes' | 'multipart'>

/**
 * How a file is cut: null, in one put; else the size of every part but the last, in whole MiB where the
 * bucket allows too few parts of the usual size. @throws AppError too-large where it can't be taken at all
 */
export function planParts(size: number, limits: Limits, singlePutBytes: number): number | null {
  const single = takesSinglePuts(limits)
  if (single && size <= Math.min(singlePutBytes, limits.maxPutBytes)) return null
  if (limits.multipart === null) {
    if (single && size <= limits.maxPutBytes) return null
    throw new AppError('too-large', `The bucket takes ${limits.maxPutBytes} bytes at most`)
  }
  const { partBytes, maxParts } = limits.multipart
  if (size <= partBytes * maxParts) return partBytes
  const larger = Math.ceil(size / maxParts / MIB) * MIB
  if (larger > limits.maxPutBytes)
    throw new AppError('too-large', `The bucket takes ${limits.maxPutBytes * maxParts} bytes at most`)
  return larger
}

/** What part `number` (from 1) has to have, in bytes; null: there is no such part. */
export function sizeOfPart(
  number: number,
  { size, partBytes }: { size: number; partBytes: number },
): number | null {
  const start = (number - 1) * partBytes
  if (!Number.isInteger(number) || number < 1 || start >= size) return null
  return Math.min(partBytes, size - start)
}

export type Plan = {
  target: DirectTarget
  partBytes: number | null
  format: { mimeType: string; extension: string }
}

/** @throws AppError too-large, invalid (no MD5 for what goes in one put) */
export function planOf(announced: AnnouncedFile, target: DirectTarget, format: Plan['format']): Plan {
  const partBytes = planParts(announced.size, target.features, DIRECT_LIMITS.singlePutBytes)
  if (partBytes !== null || announced.md5 !== null) return { target, partBytes, format }
  const message = `needed for files up to ${DIRECT_LIMITS.singlePutBytes} bytes: 32 hexadecimal digits`
  throw new AppError('invalid', `md5: ${message}`, { fields: [{ path: ['md5'], message, code: 'custom' }] })
}
