/**
 * Brings sidecars back. One that an asset has is given up for another one only where that is of a state that
 * knew all that this database had written, and nobody has changed the asset here since.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../../database/connect.ts'
import { uuidArray } from '../../../database/statements/uuid-array.ts'
import { adoptObject } from '../../../placement/catalogue/adopt-object.ts'
import { knownKey } from '../../../placement/keys.ts'
import type { Location } from '../../../placement/location.ts'
import { objectUnder } from '../../../placement/replica-io/adopt-bytes.ts'
import { setAssetFile } from '../../assets/asset-files.ts'
import { enqueueProcessing } from '../../assets/enqueue-processing.ts'
import type { AssetEntry } from '../entries.ts'
import { type AdoptingParts, adoptOrThrow, NotThis, readRight, settle } from './adopt-assets.ts'

const MAX_EXAMPLES = 20

/**
 * The sidecars, by their assets, that those of later states may take the place of. To be asked before
 * anything is changed: what an adoption changes can't be told afterwards from what people did.
 */
export async function replaceableSidecars(
  db: Database,
  isLater: (batch: string) => boolean,
): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; objectId: string; batch: string }>`
    select found.id, file.object_id as "objectId", found.batch
    from catalogue_found found
    join asset_file file on file.asset_id = found.id and file.kind = 'sidecar'
    where found.kind = 'asset' and not found.is_gone and not found.is_known
      and entry -> 'sidecar' ->> 'id' <> file.object_id::text
      and not exists (select from catalogue_change where subject = 'asset' and subject_id = found.id)`.execute(
    db,
  )
  return new Map(rows.flatMap(({ id, objectId, batch }) => (isLater(batch) ? [[id, objectId]] : [])))
}

/**
 * Of `catalogue_found found`: an asset that is there as a later state had it, without the sidecar that it had
 * then. One that has another sidecar counts as well: whether that may be replaced is asked for each.
 */
export const SIDECAR_IS_LACKING = sql`found.kind = 'asset' and not found.is_gone and not found.is_known
  and found.entry -> 'sidecar' <> 'null'
  and exists (select from asset where asset.id = found.id and asset.owner_id = (found.entry ->> 'owner')::uuid
    and checksum = decode(found.entry ->> 'sha1', 'hex'))
  and not exists (select from asset_file file where file.asset_id = found.id and file.kind = 'sidecar'
    and file.object_id::text = found.entry -> 'sidecar' ->> 'id')`

/**
 * Of `catalogue_found found`: its sidecar was found nowhere. One that must not replace another one is not
 * missed.
 */
export function isSidecarMissing({ replaceable }: Pick<AdoptingParts, 'replaceable'>): RawBuilder<unknown> {
  const objects = uuidArray([...replaceable.values()])
  return sql`${SIDECAR_IS_LACKING} and not exists (select from asset_file has
    where has.asset_id = found.id and has.kind = 'sidecar' and has.object_id <> all(${objects}::uuid[]))`
}

export async function countMissingSidecars(
  db: Queryable,
  parts: Pick<AdoptingParts, 'replaceable'>,
): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from catalogue_found found where ${isSidecarMissing(parts)}`.execute(db)
  return rows[0]!.count
}

/** Of the sidecar under this key, whose asset is there. */
export async function adoptSidecar(
  parts: AdoptingParts,
  location: Location,
  key: string,
  entry: AssetEntry,
): Promise<void> {
  const { db, placement, report } = parts
  const { sidecar } = entry
  if (sidecar === null) return
  const under = await objectUnder(db, { locationId: location.id, key: knownKey(key) })
  // It was brought back a moment ago, or is another object's. A takeover names what a backup caught in
  // flight, and nothing refers to that yet.
  if (under !== null && (under.isLinked || under.id !== sidecar.id)) return
  const now = await assetOf(db, entry)
  if (now === null) {
    parts.doubtful.set(key, entry.id)
    report.refused.count += 1
    if (report.refused.examples.length < MAX_EXAMPLES)
      report.refused.examples.push(`${key}: the asset of this sidecar is another user's, or of another file`)
    return
  }
  if (!mayHave(parts, entry, now.sidecar)) return
  const read = await readRight(parts, location, key, entry, sidecar)
  if (read === null) return
  const object = { ...sidecar, ownerId: entry.owner, assetId: entry.id, kind: 'sidecar' as const }
  if (now.sidecar === sidecar.id) {
    await db.transaction().execute((tx) => adoptObject(tx, placement, location, object, read))
    return
  }
  const isDone = await settle(report, 'already', () =>
    db.transaction().execute(async (tx) => {
      await adoptOrThrow(tx, placement, location, read, object)
      await lockOwn(tx, parts, entry)
      await setAssetFile(tx, entry.id, 'sidecar', { objectId: sidecar.id, width: null, height: null })
      await enqueueProcessing(tx, { id: entry.id, ownerId: entry.owner })
    }),
  )
  if (isDone) report.sidecars += 1
}

/** Whether the asset has this sidecar, or none, or one that this one may take the place of. */
function mayHave({ replaceable }: AdoptingParts, { id, sidecar }: AssetEntry, has: string | null): boolean {
  return has === null || has === sidecar?.id || replaceable.get(id) === has
}

/** The asset that the entry tells of, with its sidecar; null where it is another user's, or another file. */
async function assetOf(db: Queryable, entry: AssetEntry): Promise<{ sidecar: string | null } | null> {
  const { rows } = await sql<{ sidecar: string | null }>`
    select (select object_id from asset_file where asset_id = asset.id and kind = 'sidecar') as sidecar
    from asset where id = ${entry.id} and owner_id = ${entry.owner}
      and checksum = decode(${entry.sha1}, 'hex')`.execute(db)
  return rows[0] ?? null
}

/** @throws NotThis where that has changed, or the object is another asset's */
async function lockOwn(tx: Tx, parts: AdoptingParts, entry: AssetEntry): Promise<void> {
  await sql`select from asset where id = ${entry.id} for update`.execute(tx)
  const now = await assetOf(tx, entry)
  if (now === null || !mayHave(parts, entry, now.sidecar)) throw new NotThis()
  const { rows } = await sql`
    select from asset_file where object_id = ${entry.sidecar!.id} and asset_id <> ${entry.id}`.execute(tx)
  if (rows.length > 0) throw new NotThis()
}
