/**
 * Brings assets back whose files a location holds: of each, all bytes are read before it counts, its SHA-256
 * is that of the catalogue, and so is its SHA-1, by which clients ask whether they may delete theirs.
 */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../../database/connect.ts'
import { formatOf } from '../../../media/formats.ts'
import { adoptObject, type ReadBytes, readBytes } from '../../../placement/catalogue/adopt-object.ts'
import { assertReading, type CatalogueReport } from '../../../placement/catalogue/adoption-state.ts'
import { knownKey, safeExtension } from '../../../placement/keys.ts'
import type { ListedKey } from '../../../placement/listing/list-location.ts'
import type { Location } from '../../../placement/location.ts'
import type { Placement } from '../../../placement/placement.ts'
import { isNamed, objectUnder } from '../../../placement/replica-io/adopt-bytes.ts'
import { enqueueProcessing } from '../../assets/enqueue-processing.ts'
import { insertAsset, SameBytesArrived } from '../../assets/insert-asset.ts'
import { restoreFromTrash } from '../../assets/trash.ts'
import { toStorableTime } from '../../wall-clock.ts'
import type { AssetEntry } from '../entries.ts'
import { adoptUnknownUser } from './adopt-people.ts'

export type AdoptingParts = {
  db: Database
  placement: Placement
  report: CatalogueReport
  isRebuild: boolean
  /** For `assertReading`. */
  reading: string
  /** Keys whose bytes are not what the catalogue says, or can't be read; and their assets by its word. */
  doubtful: Map<string, string>
  /** Sidecars, by their assets, that another one may take the place of. */
  replaceable: ReadonlyMap<string, string>
  signal: AbortSignal | undefined
}

/** Thrown so that nothing stays of what turned out to be something else. */
export class NotThis extends Error {}

/** A later state's entry of an asset; null: none that may be followed. */
export async function newEntryOf(db: Queryable, assetId: string): Promise<AssetEntry | null> {
  const row = await db
    .selectFrom('catalogue_found')
    .select('entry')
    .where('kind', '=', 'asset')
    .where('id', '=', assetId)
    .where('is_gone', '=', false)
    .where('is_known', '=', false)
    .executeTakeFirst()
  return (row?.entry as AssetEntry | undefined) ?? null
}

/** Whether any catalogue has ever said something of the asset, or says that its owner was removed. */
async function isNamedAtAll(db: Queryable, assetId: string, ownerId: string): Promise<boolean> {
  const { rows } = await sql`
    select from catalogue_found
    where (kind = 'asset' and id = ${assetId}::uuid) or (kind = 'user' and id = ${ownerId}::uuid and is_gone
      and not exists (select from app_user where app_user.id = catalogue_found.id))`.execute(db)
  return rows.length > 0
}

export async function hasAsset(db: Queryable, assetId: string): Promise<boolean> {
  const row = await db.selectFrom('asset').select('id').where('id', '=', assetId).executeTakeFirst()
  return row !== undefined
}

async function hasUser(db: Queryable, userId: string): Promise<boolean> {
  const row = await db.selectFrom('app_user').select('id').where('id', '=', userId).executeTakeFirst()
  return row !== undefined
}

/** Of the original under this key. True: it is settled, for better or worse. */
export async function adoptOriginal(
  parts: AdoptingParts,
  location: Location,
  key: string,
  entry: AssetEntry,
): Promise<boolean> {
  const { db, placement, report, signal } = parts
  if (!(await hasUser(db, entry.owner))) return false
  const under = await objectUnder(db, { locationId: location.id, key: knownKey(key) })
  // Brought back a moment ago, as this or as a copy of another one.
  if (under?.isLinked) return true
  // What a takeover found for an upload that a backup caught in flight is still to become an asset.
  const objectId = under?.id ?? entry.original.id
  const read = await readRight(parts, location, key, entry, entry.original)
  if (read === null) return false
  if (read.sha1 !== entry.sha1) {
    report.wrong += 1
    parts.doubtful.set(key, entry.id)
    placement.log.warn({ location: location.id, key }, 'the catalogue says another SHA-1 of a file')
    return false
  }
  signal?.throwIfAborted()
  const isDone = await settle(report, 'already', () =>
    db.transaction().execute(async (tx) => {
      await adoptOrThrow(tx, placement, location, read, {
        ...entry.original,
        ...{ id: objectId, ownerId: entry.owner, assetId: entry.id, kind: 'original' },
      })
      await insertFound(tx, entry, objectId, read)
      await enqueueProcessing(tx, { id: entry.id, ownerId: entry.owner })
    }),
  )
  if (isDone) report.assets += 1
  else await keepAsCopy(parts, location, { owner: entry.owner, wasSentAgain: entry.trashedAt === null }, read)
  return true
}

