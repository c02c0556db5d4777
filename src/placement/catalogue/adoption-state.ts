/** How the taking over of what catalogues say stands, for the job that does it and the people who wait. */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { UnusableBatch } from './find-batches.ts'

/**
 * `assets`, `sidecars`: brought back. `byKeyAlone`: of these, those that no catalogue names. `already`: the
 * same bytes are there as another asset. `wrong`: what lies there is not what the catalogue says. `archived`:
 * it must be restored before it can be read. `unreadable`: the location gives none of it. `missing`,
 * `missingSidecars`: named, and found nowhere. `deletedLater`: in the database, and deleted by a later state
 * of it; `trashed`: of these, those that were put into the trash.
 */
export type CatalogueReport = {
  batches: number
  unusable: UnusableBatch[]
  refused: { count: number; examples: string[] }
  users: number
  albums: number
  assets: number
  sidecars: number
  byKeyAlone: number
  already: number
  wrong: number
  archived: number
  unreadable: number
  missing: number
  missingSidecars: number
  deletedLater: number
  trashed: number
}

/**
 * `options.isRebuild`: the database was empty. `isFresh`: it was restored or made a moment ago, and nobody
 * has used it. `trashDeleted`: what was deleted later goes into the trash.
 */
export type CatalogueAdoption = {
  state: 'running' | 'done'
  options: { isRebuild: boolean; isFresh: boolean; trashDeleted: boolean }
  /** What it is at. */
  doing: string
  report: CatalogueReport
  startedAt: string
  finishedAt: string | null
  /** The markers of the locations whose catalogues it has read; absent: nobody has noted them. */
  readMarkers?: string[]
}

export function emptyCatalogueReport(): CatalogueReport {
  const none = { users: 0, albums: 0, assets: 0, sidecars: 0, byKeyAlone: 0, already: 0, wrong: 0 }
  return {
    batches: 0,
    unusable: [],
    refused: { count: 0, examples: [] },
    ...none,
    ...{ archived: 0, unreadable: 0, missing: 0, missingSidecars: 0, deletedLater: 0, trashed: 0 },
  }
}

/** The last one; null: there was none. */
export async function catalogueAdoption(db: Queryable): Promise<CatalogueAdoption | null> {
  const { adoption } = await db.selectFrom('catalogue_state').select('adoption').executeTakeFirstOrThrow()
  return adoption as CatalogueAdoption | null
}

/** Of locations that were confirmed: the marker, unlike the name, is never another place's. */
export async function markersOf(db: Queryable, locationIds: readonly string[]): Promise<string[]> {
  const rows = await db
    .selectFrom('location')
    .select('marker')
    .where('id', 'in', [...locationIds])
    .where('marker', 'is not', null)
    .$narrowType<{ marker: string }>()
    .execute()
  return rows.map(({ marker }) => marker)
}

/** Until the transaction is over, none begins, and none ends. */
export async function isAdoptionRunning(tx: Tx): Promise<boolean> {
  const { adoption } = await tx
    .selectFrom('catalogue_state')
    .select('adoption')
    .forUpdate()
    .executeTakeFirstOrThrow()
  return (adoption as CatalogueAdoption | null)?.state === 'running'
}

/** Whether an installation is being made of what its locations hold: its users may not be there yet. */
export async function isBeingRebuilt(db: Queryable): Promise<boolean> {
  const adoption = await catalogueAdoption(db)
  return adoption?.state === 'running' && adoption.options.isRebuild
}

export async function saveCatalogueAdoption(db: Queryable, adoption: CatalogueAdoption): Promise<void> {
  await db
    .updateTable('catalogue_state')
    .set({ adoption: JSON.stringify(adoption) })
    .execute()
}

/** The batches that the next one follows. */
export async function ownHeads(db: Queryable): Promise<string[]> {
  return (await db.selectFrom('catalogue_state').select('heads').executeTakeFirstOrThrow()).heads
}

/** Whether what this database holds was written down without a gap, as far as batches go. */
export async function isCatalogueComplete(db: Queryable): Promise<boolean> {
  const row = await db
    .selectFrom('catalogue_state')
    .select(['heads', 'is_snapshot_due'])
    .executeTakeFirstOrThrow()
  return row.heads.length > 0 && !row.is_snapshot_due
}

/**
 * What is read of the catalogues from now on is this reading's, until another one begins. @throws AppError
 * conflict for a plan while an adoption is under way
 */
export async function beginReading(tx: Tx, what: 'plan' | 'adoption'): Promise<string> {
  const isRunning = await isAdoptionRunning(tx)
  if (what === 'plan' && isRunning)
    throw new AppError('conflict', 'It is under way: glassine catalogue adopt --yes shows how far it is')
  const reading = randomUUID()
  await tx.updateTable('catalogue_state').set({ reading }).execute()
  return reading
}

/**
 * Before anything is concluded from what was not read; until the end of the transaction. @throws AppError
 * conflict where another reading has begun, in whichever process
 */
export async function assertReading(tx: Queryable, reading: string): Promise<void> {
  const row = await tx.selectFrom('catalogue_state').select('reading').forShare().executeTakeFirstOrThrow()
  if (row.reading !== reading)
    throw new AppError('conflict', 'another look at the catalogues has begun: this one ends')
}

/**
 * Within a restore: what the backed up database was bringing back was asked for by somebody else, and is
 * over. A backup may be older than the catalogue.
 */
export async function forgetCatalogueAdoption(client: pg.ClientBase): Promise<void> {
  const { rowCount } = await client.query(
    `select from information_schema.tables where table_schema = current_schema() and table_name = 'catalogue_state'`,
  )
  if (rowCount !== 0) await client.query('update catalogue_state set adoption = null, reading = null')
}

/** Files that it has named, and could not bring back; a later run may. */
export function leftOver(report: CatalogueReport): number {
  const { wrong, missing, missingSidecars, archived, unreadable, refused, unusable } = report
  return wrong + missing + missingSidecars + archived + unreadable + refused.count + unusable.length
}

/** How the last restore drill went, as it was told; null: there was none. */
export async function lastDrill<Report extends object>(db: Queryable): Promise<Report | null> {
  const { drill } = await db.selectFrom('catalogue_state').select('drill').executeTakeFirstOrThrow()
  return drill as Report | null
}

export async function saveDrill(db: Queryable, report: object): Promise<void> {
  await db
    .updateTable('catalogue_state')
    .set({ drill: JSON.stringify(report) })
    .execute()
}
