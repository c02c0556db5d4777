/**
 * After a restore or a rebuild: what the catalogues and the locations have that the database has not comes
 * back as what it was, with its ids. Nothing is put, changed or removed at a location, and what the database
 * has stays. Killed at any point, the job goes on; looking at a file twice changes nothing.
 */
import { sql } from 'kysely'
import { loadInstallation } from '../../../database/backups/installation.ts'
import type { Database, Queryable } from '../../../database/connect.ts'
import {
  assertReading,
  type CatalogueAdoption,
  type CatalogueReport,
  catalogueAdoption,
  emptyCatalogueReport,
  markersOf,
  ownHeads,
  saveCatalogueAdoption,
} from '../../../placement/catalogue/adoption-state.ts'
import { followHeads } from '../../../placement/catalogue/write-batch.ts'
import type { Location } from '../../../placement/location.ts'
import type { Placement } from '../../../placement/placement.ts'
import { confirmLocationNow } from '../../../placement/replica-io/mark-bad.ts'
import { enqueue } from '../../../queue/enqueue.ts'
import { wakeJobs } from '../../../queue/wake.ts'
import type { AdoptingParts } from './adopt-assets.ts'
import { adoptChanges } from './adopt-changes.ts'
import { adoptFiles } from './adopt-files.ts'
import {
  adoptAlbumAssets,
  adoptAlbumCovers,
  adoptAlbums,
  adoptLivePhotos,
  adoptUsers,
  restoreUsersAsLater,
  usersNotMade,
} from './adopt-people.ts'
import { countMissingSidecars, replaceableSidecars } from './adopt-sidecars.ts'
import { countMissing, keepLeftOver } from './left-over.ts'
import { type Found, loadFound } from './load-found.ts'

/** Between two notes of the progress. */
const NOTE_MS = 1_000

/** Has a job do it; one that is under way goes on. */
export async function beginCatalogueAdoption(
  db: Database,
  options: CatalogueAdoption['options'],
): Promise<void> {
  await db.transaction().execute((tx) => noteCatalogueAdoption(tx, options))
  await wakeJobs(db, ['adopt-catalogue'])
}

/** In the caller's transaction. */
export async function noteCatalogueAdoption(
  tx: Queryable,
  options: CatalogueAdoption['options'],
): Promise<void> {
  const running = await catalogueAdoption(tx)
  if (running?.state !== 'running') await saveCatalogueAdoption(tx, begun(options))
  else if (options.trashDeleted && !running.options.trashDeleted)
    await saveCatalogueAdoption(tx, { ...running, options: { ...running.options, trashDeleted: true } })
  await enqueue(tx, 'adopt-catalogue', {}, { onlyIfNone: true })
}

function begun(options: CatalogueAdoption['options']): CatalogueAdoption {
  return {
    ...{ state: 'running', options, doing: 'begins', report: emptyCatalogueReport() },
    ...{ startedAt: new Date().toISOString(), finishedAt: null },
  }
}

/** Those of the configuration that are not another installation's. */
export function catalogueLocations({ locations }: Pick<Placement, 'locations'>): Location[] {
  return [...locations.values()].filter(({ isReadOnly }) => !isReadOnly)
}

