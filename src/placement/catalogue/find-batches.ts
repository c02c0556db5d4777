/** Batches as locations hold them, and which of them is newer than which. Nothing is written anywhere. */
import { AppError, isAppError } from '../../errors.ts'
import { isStorageError, type ObjectKey } from '../../storage/backend.ts'
import { cataloguePrefix, installationOfBatchKey } from '../keys.ts'
import type { Location } from '../location.ts'
import { readReplica } from '../replica-io/read-replica.ts'
import { type BatchHeader, type BatchPart, unpackBatch } from './batch-format.ts'

/** Many times what is left when batches are retired. */
const MAX_BATCHES = 20_000

type ListedBatch = {
  location: Location
  key: ObjectKey
  size: number
  installation: string
  /** Somebody's delete marker hides it, in a bucket with Object Lock. */
  isHidden: boolean
}
export type FoundBatch = {
  /** Of its file: its name in the catalogue. */
  sha256: string
  header: BatchHeader
  entries: number
  at: ListedBatch
}
/** One that is not used, or before which one is missing. */
export type UnusableBatch = { location: string; key: string; reason: string }
export type FoundBatches = {
  /** Each after those that it follows; without those that a later one, which holds everything, stands for. */
  batches: FoundBatch[]
  unusable: UnusableBatch[]
  /** Those that no other one follows. */
  heads: string[]
  /** Whether the second one knew the first, directly or not; the first may be missing. */
  isBefore(first: string, second: string): boolean
  /** Whether a batch is one of these, or one of them knew it. */
  among(names: readonly string[]): (sha256: string) => boolean
  /** Names of batches that are not found; of those that a snapshot stands for, only the `unread`. */
  missing: string[]
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
 * of a newer version is named, and not used: what it says may be in others. So is one that is missing.
 * `unread`: no snapshot stands for these, whatever it says: they were missing when it was written.
 * @throws what a location throws that can't be read
 */
export async function findBatches(
  locations: readonly Location[],
  installation: string,
  {
    signal,
    unread = [],
    onRead,
  }: {
    signal?: AbortSignal | undefined
    unread?: readonly string[]
    onRead?: ((count: number) => void) | undefined
  } = {},
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
      if ('reason' in read) unusable.push({ ...placeOf(listed), reason: read.reason })
      else if (!found.has(read.sha256)) found.set(read.sha256, read)
      onRead?.(count)
    }
  return inOrder(found, unusable, unread)
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
  const { backend } = location
  const prefix = cataloguePrefix(installation)
  for await (const { key, size } of backend.list(prefix)) {
    const owner = installationOfBatchKey(key)
    if (owner !== null) yield { location, key, size, installation: owner, isHidden: false }
  }
  if (!backend.locks) return
  for await (const { key, size } of backend.locks.listHidden(prefix)) {
    const owner = installationOfBatchKey(key)
    if (owner !== null) yield { location, key, size, installation: owner, isHidden: true }
  }
}

function bytesOf({ location, key, size }: ListedBatch, signal: AbortSignal | undefined) {
  return readReplica(location, key, { start: 0, end: size - 1 }, signal)
}

async function readOne(
  listed: ListedBatch,
  signal: AbortSignal | undefined,
): Promise<FoundBatch | { reason: string }> {
  if (listed.isHidden) return { reason: 'a delete marker hides it' }
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

/** A batch, or the name of one that is missing. */
type Known = { sha256: string; batch: FoundBatch | null }

function inOrder(
  found: ReadonlyMap<string, FoundBatch>,
  unusable: UnusableBatch[],
  unread: readonly string[],
): FoundBatches {
  const ordered = sortByParents(found)
  const missing = missingParents(found, ordered)
  const sorted: Known[] = [
    ...[...missing.keys()].map((sha256) => ({ sha256, batch: null })),
    ...ordered.map((batch) => ({ sha256: batch.sha256, batch })),
  ]
  const position = new Map(sorted.map(({ sha256 }, index) => [sha256, index]))
  const isIn = (bits: bigint, at: number) => ((bits >> BigInt(at)) & 1n) === 1n
  // One bit for each batch before it.
  const before: bigint[] = []
  const upTo = (at: number) => before[at]! | (1n << BigInt(at))
  for (const { batch } of sorted) {
    let known = 0n
    const parents = (batch?.header.parents ?? []).map((parent) => position.get(parent)!)
    // The newest knows most of the others.
    for (const at of parents.sort((a, b) => b - a)) if (!isIn(known, at)) known |= upTo(at)
    before.push(known)
  }
  const isBefore = (first: string, second: string) => {
    const at = position.get(first)
    const of = position.get(second)
    return at !== undefined && of !== undefined && isIn(before[of]!, at)
  }
  const among = (names: readonly string[]) => {
    const ats = names.flatMap((name) => position.get(name) ?? [])
    const known = ats.reduce((bits, at) => bits | upTo(at), 0n)
    return (sha256: string) => {
      const at = position.get(sha256)
      return at !== undefined && isIn(known, at)
    }
  }
  let stoodFor = 0n
  let followed = 0n
  for (const [at, { batch }] of sorted.entries()) {
    followed |= before[at]!
    if (batch?.header.isSnapshot) stoodFor |= before[at]!
  }
  const isUsed = ({ sha256 }: Known, at: number) => !isIn(stoodFor, at) || unread.includes(sha256)
  const batches = sorted.flatMap((one, at) => (one.batch !== null && isUsed(one, at) ? [one.batch] : []))
  const lost = new Map<FoundBatch, string[]>()
  for (const [sha256, batch] of missing)
    if (!isIn(stoodFor, position.get(sha256)!)) lost.set(batch, [...(lost.get(batch) ?? []), sha256])
  return {
    batches,
    unusable: [
      ...unusable,
      ...[...lost].map(([{ at }, names]) => ({ ...placeOf(at), reason: missed(names) })),
    ],
    heads: sorted.flatMap(({ sha256, batch }, at) => (batch === null || isIn(followed, at) ? [] : [sha256])),
    isBefore,
    among,
    missing: [...new Set([...[...lost.values()].flat(), ...unread.filter((one) => !found.has(one))])],
    snapshots: batches.filter(({ header }) => header.isSnapshot).map(({ sha256 }) => sha256),
  }
}

function placeOf({ location, key }: ListedBatch): { location: string; key: string } {
  return { location: location.id, key }
}

function missed(names: readonly string[]): string {
  return names.length === 1
    ? `the batch before it (SHA-256 ${names[0]}) is missing`
    : `${names.length} batches before it are missing, such as that with the SHA-256 ${names[0]}`
}

/** The names of batches that were not found, each with one that names it, which is used all the same. */
function missingParents(
  found: ReadonlyMap<string, FoundBatch>,
  ordered: readonly FoundBatch[],
): Map<string, FoundBatch> {
  const missing = new Map<string, FoundBatch>()
  for (const batch of ordered)
    for (const parent of batch.header.parents) {
      if (found.has(parent) || missing.has(parent)) continue
      missing.set(parent, batch)
      if (missing.size > MAX_BATCHES)
        throw new AppError(
          'conflict',
          `more than ${MAX_BATCHES} batches of a catalogue are named and missing`,
        )
    }
  return missing
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