/**
 * The owner has the same bytes as an asset already, of before a deletion, say, after which they were sent
 * again: they are a copy of its original too, and may be the only one that is left. `adoptObject` compares
 * their SHA-256 with that of the ledger. `wasSentAgain`: after the asset was thrown away, so that it is kept.
 */
async function keepAsCopy(
  { db, placement }: AdoptingParts,
  location: Location,
  { owner, wasSentAgain }: { owner: string; wasSentAgain: boolean },
  read: ReadBytes,
): Promise<void> {
  const asset = await db
    .selectFrom('asset')
    .select(['id', 'original_object_id as objectId', 'original_mime_type as contentType'])
    .where('owner_id', '=', owner)
    .where('checksum', '=', Buffer.from(read.sha1, 'hex'))
    .executeTakeFirst()
  if (asset === undefined) return
  const under = await objectUnder(db, { locationId: location.id, key: knownKey(read.key) })
  if (under !== null && under.id !== asset.objectId) return
  const extension = safeExtension(read.key.split('.').at(-1) ?? '')
  const object = {
    ...{ id: asset.objectId, ownerId: owner, assetId: asset.id, kind: 'original' as const },
    ...{ contentType: asset.contentType, extension },
  }
  await db.transaction().execute(async (tx) => {
    await adoptObject(tx, placement, location, object, read)
    if (wasSentAgain) await restoreFromTrash(tx, { userId: owner }, [asset.id])
  })
}

/**
 * A copy of the original of an asset that is there: at another location than the first, or in place of one
 * that was lost. Such a repair has made another object of the same bytes.
 */
export async function adoptCopy(
  parts: AdoptingParts,
  location: Location,
  key: string,
  entry: AssetEntry,
): Promise<void> {
  if (await isNamed(parts.db, { locationId: location.id, key: knownKey(key) })) return
  const read = await readRight(parts, location, key, entry, entry.original)
  // What is in the trash here is there by a decision of before, or of since: another copy changes neither.
  if (read !== null) await keepAsCopy(parts, location, { owner: entry.owner, wasSentAgain: false }, read)
}

async function insertFound(tx: Tx, entry: AssetEntry, objectId: string, read: ReadBytes): Promise<void> {
  await insertAsset(
    tx,
    { userId: entry.owner },
    {
      assetId: entry.id,
      objectId,
      format: { type: entry.type, mimeType: entry.mimeType },
      upload: {
        fileName: entry.name,
        fields: {
          fileCreatedAt: new Date(entry.fileCreatedAt),
          fileModifiedAt: new Date(entry.fileModifiedAt),
          isFavorite: entry.isFavorite,
          visibility: entry.visibility,
          durationMs: entry.durationMs,
          // Its film may come later.
          livePhotoVideoId: null,
        },
        original: { sha1: Buffer.from(read.sha1, 'hex'), size: read.size },
      },
      isEmbedded: entry.isEmbedded,
    },
  )
  await tx
    .updateTable('asset')
    .set({
      local_date_time: entry.localDateTime,
      time_zone: entry.timeZone,
      created_at: new Date(entry.createdAt),
      // Its time in the trash begins anew.
      deleted_at: entry.trashedAt === null ? null : sql<Date>`now()`,
    })
    .where('id', '=', entry.id)
    .execute()
  const { said } = entry
  if (said === null) return
  await tx
    .insertInto('asset_exif')
    .values({
      asset_id: entry.id,
      description: said.description,
      rating: said.rating,
      latitude: said.latitude,
      longitude: said.longitude,
      date_time_original: said.dateTimeOriginal === null ? null : new Date(said.dateTimeOriginal),
      time_zone: said.timeZone,
      user_set: said.fields.filter((field) => SAID_FIELDS.includes(field)),
    })
    .execute()
}

