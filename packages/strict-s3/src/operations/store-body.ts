/** From a request body to a blob that is safe, with everything checked on the way. */
import { randomBytes } from 'node:crypto'
import type { BlobRef } from '../objects/object-store.ts'
import type { Call } from '../requests/call.ts'
import type { RequestBody } from '../requests/request-body.ts'
import type { ChecksumAlgorithm } from '../wire/checksums.ts'

export type StoredBody = {
  blob: BlobRef
  etag: string
  checksums: Partial<Record<ChecksumAlgorithm, string>>
}

/**
 * The blob belongs to the caller: take it into a record, or discard it. `isOpaque`: its ETag is to say
 * nothing.
 */
export async function storeBody(
  call: Call,
  body: RequestBody,
  compute: { checksum: ChecksumAlgorithm | null; isOpaque: boolean },
): Promise<StoredBody> {
  const isOpaque = compute.isOpaque || call.profile.opaqueEtags
  const writer = await call.store.createBlob()
  let isDamaged = !call.damage
  try {
    const facts = await body.read(
      (chunk) => {
        if (isDamaged || chunk.length === 0) return writer.write(chunk)
        isDamaged = true
        const other = Buffer.from(chunk)
        other[0] = other[0]! ^ 0xff
        return writer.write(other)
      },
      { md5: !isOpaque, checksum: compute.checksum },
    )
    const blob = await writer.finish()
    const etag = isOpaque || !facts.md5 ? randomBytes(16).toString('hex') : facts.md5.toString('hex')
    return { blob, etag, checksums: facts.checksums }
  } catch (error) {
    await writer.discard()
    throw error
  }
}