/** @throws what a location throws, and where one is not this ledger's: a later try goes on */
export async function adoptCatalogue(
  { db, placement }: { db: Database; placement: Placement },
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<CatalogueAdoption | null> {
  const adoption = await catalogueAdoption(db)
  if (adoption?.state !== 'running') return adoption
  const { options, report } = adoption
  const places = catalogueLocations(placement)
  let notedAt = 0
  const note = async (doing: string) => {
    adoption.doing = doing
    if (performance.now() - notedAt < NOTE_MS) return
    notedAt = performance.now()
    await saveCatalogueAdoption(db, adoption)
  }
  // Before anything is believed of them.
  for (const { id } of places) await confirmLocationNow(placement, id)
  const readMarkers = await markersOf(
    db,
    places.map(({ id }) => id),
  )
  const { id: installation } = await loadInstallation(db)
  await note('reading the catalogue')
  const found = await loadFound(db, places, {
    ...{ what: 'adoption', installation, heads: await ownHeads(db), signal },
  } as const)
  // What was not brought back is looked at again by every run.
  Object.assign(report, { already: 0, wrong: 0, archived: 0, unreadable: 0 })
  Object.assign(report, { batches: found.batches, unusable: found.unusable, refused: found.refused })
  const parts: AdoptingParts = {
    db,
    placement,
    report,
    isRebuild: options.isRebuild,
    reading: found.reading,
    doubtful: new Map(),
    replaceable: await replaceableSidecars(db, found.isLater),
    signal,
  }
  await db.transaction().execute(async (tx) => {
    await restoreUsersAsLater(tx, { isFresh: options.isFresh })
    await adoptChanges(tx, { isFresh: options.isFresh })
    // From here on people may have used it: a run that goes on after a cut leaves alone what they changed.
    options.isFresh = false
    await saveCatalogueAdoption(tx, adoption)
  })
  const hadUsers = await hasAnyUser(db)
  report.users += await adoptUsers(db, { areAdmins: options.isRebuild && !hadUsers })
  await tellUsersNotMade(db, report)
  report.albums += await adoptAlbums(db)
  await adoptFiles(parts, places, note)
  await adoptLivePhotos(db)
  await adoptAlbumAssets(db)
  await adoptAlbumCovers(db)
  report.missing = await countMissing(db)
  report.missingSidecars = await countMissingSidecars(db, parts)
  await db.transaction().execute(async (tx) => {
    await assertReading(tx, found.reading)
    report.deletedLater = await countDeletedLater(tx, found)
    if (options.trashDeleted) report.trashed += await trashDeletedLater(tx, found)
  })
  const done: CatalogueAdoption = {
    ...adoption,
    ...{ state: 'done', doing: '', finishedAt: new Date().toISOString(), readMarkers },
  }
  await db.transaction().execute(async (tx) => {
    await assertReading(tx, found.reading)
    // Else a later run would take what people delete from now on for what it has to bring back.
    await keepLeftOver(tx, parts)
    const heads = found.heads.length > 0 ? found.heads : await ownHeads(tx)
    await followHeads(tx, { heads, unread: found.missing })
    await saveCatalogueAdoption(tx, done)
    await sql`delete from catalogue_found`.execute(tx)
  })
  placement.log.info(
    { ...report, unusable: report.unusable.length },
    'what the catalogue says was taken over',
  )
  return done
}

/** Whose address somebody else has here: their photos stay where they are. */
async function tellUsersNotMade(db: Queryable, { refused }: CatalogueReport): Promise<void> {
  for (const { id, email } of await usersNotMade(db)) {
    refused.count += 1
    refused.examples.push(`user ${id}: another user has the address ${email}`)
  }
}

async function hasAnyUser(db: Queryable): Promise<boolean> {
  return (await db.selectFrom('app_user').select('id').limit(1).executeTakeFirst()) !== undefined
}

/**
 * An asset that a later state has deleted for good; what was changed here since is not meant, nor what was
 * sent again: that file is here under the older id.
 */
function isDeletedLater({ hasAll }: Pick<Found, 'hasAll'>) {
  return sql`not exists (select from catalogue_change where subject = 'asset' and subject_id = asset.id)
    and (exists (select from catalogue_found found where kind = 'asset' and found.id = asset.id and is_gone
        and not is_known)
      or ${hasAll} and not exists (select from catalogue_found found where kind = 'asset' and found.id = asset.id))
    and not exists (select from catalogue_found again where kind = 'asset' and not is_gone
      and again.entry ->> 'owner' = asset.owner_id::text
      and again.entry ->> 'sha1' = encode(asset.checksum, 'hex'))`
}

export async function countDeletedLater(db: Queryable, found: Pick<Found, 'hasAll'>): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::float8 as count from asset where ${isDeletedLater(found)}`.execute(db)
  return rows[0]!.count
}

/** Puts them into the trash, and removes nothing: their time there is the ordinary one. @returns how many */
async function trashDeletedLater(db: Queryable, found: Pick<Found, 'hasAll'>): Promise<number> {
  const { rows } = await sql`
    update asset set deleted_at = now(), updated_at = now()
    where deleted_at is null and ${isDeletedLater(found)} returning id`.execute(db)
  return rows.length
}
