import type { StorageBackend } from './backend.ts'

/** Does the location report a digest of the whole, of an object that came in one piece or in parts? */
export function attestsTo({ features }: Pick<StorageBackend, 'features'>, isInParts: boolean): boolean {
  if (features.attestedDigests.includes('crc64nvme') && isInParts) return true
  return isInParts ? features.multipartEtagIsMd5OfParts === true : features.attestedDigests.length > 0
}
