import { type ReadingStatus, readingStatus } from '../library/processing/reading-status.ts'
import { count, plural } from '../library/words.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import { bytes, columns, type Style } from './text.ts'

/** How far the reading of metadata is after an upgrade, and what it may cost. */
export async function printMetadataStatus(
  context: CliContext,
  options: { json?: boolean },
): Promise<ExitCode> {
  const status = await context.withPlacement((placement, config) =>
    readingStatus({ db: placement.db, placement }, config.reading),
  )
  context.print(options.json ? JSON.stringify(status, null, 2) : describeReading(status, context.style))
  return EXIT.done
}

const PLACES = {
  atHand: 'on this machine, read as fast as it goes',
  inBucket: 'in a bucket, read within the budget of each day',
  restoring: 'in an archive, being restored',
  archived: 'in an archive, restored within its own budget',
  tooLarge: 'too large for the budget of a day, or for storage.recall.maxBytes',
} as const

export function describeReading(status: ReadingStatus, style: Style): string {
  const { waiting, budget, daysLeft } = status
  const left = Object.values(waiting).reduce((sum, amount) => sum + amount.count, 0)
  const sentence =
    left === 0
      ? 'All metadata was read by the current reader.'
      : `${plural(left, 'original')} ${left === 1 ? 'waits' : 'wait'} to be read again, ${count(status.read)} ${status.read === 1 ? 'is' : 'are'} read.`
  const rows = (Object.keys(PLACES) as (keyof typeof PLACES)[])
    .filter((place) => waiting[place].count > 0)
    .map((place) => [count(waiting[place].count), bytes(waiting[place].bytes), style.dim(PLACES[place])])
  return [
    style.bold(sentence),
    ...(rows.length === 0 ? [] : ['', ...columns(rows, [0, 1])]),
    '',
    budgetLine('From buckets', 'reading.dailyBytes', budget.dailyBytes, budget.spentToday.bucketBytes),
    budgetLine(
      'Restored',
      'reading.archivedDailyBytes',
      budget.archivedDailyBytes,
      budget.spentToday.archivedBytes,
    ),
    ...(daysLeft === null || daysLeft === 0
      ? []
      : [`At that pace the buckets take ${plural(daysLeft, 'day')}.`]),
  ].join('\n')
}

function budgetLine(what: string, key: string, daily: number, spent: number): string {
  return daily === 0
    ? `${what}: nothing (${key} is 0).`
    : `${what}: ${bytes(spent)} of ${bytes(daily)} today (${key}).`
}
