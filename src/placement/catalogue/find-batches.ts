/** Batches as locations hold them, and which of them is newer than which. Nothing is written anywhere. */
import { AppError, isAppError } from '../../errors.ts'
import { isStorageError, type ObjectKey } from '../../storage/backend.ts'
import { cataloguePrefix, installationOfBatchKey } from '../keys.ts'
import type { Location } from '../location.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { type BatchHeader, type BatchPart, unpackBatch } from './batch-format.ts'

/** Many times what is left when batches are retired. */
const MAX_BATCHES = 20_000

type ListedBatch = { location: Location; key: ObjectKey; size: number; installation: string }
export type FoundBatch = {
  /** Of its file: its name in the catalogue. */
  sha256: string
  header: BatchHeader
  entries: number
  at: ListedBatch
}
export type UnusableBatch = { location: string; key: string; reason: string }
export type FoundBatches = {
  /** Each after those that it follows; without those that a later one, which holds everything, stands for. */
  batches: FoundBatch[]
  unusable: UnusableBatch[]
  /** Those that no other one follows. */
  heads: string[]
  /** Whether the second one knew the first, directly or not. */
  isBefore(first: string, second: string): boolean
  /** Those that hold everything and that nothing stands for. */
  snapshots: string[]
}

/** Which installations have a catalogue there, with the number of its batches. */
export async function installationsWithCatalogue(location: Location): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const { installation } of listBatches(location, null))
    counts.set(installation, (counts.get(installation) ?? 0) + 1)
  return counts
}

/**
 * All batches of an installation at these locations, each read to its end. One that is damaged, archived or
 * of a newer version is named, and not used: what it says may be in others.
 * @throws what a location throws that can't be read
 */
export async function findBatches(
  locations: readonly Location[],
  installation: string,
  {
    signal,
    onRead,
  }: { signal?: AbortSignal | undefined; onRead?: ((count: number) => void) | undefined } = {},
): Promise<FoundBatches> {
  const found = new Map<string, FoundBatch>()
  const unusable: UnusableBatch[] = []
  let count = 0
  for (const location of locations)
    for await (const listed of listBatches(location, installation)) {
      signal?.throwIfAborted()
      count += 1
      if (count > MAX_BATCHES)
        throw new AppError('conflict', `more than ${MAX_BATCHES} batches of a catalogue are listed`)
      const read = await readOne(listed, signal)
      if ('reason' in read) unusable.push({ location: location.id, key: listed.key, reason: read.reason })
      else if (!found.has(read.sha256)) found.set(read.sha256, read)
      onRead?.(count)
    }
  return inOrder(found, unusable)
}

/** @throws AppError corrupt where it is another one than was read before */
export async function* readAgain(batch: FoundBatch, signal?: AbortSignal): AsyncGenerator<BatchPart> {
  for await (const part of unpackBatch(bytesOf(batch.at, signal))) {
    if ('sha256' in part && part.sha256 !== batch.sha256)
      throw new AppError('corrupt', `${batch.at.key} was changed while it was read`)
    yield part
  }
}

async function* listBatches(location: Location, installation: string | null): AsyncGenerator<ListedBatch> {
  for await (const { key, size } of location.backend.list(cataloguePrefix(installation))) {
    const owner = installationOfBatchKey(key)
    if (owner !== null) yield { location, key, size, installation: owner }
  }
}

function bytesOf({ location, key, size }: ListedBatch, signal: AbortSignal | undefined) {
  return readReplica(location, key, { start: 0, end: size - 1 }, signal)
}

async function readOne(
  listed: ListedBatch,
  signal: AbortSignal | undefined,
): Promise<FoundBatch | { reason: string }> {
  let header: BatchHeader | null = null
  try {
    for await (const part of unpackBatch(bytesOf(listed, signal))) {
      if ('header' in part) header = part.header
      if (!('sha256' in part) || header === null) continue
      if (header.installation !== listed.installation)
        return { reason: `it is of another installation (${header.installation})` }
      return { ...part, header, at: listed }
    }
  } catch (error) {
    const isItsOwn = isAppError(error, 'corrupt') || isAppError(error, 'conflict')
    if (!isItsOwn && !isStorageError(error, 'archived') && !isStorageError(error, 'corrupt')) throw error
    return { reason: (error as Error).message }
  }
  return { reason: 'it is empty' }
}

function inOrder(found: ReadonlyMap<string, FoundBatch>, unusable: UnusableBatch[]): FoundBatches {
  const sorted = sortByParents(found)
  const position = new Map(sorted.map(({ sha256 }, index) => [sha256, index]))
  // One bit for each batch before it.
  const before: bigint[] = []
  for (const { header } of sorted) {
    let known = 0n
    for (const parent of header.parents) {
      const at = position.get(parent)
      if (at !== undefined) known |= before[at]! | (1n << BigInt(at))
    }
    before.push(known)
  }
  const isBefore = (first: string, second: string) => {
    const at = position.get(first)
    const of = position.get(second)
    return at !== undefined && of !== undefined && ((before[of]! >> BigInt(at)) & 1n) === 1n
  }
  let stoodFor = 0n
  let followed = 0n
  for (const [at, { header }] of sorted.entries()) {
    followed |= before[at]!
    if (header.isSnapshot) stoodFor |= before[at]!
  }
  const isIn = (bits: bigint, at: number) => ((bits >> BigInt(at)) & 1n) === 1n
  const batches = sorted.filter((_, at) => !isIn(stoodFor, at))
  return {
    batches,
    unusable,
    heads: sorted.filter((_, at) => !isIn(followed, at)).map(({ sha256 }) => sha256),
    isBefore,
    snapshots: batches.filter(({ header }) => header.isSnapshot).map(({ sha256 }) => sha256),
  }
}

/** Each after its parents, as far as they were found; without recursion, since there may be thousands. */
function sortByParents(found: ReadonlyMap<string, FoundBatch>): FoundBatch[] {
  const waitsFor = new Map<string, number>()
  const children = new Map<string, FoundBatch[]>()
  for (const batch of found.values()) {
    const parents = [...new Set(batch.header.parents)].filter((parent) => found.has(parent))
    waitsFor.set(batch.sha256, parents.length)
    for (const parent of parents) {
      const siblings = children.get(parent)
      if (siblings === undefined) children.set(parent, [batch])
      else siblings.push(batch)
    }
  }
  // A file can't name its own SHA-256, nor that of one which names it: there are no circles.
  const sorted = [...found.values()].filter(({ sha256 }) => waitsFor.get(sha256) === 0)
  for (let at = 0; at < sorted.length; at += 1)
    for (const child of children.get(sorted[at]!.sha256) ?? []) {
      const left = waitsFor.get(child.sha256)! - 1
      waitsFor.set(child.sha256, left)
      if (left === 0) sorted.push(child)
    }
  return sorted
}
