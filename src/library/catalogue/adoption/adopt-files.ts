/**
 * Which files of the locations are looked at, and in which order. A file that can only be told after others
 * is put off, and the locations are listed once more for these: a sidecar comes after its photo, and what no
 * catalogue names after all that is named.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../../database/connect.ts'
import { unlinkedOriginals } from '../../../placement/catalogue/unlinked-originals.ts'
import { partsOfKey } from '../../../placement/keys.ts'
import { isVerifiedSomewhere } from '../../../placement/ledger/object-sql.ts'
import { type Difference, type ListedKey, listLocation } from '../../../placement/listing/list-location.ts'
import type { Location } from '../../../placement/location.ts'
import type { AssetEntry } from '../entries.ts'
import {
  type AdoptingParts,
  adoptByKeyAlone,
  adoptCopy,
  adoptOriginal,
  hasAsset,
  newEntryOf,
} from './adopt-assets.ts'
import { adoptSidecar, SIDECAR_IS_LACKING } from './adopt-sidecars.ts'

const PAGE = 200
const NO_ID = '00000000-0000-0000-0000-000000000000'

type Note = (doing: string) => Promise<void>
type File = { listed: ListedKey; ownerId: string; assetId: string; kind: 'original' | 'sidecar' }
type Looked = 'done' | 'put-off'

/** @throws what a location throws */
export async function adoptFiles(
  parts: AdoptingParts,
  places: readonly Location[],
  note: Note,
): Promise<void> {
  const looked = await lookAtAll(parts, places, lookAt, note)
  await adoptByTheirKeys(parts, places)
  const elsewhere = await keysUnderOtherIds(parts.db)
  await adoptUnlinked(parts, places, elsewhere)
  await adoptSidecarsByTheirKeys(parts, places)
  if (looked === 'done') return
  await lookAtAll(parts, places, (...given) => lookAgainAt(elsewhere, ...given), note)
}

async function lookAtAll(
  parts: AdoptingParts,
  places: readonly Location[],
  look: (parts: AdoptingParts, location: Location, file: File) => Promise<Looked>,
  note: Note,
): Promise<Looked> {
  const { placement, report, signal } = parts
  let all: Looked = 'done'
  for (const location of places) {
    let count = 0
    for await (const entry of listLocation(placement, location, { signal })) {
      signal?.throwIfAborted()
      count += 1
      const file = unnamedFile(entry)
      if (file !== null && (await look(parts, location, file)) === 'put-off') all = 'put-off'
      await note(`${location.id}: ${count} files looked at, ${report.assets} photos and videos brought back`)
    }
  }
  return all
}

/** One that no replica names, and that is no leftover of what this ledger has given up itself. */
function unnamedFile(entry: Difference): File | null {
  if (entry.replica !== null || entry.stray !== 'unknown') return null
  const named = partsOfKey(entry.listed.key)
  if (named === null || named.assetId === null) return null
  const { ownerId, assetId, kind } = named
  return kind === 'original' || kind === 'sidecar' ? { listed: entry.listed, ownerId, assetId, kind } : null
}

/** What the entry of a later state says of the asset; null: nothing that may be followed. */
async function entryOf({ db }: AdoptingParts, { assetId, ownerId }: File): Promise<AssetEntry | null> {
  const found = await newEntryOf(db, assetId)
  return found?.owner === ownerId ? found : null
}

async function lookAt(parts: AdoptingParts, location: Location, file: File): Promise<Looked> {
  const { listed, kind } = file
  const entry = await entryOf(parts, file)
  const isThere = await hasAsset(parts.db, file.assetId)
  if (kind === 'sidecar') {
    if (entry !== null && !isThere) return 'put-off'
    if (entry?.sidecar?.size === listed.size) await adoptSidecar(parts, location, listed.key, entry)
    return 'done'
  }
  if (entry === null)
    // The key may be that of another asset, which is asked first: an upload has repaired that one.
    return isThere ? 'done' : 'put-off'
  if (entry.original.size !== listed.size) return 'done'
  // The same original at a second location.
  if (isThere) await adoptCopy(parts, location, listed.key, entry)
  else await adoptOriginal(parts, location, listed.key, entry)
  return 'done'
}