/** What a user may set, so that the file has no word in it. */
const SAID_FIELDS = [
  'description',
  'rating',
  'latitude',
  'longitude',
  'date_time_original',
  'time_zone',
  'live_photo_video_id',
]

/**
 * An original that no catalogue names, such as one that came minutes before the end: the ids in its key, and
 * what the file says of itself, are all that is known. Where nobody is left, a user is made for it.
 * `objectId`: that of the object whose copy it is already; absent: a new one.
 */
export async function adoptByKeyAlone(
  parts: AdoptingParts,
  location: Location,
  listed: ListedKey,
  { ownerId, assetId, objectId = randomUUID() }: { ownerId: string; assetId: string; objectId?: string },
): Promise<void> {
  const { db, placement, report, isRebuild, signal } = parts
  const name = `${assetId}.${listed.key.split('.').at(-1)}`
  const format = formatOf(name)
  if (format === null || (await isNamedAtAll(db, assetId, ownerId))) return
  if (!(await hasUser(db, ownerId))) {
    if (!isRebuild || !(await adoptUnknownUser(db, ownerId))) return
    report.users += 1
  }
  const read = await readBytes({ placement, location }, listed.key, listed.size, signal)
  if (read === 'archived') report.archived += 1
  if (read === 'unreadable') report.unreadable += 1
  if (typeof read === 'string') return
  const time = toStorableTime(listed.lastModified)
  const fields = { fileCreatedAt: time, fileModifiedAt: time, isFavorite: false, durationMs: null }
  const isDone = await settle(report, 'already', () =>
    db.transaction().execute(async (tx) => {
      // That no catalogue names it is said by what is not there.
      await assertReading(tx, parts.reading)
      await adoptOrThrow(tx, placement, location, read, {
        ...{ id: objectId, ownerId, assetId, kind: 'original', contentType: format.mimeType },
        extension: safeExtension(format.extension),
      })
      await insertAsset(
        tx,
        { userId: ownerId },
        {
          ...{ assetId, objectId, format },
          upload: {
            fileName: name,
            fields: { ...fields, visibility: 'timeline', livePhotoVideoId: null },
            original: { sha1: Buffer.from(read.sha1, 'hex'), size: read.size },
          },
        },
      )
      await enqueueProcessing(tx, { id: assetId, ownerId })
    }),
  )
  if (!isDone) return keepAsCopy(parts, location, { owner: ownerId, wasSentAgain: true }, read)
  report.assets += 1
  report.byKeyAlone += 1
}

/** Null where these are not the bytes of the catalogue, which is counted. */
export async function readRight(
  { report, placement, doubtful, signal }: AdoptingParts,
  location: Location,
  key: string,
  { id: assetId }: Pick<AssetEntry, 'id'>,
  { size, sha256 }: { size: number; sha256: string },
): Promise<ReadBytes | null> {
  const read = await readBytes({ placement, location }, key, size, signal)
  if (read === 'absent') return null
  if (typeof read !== 'string' && read.sha256 === sha256) return read
  doubtful.set(key, assetId)
  if (read === 'archived' || read === 'unreadable') {
    report[read] += 1
    return null
  }
  report.wrong += 1
  placement.log.warn({ location: location.id, key }, 'a file is not what the catalogue says: it stays there')
  return null
}

export async function adoptOrThrow(
  tx: Tx,
  placement: Placement,
  location: Location,
  read: ReadBytes,
  object: Parameters<typeof adoptObject>[3],
): Promise<void> {
  if (!(await adoptObject(tx, placement, location, object, read))) throw new NotThis()
}

/** False where the same bytes, or the same id, are there already, which is counted. */
export async function settle(
  report: CatalogueReport,
  count: 'already',
  work: () => Promise<void>,
): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (!(error instanceof SameBytesArrived) && !(error instanceof NotThis)) throw error
    report[count] += 1
    return false
  }
}
