/**
 * s3-first: an upload goes on to the place where it belongs while it arrives. Parts go up from the staged
 * file as soon as they are full; what stays below one part is put in one piece at the end. Nothing of it is
 * an object before `prove`.
 */
import { open } from 'node:fs/promises'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { Body, ObjectKey, StreamingPut } from '../../storage/backend.ts'
import { retryUnavailable } from '../../storage/guards/with-retry.ts'
import { freshKey } from '../keys.ts'
import type { Replica, StoredObject } from '../ledger/objects.ts'
import { leaseEnd } from '../ledger/replicas.ts'
import type { Location } from '../location.ts'
import { noteTrouble } from '../locations/health.ts'
import { confirmLocation, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { type Proven, proveByPut } from '../replica-io/prove-put.ts'
import { asUploadError } from './upload-error.ts'

/** Against hiccups. What lasts longer is answered, and the client comes back. */
const BEGIN_RETRY = { attempts: 3, delayMs: 300 }

/** What is known of an upload before its bytes. `expectedBytes` as announced; null: nothing was. */
export type WriteThroughTarget = {
  kind: ObjectKind
  ownerId: string
  assetId: string
  contentType: string
  extension: string
  expectedBytes: number | null
}

export type WriteThrough = {
  locationId: string
  assetId: string
  /** The key it is written under; final when all bytes have arrived. */
  key(): ObjectKey
  /** So many bytes of the staged file are written. Waits while the location does not keep up. */
  advance(availableBytes: number): Promise<void>
  /**
   * All bytes are there, and the intent to write the object under `key` is committed: puts what is still here
   * and proves all of it. Throws AppError unavailable or storage-full, in words for whoever uploads.
   */
  prove(object: Pick<StoredObject, 'id' | 'size' | 'sha256'>, body: Body): Promise<Proven>
  /** In the transaction that makes the object count: there is nothing left to give up. */
  forget(tx: Queryable): Promise<void>
  /** After that transaction. */
  finish(): void
  /**
   * Gives the parts back that are not an object. Harmless after `finish`; never throws: what it can't do, the
   * sweep does.
   */
  abandon(): Promise<void>
}

/**
 * Where a kind belongs besides this disk, of several the first bucket; null where it belongs nowhere else.
 * The others get their copies afterwards.
 */
export function writeThroughLocation(
  placement: Pick<Placement, 'policy' | 'local' | 'locations'>,
  kind: ObjectKind,
): Location | null {
  const elsewhere = placement.policy[kind]
    .filter((id) => id !== placement.local.id)
    .map((id) => locationOf(placement, id))
  return elsewhere.find(({ kind }) => kind !== 'disk') ?? elsewhere[0] ?? null
}

/**
 * Opens the way for a file that is about to be staged at `path`. Nothing is sent before a part is full.
 * @throws AppError unavailable where the place can't be written to now
 */
export async function openWriteThrough(
  placement: Placement,
  target: WriteThroughTarget,
  path: string,
): Promise<WriteThrough> {
  const location = writeThroughLocation(placement, target.kind)
  if (location === null) throw new AppError('unavailable', `${target.kind} belongs on this disk only`)
  await confirmLocation(placement, location).catch((error: unknown) => {
    throw asUploadError(error)
  })
  const { db, log, settings } = placement
  const { streamingPut } = location.backend
  const stop = new AbortController()
  let key = freshKey(target)
  let begun: StreamingPut | undefined
  let isFinished = false
  let renewal: NodeJS.Timeout | undefined

  /**
   * A fresh key for each try: an upload whose answer got lost is found under the key of its row, and given
   * up.
   */
  async function begin(ability: NonNullable<typeof streamingPut>): Promise<StreamingPut> {
    key = freshKey(target)
    const row = { location_id: location!.id, key }
    await db
      .insertInto('unfinished_upload')
      .values({ ...row, upload_id: null, lease_expires_at: leaseEnd(settings.writeLeaseMs) })
      .execute()
    const put = await ability.begin(key, {
      openFile: () => open(path, 'r'),
      expectedBytes: target.expectedBytes,
      contentType: target.contentType,
      signal: stop.signal,
    })
    begun = put
    clearInterval(renewal)
    renewal = setInterval(() => void renew(), settings.writeLeaseMs / 4).unref()
    await db
      .updateTable('unfinished_upload')
      .set({ upload_id: put.uploadId })
      .where('location_id', '=', row.location_id)
      .where('key', '=', key)
      .execute()
    return put
  }

  async function renew(): Promise<void> {
    try {
      const result = await db
        .updateTable('unfinished_upload')
        .set({ lease_expires_at: leaseEnd(settings.writeLeaseMs) })
        .where('location_id', '=', location!.id)
        .where('key', '=', key)
        .executeTakeFirst()
      if (result.numUpdatedRows === 0n && !isFinished) {
        stop.abort(new AppError('unavailable', 'the lease of the upload was lost'))
      }
    } catch (error) {
      log.warn({ key, error: (error as Error).message }, 'the lease of an upload could not be renewed')
    }
  }

  async function explain<T>(work: () => Promise<T>): Promise<T> {
    try {
      stop.signal.throwIfAborted()
      return await work()
    } catch (error) {
      await noteTrouble(placement, location!.id, error)
      throw asUploadError(error)
    }
  }

  return {
    locationId: location.id,
    assetId: target.assetId,
    key: () => key,

    async advance(availableBytes) {
      if (!streamingPut || availableBytes <= streamingPut.partBytes) return
      await explain(async () => {
        const put = begun ?? (await retryUnavailable(BEGIN_RETRY, () => begin(streamingPut)))
        await put.advance(availableBytes)
      })
    },

    prove(object, body) {
      const put = (signal: AbortSignal) =>
        begun
          ? begun.complete(body, signal)
          : location.backend.put(key, body, { contentType: target.contentType, signal })
      return explain(() => proveByPut(placement, object, { locationId: location.id, key }, put, stop.signal))
    },

    async forget(tx) {
      if (begun) await forgetUnfinished(tx, location.id, key)
    },

    finish() {
      isFinished = true
      clearInterval(renewal)
    },

    async abandon() {
      if (isFinished) return
      isFinished = true
      clearInterval(renewal)
      stop.abort(new AppError('unavailable', 'the upload was given up'))
      if (!begun) return
      try {
        await begun.abort()
        await forgetUnfinished(db, location.id, key)
      } catch (error) {
        log.warn(
          { location: location.id, key, error: (error as Error).message },
          'an unfinished upload is left to the sweep',
        )
      }
    },
  }
}

/** The upload is an object, or was given up. */
export async function forgetUnfinished(db: Queryable, locationId: string, key: string): Promise<void> {
  await db
    .deleteFrom('unfinished_upload')
    .where('location_id', '=', locationId)
    .where('key', '=', key)
    .execute()
}

/**
 * The parts under the key are nobody's any more: the sweep gives them up, and nobody pays for them for long.
 */
export async function leaveToSweep(
  tx: Queryable,
  { locationId, key, uploadId }: Pick<Replica, 'locationId' | 'key' | 'uploadId'>,
): Promise<void> {
  await tx
    .insertInto('unfinished_upload')
    .values({ location_id: locationId, key, upload_id: uploadId ?? null, lease_expires_at: leaseEnd(0) })
    .onConflict((clash) => clash.doNothing())
    .execute()
}
