/** What administrators see of the reading of metadata: how far it is, and what it may cost. */
import type { Database } from '../../database/connect.ts'
import { READER_VERSION } from '../../media/metadata/reader-version.ts'
import type { Placement } from '../../placement/placement.ts'
import { countOutdated, type OutdatedReadings } from './outdated-readings.ts'
import { type ReadingBudget, type Spent, spentToday } from './reading-budget.ts'

export type ReadingStatus = {
  readerVersion: number
  /** Assets that the current reader has read. */
  read: number
  waiting: OutdatedReadings
  budget: ReadingBudget & { spentToday: Spent }
  /** Until all that lies in buckets is read; null: never, without a budget. */
  daysLeft: number | null
}

export async function readingStatus(
  { db, placement }: { db: Database; placement: Placement },
  budget: ReadingBudget,
): Promise<ReadingStatus> {
  const [waiting, spent, { read }] = await Promise.all([
    countOutdated({ db, placement }, budget),
    spentToday(db),
    db
      .selectFrom('asset_reading')
      .select((eb) => eb.fn.countAll<number>().as('read'))
      .where('reader_version', '>=', READER_VERSION)
      .executeTakeFirstOrThrow(),
  ])
  const { bytes } = waiting.inBucket
  const daysLeft = bytes === 0 ? 0 : budget.dailyBytes === 0 ? null : Math.ceil(bytes / budget.dailyBytes)
  return { readerVersion: READER_VERSION, read, waiting, budget: { ...budget, spentToday: spent }, daysLeft }
}
