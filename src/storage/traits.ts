/**
 * What a probe finds out by trying, one yes or no each. The features are made of some of them; all are kept,
 * so that the next probe can tell what changed.
 */

/** `good`: the answer with which Glassine works better; null: both are fine. */
export const TRAITS = {
  conditionalPut: { words: 'a second put to a key is refused (If-None-Match)', good: true },
  conditionalReplace: { words: 'a put replaces only what it names (If-Match)', good: true },
  conditionalComplete: { words: 'a second completion of parts is refused (If-None-Match)', good: true },
  refusesWrongMd5: { words: 'bytes that differ from their Content-MD5 are refused', good: true },
  refusesWrongSha256: { words: 'bytes that differ from their x-amz-content-sha256 are refused', good: true },
  refusesWrongChecksum: {
    words: 'bytes that differ from their x-amz-checksum-sha256 are refused',
    good: true,
  },
  refusesCutPut: { words: 'a put that is cut off leaves nothing', good: true },
  etagIsMd5: { words: 'the ETag of a put is its MD5', good: true },
  reportsSha256: { words: 'the SHA-256 that was sent is kept and reported', good: true },
  reportsCrc64nvme: { words: 'a CRC64NVME is computed and reported', good: true },
  encryptsAsAsked: { words: 'what is put is encrypted as the configuration asks for', good: true },
  multipart: { words: 'parts become one object', good: true },
  takesUnequalParts: { words: 'parts may differ in size', good: null },
  multipartEtagIsMd5OfParts: { words: 'the ETag of parts is made of their MD5s', good: true },
  abortLeavesNothing: { words: 'an aborted upload leaves no parts', good: true },
  copies: { words: 'an object is copied within the bucket', good: true },
  deletesMany: { words: 'many keys are deleted in one request', good: true },
  keepsDeleted: { words: 'what is deleted stays as a hidden version', good: false },
  listsInOrder: { words: 'lists are in the order of keys', good: null },
  presignedPutBound: {
    words: 'a presigned put works, and takes only the bytes, length, type and key it was signed for',
    good: true,
  },
  presignedExpires: { words: 'a presigned URL is refused after its time', good: true },
  presignedGet: { words: 'a presigned get answers ranges under the signed type and name', good: true },
  refusesDoubleAuthentication: {
    words: 'a presigned URL with an Authorization header besides is refused',
    good: null,
  },
} as const satisfies Record<string, { words: string; good: boolean | null }>

export type Trait = keyof typeof TRAITS
/** Only what was really found out: a check that could not be finished says neither yes nor no. */
export type Traits = Partial<Record<Trait, boolean>>

/** `isWeaker`: it now does less of what Glassine builds on. */
export type TraitChange = { trait: Trait; before: boolean; after: boolean; isWeaker: boolean }

/** Traits that both probes name and answer differently, in the order of the table. */
export function compareTraits(before: Traits, after: Traits): TraitChange[] {
  return traitNames.flatMap((trait) => {
    const [was, is] = [before[trait], after[trait]]
    if (was === undefined || is === undefined || was === is) return []
    const { good } = TRAITS[trait]
    return [{ trait, before: was, after: is, isWeaker: good !== null && is !== good }]
  })
}

export const traitNames = Object.keys(TRAITS) as Trait[]
