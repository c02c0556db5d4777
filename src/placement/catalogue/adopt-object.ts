/**
 * Bytes that a catalogue, or a key alone, says are a file of somebody's. They are believed when all of them
 * were read, and have the SHA-256 that is expected; nothing at the location is changed.
 */
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Tx } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import { isStorageError, type ObjectInfo } from '../../storage/backend.ts'
import { longestBetween, type Moment } from '../../storage/moment.ts'
import { knownKey } from '../keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import { lockObject } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { adoptBytes, proofOfRead } from '../replica-io/adopt-bytes.ts'
import { PROOF } from '../states.ts'
import { isArchiveClass } from '../storage-classes.ts'

const ACTOR = 'adopt'

/** What was read; digests are lower-case hex. `beganAt`: before anything was asked. */
export type ReadBytes = {
  key: string
  size: number
  sha256: string
  sha1: string
  held: ObjectInfo
  beganAt: Moment
}

/** What a location says of one key, while others can be read. */
const OF_ONE_KEY = ['hidden', 'denied', 'corrupt'] as const

/**
 * Reads all bytes under a key. `absent`: nothing is there. `archived`: it must be restored first.
 * `wrong-size`: it is of another size than is expected, and was not read. `unreadable`: the location gives
 * none of it, for a reason that is logged. @throws what the location throws
 */
export async function readBytes(
  { placement, location }: { placement: Pick<Placement, 'log' | 'now' | 'clock'>; location: Location },
  key: string,
  expectedSize: number | null,
  signal?: AbortSignal,
): Promise<ReadBytes | 'absent' | 'archived' | 'wrong-size' | 'unreadable'> {
  const { backend } = location
  const sha256 = createHash('sha256')
  const sha1 = createHash('sha1')
  let size = 0
  const beganAt = placement.clock()
  try {
    const held = await backend.head(knownKey(key))
    if (held === null) return 'absent'
    const until = held.restore?.availableUntil
    const isRestored = until !== undefined && until > placement.now()
    if (isArchiveClass(held.storageClass ?? null) && !isRestored) return 'archived'
    if (expectedSize !== null && held.size !== expectedSize) return 'wrong-size'
    const read = await backend.get(knownKey(key), signal ? { signal } : {})
    try {
      for await (const piece of read.stream as AsyncIterable<Buffer>) {
        sha256.update(piece)
        sha1.update(piece)
        size += piece.length
      }
    } finally {
      read.stream.destroy()
    }
    if (size !== read.size || read.size !== held.size) return 'wrong-size'
    const seen = { ...held, etag: read.etag, modifiedAt: read.modifiedAt } as ObjectInfo
    return { key, size, sha256: sha256.digest('hex'), sha1: sha1.digest('hex'), held: seen, beganAt }
  } catch (error) {
    if (isStorageError(error, 'not-found')) return 'absent'
    if (isStorageError(error, 'archived')) return 'archived'
    if (!OF_ONE_KEY.some((kind) => isStorageError(error, kind))) throw error
    const { message } = error as Error
    placement.log.warn(
      { location: location.id, key, error: message },
      'a file cannot be read: it stays there',
    )
    return 'unreadable'
  }
}

export type ObjectToAdopt = {
  id: string
  ownerId: string
  assetId: string
  kind: ObjectKind
  contentType: string
  extension: string
}

/**
 * Makes what was read a verified replica of an object, which is made where there is none of this id; the
 * library links it in the same transaction. False where an object of this id is another one, or is on its way
 * out, or another replica of it at the location counts. @throws RetryLater where somebody may be removing
 * what was read
 */
export async function adoptObject(
  tx: Tx,
  placement: Placement,
  location: Location,
  object: ObjectToAdopt,
  read: ReadBytes,
): Promise<boolean> {
  await requireNoLateDeletion(tx, placement, location, read)
  await tx
    .insertInto('stored_object')
    .values({
      id: object.id,
      owner_id: object.ownerId,
      asset_id: object.assetId,
      kind: object.kind,
      size: read.size,
      sha256: Buffer.from(read.sha256, 'hex'),
      content_type: object.contentType,
      extension: object.extension,
      is_linked: true,
    })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
  const now = await lockObject(tx, object.id)
  const isIt =
    now !== null &&
    now.object.state === 'live' &&
    now.object.kind === object.kind &&
    now.object.ownerId === object.ownerId &&
    now.object.sha256 === read.sha256
  if (!isIt) return false
  const named = { objectId: object.id, locationId: location.id, key: knownKey(read.key) }
  const proven = {
    level: PROOF.readBack,
    proof: proofOfRead(location, read.held),
    held: read.held,
    actor: ACTOR,
  }
  if ((await adoptBytes(tx, named, proven)) === 'taken') return false
  // An upload that was under way in an older state of the ledger has an object that nothing refers to yet.
  await tx.updateTable('stored_object').set({ is_linked: true }).where('id', '=', object.id).execute()
  await enqueueNextSteps(tx, placement, object.id)
  return true
}

/**
 * An administrator may have decided that these bytes go, and have undone that: a deletion that was sent
 * before, and whose answer got lost, may still be carried out. What was there after that time stays. @throws
 * RetryLater
 */
async function requireNoLateDeletion(
  tx: Tx,
  { settings, clock }: Placement,
  { id, kind }: Location,
  { key, beganAt }: ReadBytes,
): Promise<void> {
  // On a disk a deletion is over when its process is.
  if (kind === 'disk') return
  const { rows } = await sql<{ askedMsAgo: number | null }>`
    select min(extract(epoch from lived_since(claimed_at)) * 1000)::float8 as "askedMsAgo"
    from collection_item where location_id = ${id} and key = ${key} and claimed_at is not null`.execute(tx)
  const askedMsAgo = rows[0]?.askedMsAgo ?? Number.POSITIVE_INFINITY
  const leftMs = settings.lateRequestMs + longestBetween(beganAt, clock()) - askedMsAgo
  if (leftMs > 0) throw new RetryLater(`the deletion of ${key} may still be carried out at ${id}`, leftMs)
}
