/** What may become of each stray of a location, as one SQL expression for the plan and for the decision. */
import { type RawBuilder, sql } from 'kysely'
import { loadInstallation } from '../../database/backups/installation.ts'
import { catalogueAdoption, leftOver } from '../catalogue/adoption-state.ts'
import { unreadBatches } from '../catalogue/write-batch.ts'
import { cataloguePrefix } from '../keys.ts'
import { namesKeySql } from '../listing/named-keys.ts'
import type { Placement } from '../placement.ts'
import { COMPARED_KINDS } from './copies-that-count.ts'

/**
 * Why a file is not given up. `backup`: backups and catalogues are what an installation comes back from.
 * `catalogue`: a catalogue, there or at another location, which this database has not taken over, may
 * say whose it is. `young`,
 * `seen-once`: it may be somebody's who is just writing it. `named`: something in the ledger names it by now.
 * `decided`: it is part of a decision that waits. `locked`: the location lets nobody remove it yet.
 */
export type KeptReason = 'backup' | 'catalogue' | 'young' | 'seen-once' | 'named' | 'decided' | 'locked'

/** Between the first and the last sighting, at least. */
const SIGHTINGS_APART_MS = 24 * 3_600_000

export type Judging = { locationId: string; isCatalogueUnread: boolean }

export async function judgingOf(placement: Placement, locationId: string): Promise<Judging> {
  return { locationId, isCatalogueUnread: await isCatalogueUnread(placement) }
}

/**
 * Whether a catalogue lies at any location that this database has not written and not taken over: of another
 * installation, or of a later state of this one. Files that nobody knows here may be those that it names: it
 * may be kept at fewer locations than the originals. One counts as taken over that lies where the last
 * adoption has read, is older than that, and where no other one names a batch that was never found.
 */
export async function isCatalogueUnread({ db }: Pick<Placement, 'db'>): Promise<boolean> {
  const { id: installation } = await loadInstallation(db)
  const adoption = await catalogueAdoption(db)
  const isAdopted =
    adoption?.state === 'done' && leftOver(adoption.report) === 0 && (await unreadBatches(db)).length === 0
  const isRead = isAdopted
    ? sql`l.marker = any(${adoption.readMarkers ?? []}::uuid[]) and s.last_modified < ${adoption.startedAt}::timestamptz`
    : sql`false`
  const { rows } = await sql`
    select from stray s join location l on l.id = s.location_id
    where s.kind = 'catalogue' and s.upload_id = ''
      and s.key not like ${`${cataloguePrefix(null)}texts/%`}
      and not coalesce(s.key like ${`${cataloguePrefix(installation)}%`} and ${isRead}, false)
    limit 1`.execute(db)
  return rows.length > 0
}

/** For rows of `stray`, alias `s`: null where it may be given up. */
export function reasonSql({ settings, now }: Placement, judging: Judging): RawBuilder<KeptReason | null> {
  const inMs = (ms: number) => sql`${ms} * interval '1 millisecond'`
  // A value, not a column: then what changes its class is read once, and not for each row.
  const location = sql`${judging.locationId}`
  return sql<KeptReason | null>`case
    when s.kind in ('database-backup', 'catalogue') and s.upload_id = '' then 'backup'
    when exists (select from collection_item i where i.location_id = s.location_id and i.key = s.key
      and i.upload_id = s.upload_id and i.state in ('held', 'removing')) then 'decided'
    when ${namesKeySql(location, sql`s.key`)} then 'named'
    when ${judging.isCatalogueUnread} and s.kind = any(${COMPARED_KINDS}::text[]) and s.upload_id = '' then 'catalogue'
    when lived_since(s.last_modified) < ${inMs(settings.collectAgeMs)} then 'young'
    when s.sightings < 2
      or lived_since(s.first_seen_at) - lived_since(s.last_seen_at) < ${inMs(SIGHTINGS_APART_MS)}
      or s.first_seen_at <= (select finished_at from adoption a where a.location_id = s.location_id) then 'seen-once'
    when exists (select from object_lock l where l.location_id = s.location_id and l.key = s.key
      and (l.is_on_hold or l.retained_until > ${now()})) then 'locked'
  end`
}

/** A number of each row that their sum tells whether they are the same rows; alias `s`. */
export const ROW_HASH = sql<string>`hashtextextended(concat_ws('/', s.key, s.upload_id, s.size, s.etag,
  extract(epoch from s.last_modified)), 0)::numeric`
