/** What still fails, and what was away, in words. Pure. */
import { QUEUES } from '../../../../src/queue/queue-names.ts'
import type { Failure, StorageFailures } from '../api-types.ts'
import { formatAgo, formatTimeLeft, plural } from '../format.ts'

type Outage = StorageFailures['outages'][number]

/** `12 tasks in Copying, tried again in 4 min`. */
export function failureLine({ queue, count, givenUp, nextAt }: Failure, now: Date): string {
  const where = QUEUES[queue as keyof typeof QUEUES]?.label ?? queue
  const what = `${plural(count, 'task')} in ${where}`
  if (givenUp === count) return `${what}, given up`
  const rest = givenUp > 0 ? `, ${givenUp} of them given up` : ''
  const leftMs = nextAt === null ? 0 : new Date(nextAt).getTime() - now.getTime()
  return `${what}${rest}, tried again ${leftMs > 0 ? `in ${formatTimeLeft(leftMs)}` : 'now'}`
}

/**
 * `photos at ... could not be reached on 4 May, 18:39 to 18:41 (2 min). 1,220 tasks waited and went on by
 * themselves.`
 */
export function outageLine({ location, startedAt, endedAt, isDrill, waited }: Outage, now: Date): string {
  const start = new Date(startedAt)
  const why = isDrill ? ', in a simulated outage' : ''
  const day = start.toLocaleDateString('en-GB', { day: 'numeric', month: 'long' })
  const time = (at: Date) =>
    `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`
  const waiting = waited === 0 ? '' : ` ${plural(waited, 'task')} waited`
  if (endedAt === null)
    return `${location} can't be reached since ${time(start)} (${formatAgo(startedAt, now)})${why}.${waiting}${waiting && '.'}`
  const end = new Date(endedAt)
  const length = formatTimeLeft(Math.max(1000, end.getTime() - start.getTime()))
  return `${location} could not be reached on ${day}, ${time(start)} to ${time(end)} (${length})${why}.${waiting}${waiting && ` and went on by ${waited === 1 ? 'itself' : 'themselves'}.`}`
}
