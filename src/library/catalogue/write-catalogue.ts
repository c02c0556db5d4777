/**
 * Keeps the catalogue: what changed goes into one batch for all locations where originals belong, when the
 * oldest change has waited for long enough. Triggers note each change in its own transaction
 * (0037-catalogue.sql), so that none can be forgotten.
 */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { catalogueAdoption, isAdoptionRunning } from '../../placement/catalogue/adoption-state.ts'
import { retireBatches } from '../../placement/catalogue/retire-batches.ts'
import {
  catalogueState,
  isBatchLost,
  requireSnapshot,
  writeBatch,
} from '../../placement/catalogue/write-batch.ts'
import type { Placement } from '../../placement/placement.ts'
import { everything, theseThings } from './collect.ts'
import type { Subject } from './entries.ts'
import { fittedEntries } from './fit-entry.ts'
import { noteDirtyMonths, writeTexts } from './month-texts.ts'

/** What one batch takes; the rest goes into the next one. */
const MAX_CHANGES = 50_000

type Parts = { db: Database; placement: Placement }
type Change = {
  id: number
  subject: Subject
  subjectId: string
  ownerId: string | null
  month: string | null
}
/** `batch`: the id of its object; null: nothing was to be written. */
export type Written = { batch: string | null; texts: number; retired: number }

/**
 * Writes what is due (`isNow`: all that is not written yet). Where no catalogue is kept, only forgets what
 * changed. @throws what the media volume is refused with
 */
export async function writeCatalogue(
  { db, placement }: Parts,
  { isNow = false, signal }: { isNow?: boolean; signal?: AbortSignal | undefined } = {},
): Promise<Written> {
  const { catalogueEveryMs: everyMs } = placement.settings
  if (everyMs === 0) {
    await forgetChanges(db)
    return { batch: null, texts: 0, retired: 0 }
  }
  // A batch of half of what is being brought back would stand for it: it waits for the end.
  if ((await catalogueAdoption(db))?.state === 'running') {
    if (isNow)
      throw new AppError('conflict', 'What the catalogues have is being brought back: write it after that')
    return { batch: null, texts: 0, retired: 0 }
  }
  const isLost = await isBatchLost(db)
  if (isLost) await requireSnapshot(db)
  const batch =
    isLost || (await isDue(db, isNow ? 0 : everyMs)) ? await writeChanges({ db, placement }, signal) : null
  const texts = await writeTexts(placement, { isNow, signal })
  const retired = await retireBatches(placement)
  return { batch, texts, retired }
}

async function isDue(db: Queryable, everyMs: number): Promise<boolean> {
  const { rows } = await sql<{ isDue: boolean }>`
    select coalesce(min(at) <= now() - ${everyMs} * interval '1 millisecond' or min(at) > now() + interval '5 minutes',
      false) as "isDue"
    from catalogue_change`.execute(db)
  return rows[0]!.isDue
}

/**
 * Not while catalogues are being taken over: that tells by the changes what people did here meanwhile. What
 * was forgotten before it begins makes it know that it can't tell (`isCatalogueComplete`).
 */
async function forgetChanges(db: Database): Promise<void> {
  await db.transaction().execute(async (tx) => {
    if (await isAdoptionRunning(tx)) return
    const gone = await tx.deleteFrom('catalogue_change').executeTakeFirst()
    if (gone.numDeletedRows > 0n) await requireSnapshot(tx)
  })
}

/** The changes and what they led to are read as they were at one moment. */
async function writeChanges({ db, placement }: Parts, signal: AbortSignal | undefined): Promise<string> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (seen) => {
      const changes = await changesOf(seen)
      const state = await catalogueState(seen, await countThings(seen))
      const idsOf = (subject: Subject) => [
        ...new Set(changes.filter((one) => one.subject === subject).map(({ subjectId }) => subjectId)),
      ]
      const entries = state.isSnapshotDue
        ? everything(seen)
        : theseThings(seen, { user: idsOf('user'), album: idsOf('album'), asset: idsOf('asset') })
      const months = changes.flatMap(({ ownerId, month }) =>
        ownerId === null || month === null ? [] : [{ ownerId, month }],
      )
      return writeBatch(
        placement,
        { state, entries: fittedEntries(entries, placement.log) },
        async (tx) => {
          await noteDirtyMonths(tx, { assetIds: state.isSnapshotDue ? null : idsOf('asset'), months })
          await forgetThese(
            tx,
            changes.map(({ id }) => id),
          )
        },
        signal,
      )
    })
}

async function changesOf(db: Queryable): Promise<Change[]> {
  const { rows } = await sql<Change>`
    select id, subject, subject_id as "subjectId", owner_id as "ownerId", to_char(month, 'YYYY-MM-DD') as month
    from catalogue_change order by id limit ${MAX_CHANGES}`.execute(db)
  return rows
}

/** By their numbers: one with a lower number may be committed later. */
async function forgetThese(tx: Tx, ids: readonly number[]): Promise<void> {
  await sql`delete from catalogue_change where id = any(${`{${ids.join(',')}}`}::bigint[])`.execute(tx)
}

async function countThings(db: Queryable): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*)::float8 as count from asset`.execute(db)
  return rows[0]!.count
}
