/** Bytes on their way out: from the nearest replica that has them. */
import type { Readable } from 'node:stream'
import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { archivedError } from '../classes/archive.ts'
import type { LoadedObject } from '../ledger/object-rows.ts'
import { isDoubted, loadObject } from '../ledger/replicas.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { isBeingRechecked } from '../replica-io/recheck-replica.ts'
import { type RedirectTarget, type RedirectWish, redirectTarget } from './deliver.ts'
import { inReadingOrder, openNearest, startPatience } from './open-nearest.ts'
import { wasSentWrong } from './sent-wrong.ts'
import type { ReadSource, SpeculativeRead } from './speculative-read.ts'
import { unreachableSentence } from './unreachable.ts'

export type OpenOptions = {
  range?: { start: number; end: number }
  /** A read that has begun already; used if it is what would be read. */
  speculative?: SpeculativeRead
  signal?: AbortSignal
}

export type ServableObject = {
  objectId: string
  kind: ObjectKind
  size: number
  contentType: string
  extension: string
  /** Lower-case hex. */
  sha256: string
  createdAt: Date
  /**
   * A stream of the bytes `start` to `end`, inclusive (default: all). The source answered before this
   * resolves. A broken connection is resumed; a stream that can't go on is destroyed with its error, never
   * ended short. All bytes are compared with the SHA-256 before the last of them is given out, a part with
   * how the replica was proven; what is otherwise is looked at again, and another copy is read. Destroy it to
   * free its connection. Throws `unavailable` when no replica can be read now, within `answerWithinMs`,
   * `archived` when one must be restored for that.
   */
  open(options?: OpenOptions): Promise<Readable>
  /**
   * False: what somebody has of it, of an answer that was cut off, may be wrong, and must not be made whole.
   */
  mayBeResumed(): Promise<boolean>
  /** Where `open` reads first; null: a file of ours, or nowhere. */
  remoteSource(): ReadSource | null
  /** Where the client may fetch it without us, or null where it has to come from here. Asks no location. */
  redirectTarget(wish: RedirectWish): Promise<RedirectTarget | null>
}

/**
 * What is known of an object without asking any location. `known`: what the ledger said within the same
 * request, if it is of this object. Throws `not-found`.
 */
export async function findServable(
  placement: Placement,
  objectId: string,
  known: LoadedObject | null = null,
): Promise<ServableObject> {
  const loaded = known?.object.id === objectId ? known : await loadObject(placement.db, objectId)
  if (!loaded) throw new AppError('not-found', 'there is no such file')
  const { object, replicas } = loaded
  return {
    objectId,
    kind: object.kind,
    size: object.size,
    contentType: object.contentType,
    extension: object.extension,
    sha256: object.sha256,
    createdAt: object.createdAt,
    redirectTarget: (wish) => {
      // Nobody could tell wrong bytes there.
      const trusted = inReadingOrder(placement, object, replicas).filter(
        (one) => !isBeingRechecked(placement, one) && !isDoubted(one),
      )
      return redirectTarget(placement, object, trusted, wish)
    },
    mayBeResumed: async () => !(await wasSentWrong(placement, objectId)),
    remoteSource() {
      // What the cache has costs no request, so none is begun before it was asked.
      if (placement.cache !== null) return null
      const nearest = inReadingOrder(placement, object, replicas)[0]
      if (!nearest || locationOf(placement, nearest.locationId).backend.localFiles) return null
      const { locationId, key, proof } = nearest
      return { locationId, key, size: object.size, etag: proof?.etag }
    },
    open: async (options = {}) => {
      const range = options.range ?? { start: 0, end: object.size - 1 }
      const patience = startPatience(placement, options.signal)
      const wish = { range, patience }
      try {
        const first = await openNearest(placement, loaded, { ...wish, speculative: options.speculative })
        if (first.stream) return first.stream
        // An eviction may have moved the bytes since the rows were read: look once more.
        const again = (await loadObject(placement.db, objectId))?.replicas ?? []
        const second = await openNearest(placement, { object, replicas: again }, wish)
        if (second.stream) return second.stream
        const archived = archivedError(placement, object, again)
        if (archived) throw archived
        const at = again
          .filter(({ state }) => state === 'verified')
          .map(({ locationId }) => locationOf(placement, locationId))
        throw new AppError('unavailable', unreachableSentence(object, at, placement.local.id), {
          cause: second.failure ?? first.failure,
        })
      } finally {
        patience.stop()
      }
    },
  }
}

/**
 * Those of the objects that the ledger knows a readable replica of. In one statement, and without asking a
 * location.
 */
export async function readableObjects(
  placement: Pick<Placement, 'db' | 'locations'>,
  objectIds: readonly string[],
): Promise<Set<string>> {
  const rows = await placement.db
    .selectFrom('replica')
    .select('object_id')
    .distinct()
    .where(sql<boolean>`object_id = any(${[...objectIds]}::uuid[])`)
    .where('state', '=', 'verified')
    .where('location_id', 'in', [...placement.locations.keys()])
    .execute()
  return new Set(rows.map((row) => row.object_id))
}