/** At what was put off: whatever the catalogues name is there by now, if it comes back at all. */
async function lookAgainAt(
  elsewhere: ReadonlySet<string>,
  parts: AdoptingParts,
  location: Location,
  file: File,
): Promise<Looked> {
  const { listed, kind } = file
  if (parts.doubtful.has(listed.key)) return 'done'
  const entry = await entryOf(parts, file)
  const isThere = await hasAsset(parts.db, file.assetId)
  if (kind === 'original') {
    const isNobodys = entry === null && !isThere && !elsewhere.has(`${location.id} ${listed.key}`)
    if (isNobodys) await adoptByKeyAlone(parts, location, listed, file)
  } else if (isThere && entry?.sidecar?.size === listed.size)
    await adoptSidecar(parts, location, listed.key, entry)
  return 'done'
}

/**
 * Location and key of originals whose key has another id than that of their asset, which is not gone: an
 * upload has repaired it. They are few; asked for each file, the catalogue would be read whole each time.
 */
async function keysUnderOtherIds(db: Queryable): Promise<Set<string>> {
  const { rows } = await sql<{ locationId: string; key: string }>`
    select named.location_id as "locationId", named.key
    from catalogue_found found
      cross join lateral jsonb_each_text(found.entry -> 'original' -> 'keys') as named (location_id, key)
    where kind = 'asset' and not is_gone and strpos(named.key, found.id::text) = 0`.execute(db)
  return new Set(rows.map(({ locationId, key }) => `${locationId} ${key}`))
}

/**
 * Those whose keys have another asset's id, or that this ledger knew before without an asset; and those that
 * are there and have lost their copies.
 */
async function adoptByTheirKeys(parts: AdoptingParts, places: readonly Location[]): Promise<void> {
  let after = NO_ID
  for (;;) {
    const { rows } = await sql<{ entry: AssetEntry; isThere: boolean }>`
      select entry, asset.id is not null as "isThere"
      from catalogue_found found left join asset on asset.id = found.id
      where kind = 'asset' and not is_gone and not is_known and found.id > ${after}::uuid
        and (asset.id is null or not ${isVerifiedSomewhere(sql.ref('asset.original_object_id'))})
      order by found.id limit ${PAGE}`.execute(parts.db)
    const last = rows.at(-1)
    if (last === undefined) return
    for (const { entry, isThere } of rows)
      for (const location of places) {
        const key = entry.original.keys[location.id]
        parts.signal?.throwIfAborted()
        if (key === undefined || parts.doubtful.has(key)) continue
        if (isThere) await adoptCopy(parts, location, key, entry)
        else if (await adoptOriginal(parts, location, key, entry)) break
      }
    after = last.entry.id
  }
}

/** Originals that a listing leaves out, since a copy of theirs is known, and that no asset has. */
async function adoptUnlinked(
  parts: AdoptingParts,
  places: readonly Location[],
  elsewhere: ReadonlySet<string>,
): Promise<void> {
  let after = NO_ID
  for (;;) {
    const page = await unlinkedOriginals(parts.placement, { after, limit: PAGE })
    const last = page.at(-1)
    if (last === undefined) return
    for (const one of page) {
      const { ownerId, assetId } = one.object
      if (assetId === null || (await hasAsset(parts.db, assetId))) continue
      const entry = await newEntryOf(parts.db, assetId)
      for (const { locationId, key } of one.copies) {
        const location = places.find(({ id }) => id === locationId)
        parts.signal?.throwIfAborted()
        if (location === undefined || parts.doubtful.has(key)) continue
        if (entry !== null && entry.owner !== ownerId) break
        if (entry !== null) {
          if (await adoptOriginal(parts, location, key, entry)) break
        } else if (!elsewhere.has(`${locationId} ${key}`)) {
          const { size, id: objectId } = one.object
          const listed = { key, size, etag: null, lastModified: one.beganAt }
          await adoptByKeyAlone(parts, location, listed, { ownerId, assetId, objectId })
          if (await hasAsset(parts.db, assetId)) break
        }
      }
    }
    after = last.object.id
  }
}

/** Those whose photos came later than the listing of their location. */
async function adoptSidecarsByTheirKeys(parts: AdoptingParts, places: readonly Location[]): Promise<void> {
  let after = NO_ID
  for (;;) {
    const { rows } = await sql<{ entry: AssetEntry }>`
      select entry from catalogue_found found
      where found.id > ${after}::uuid and ${SIDECAR_IS_LACKING}
      order by found.id limit ${PAGE}`.execute(parts.db)
    const last = rows.at(-1)
    if (last === undefined) return
    for (const { entry } of rows)
      for (const location of places) {
        const key = entry.sidecar?.keys[location.id]
        parts.signal?.throwIfAborted()
        if (key !== undefined && !parts.doubtful.has(key)) await adoptSidecar(parts, location, key, entry)
      }
    after = last.entry.id
  }
}
