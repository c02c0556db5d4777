import { AppError } from '../../errors.ts'
import type { Placement } from '../../placement/placement.ts'
import type { SignedRequest } from '../../placement/uploads/direct-target.ts'
import { signParts } from '../../placement/uploads/direct-write.ts'
import { sizeOfPart } from './plan.ts'
import { isOpen, type LoadedUpload, mimeTypeOf, requireOpen } from './rows.ts'

/** URLs for parts, each bound to its length and MD5 (lower-case hex). @throws AppError invalid, conflict */
export async function signDirectParts(
  placement: Placement,
  { upload, write }: LoadedUpload,
  parts: readonly { number: number; size: number; md5: string }[],
): Promise<{ expiresAt: string; parts: ({ number: number } & SignedRequest)[] }> {
  requireOpen(upload)
  const { part_bytes: partBytes, size } = upload
  if (partBytes === null) throw new AppError('invalid', 'parts: this upload is one put, not several parts')
  for (const part of parts) {
    const right = sizeOfPart(part.number, { size, partBytes })
    if (part.size !== right)
      throw new AppError(
        'invalid',
        right === null
          ? `parts: there is no part ${part.number}`
          : `parts: part ${part.number} has ${right} bytes, not ${part.size}`,
      )
  }
  if (write === null) throw new AppError('conflict', 'this upload was given up meanwhile')
  const signed = await signParts(placement, write, parts, mimeTypeOf(upload), isOpen)
  return { expiresAt: signed.expiresAt.toISOString(), parts: signed.parts }
}
