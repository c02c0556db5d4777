/** How far the reading of what files say about themselves is, in words. Pure. */
import type { ReadingStatus } from '../api-types.ts'
import { formatBytes, formatCount, plural } from '../format.ts'

type Told = {
  /** What waits, and what is done. */
  sentence: string
  /** Where what waits is, and when it is its turn. */
  parts: string[]
}

/** Null: an older version has read nothing that is here, or all of it was read again. */
export function readingWords(status: ReadingStatus): Told | null {
  const { waiting, read } = status
  const left = Object.values(waiting).reduce((sum, { count }) => sum + count, 0)
  if (left === 0) return null
  const [were, wait] = left === 1 ? ['was', 'waits'] : ['were', 'wait']
  const done = read === 0 ? '' : `; ${formatCount(read)} ${read === 1 ? 'is' : 'are'} done`
  return {
    sentence: `${plural(left, 'photo or video', 'photos and videos')} ${were} read by an older version of Glassine and ${wait} to be read again${done}.`,
    parts: [
      atHandWords(status),
      inBucketWords(status),
      restoringWords(status),
      archivedWords(status),
      tooLargeWords(status),
    ].filter((words) => words !== null),
  }
}

function atHandWords({ waiting: { atHand } }: ReadingStatus): string | null {
  if (atHand.count === 0) return null
  return `${formatCount(atHand.count)} on this server, read as fast as it goes.`
}

function inBucketWords({ waiting: { inBucket }, budget, daysLeft }: ReadingStatus): string | null {
  if (inBucket.count === 0) return null
  const what = `${formatCount(inBucket.count)} in the bucket only (${formatBytes(inBucket.bytes)})`
  if (daysLeft === null)
    return `${what}: not read, because nothing may be fetched for it (reading.dailyBytes is 0).`
  const { dailyBytes, spentToday } = budget
  return `${what}: at most ${formatBytes(dailyBytes)} a day are fetched, ${formatBytes(spentToday.bucketBytes)} so far today. That takes about ${plural(daysLeft, 'day')}.`
}

function restoringWords({ waiting: { restoring } }: ReadingStatus): string | null {
  if (restoring.count === 0) return null
  return `${formatCount(restoring.count)} on the way out of the archive, read when ${restoring.count === 1 ? 'it is' : 'they are'} there.`
}

function archivedWords({ waiting: { archived }, budget }: ReadingStatus): string | null {
  if (archived.count === 0) return null
  const what = `${formatCount(archived.count)} in the archive (${formatBytes(archived.bytes)})`
  const { archivedDailyBytes, dailyBytes, spentToday } = budget
  if (archivedDailyBytes === 0 || dailyBytes === 0)
    return `${what}: not read, because that costs money (reading.archivedDailyBytes).`
  return `${what}: at most ${formatBytes(archivedDailyBytes)} a day are restored, ${formatBytes(spentToday.archivedBytes)} so far today.`
}

function tooLargeWords({ waiting: { tooLarge } }: ReadingStatus): string | null {
  if (tooLarge.count === 0) return null
  return `${formatCount(tooLarge.count)} too large to be fetched for it (${formatBytes(tooLarge.bytes)}): not read.`
}
