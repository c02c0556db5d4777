/** What still fails, and what was away, in words. Pure. */
import { QUEUES } from '../../../../src/queue/queue-names.ts'
import type { Failure, StorageFailures } from '../api-types.ts'
import { formatAgo, formatTimeLeft, plural } from '../format.ts'

type Outage = StorageFailures['outages'][number]

/** `12 files in Copying, tried again in 4 min`. */
export function failureLine({ queue, count, givenUp, nextAt }: Failure, now: Date): string {
  const where = QUEUES[queue as keyof typeof QUEUES]?.label ?? queue
  const what = `${plural(count, 'piece of work', 'pieces of work')} in ${where}`
  if (givenUp === count) return `${what}, given up`
  const rest = givenUp > 0 ? `, ${givenUp} of them given up` : ''
  const leftMs = nextAt === null ? 0 : new Date(nextAt).getTime() - now.getTime()
  return `${what}${rest}, tried again ${leftMs > 0 ? `in ${formatTimeLeft(leftMs)}` : 'now'}`
}

/** `photos at ... was away on 4 May, 18:39 to 18:41 (2 min). 1,220 files waited and went on by themselves.` */
export function outageLine({ location, startedAt, endedAt, isDrill, waited }: Outage, now: Date): string {
  const start = new Date(startedAt)
  const what = isDrill ? 'was blocked by a drill' : 'was away'
  const day = start.toLocaleDateString('en-GB', { day: 'numeric', month: 'long' })
  const time = (at: Date) =>
    `${String(at.getHours()).padStart(2, '0')}:${String(at.getMinutes()).padStart(2, '0')}`
  const waiting = waited === 0 ? '' : ` ${plural(waited, 'piece of work', 'pieces of work')} waited`
  if (endedAt === null)
    return `${location} ${what.replace('was', 'is')} since ${time(start)} (${formatAgo(startedAt, now)}).${waiting}${waiting && '.'}`
  const end = new Date(endedAt)
  const length = formatTimeLeft(Math.max(1000, end.getTime() - start.getTime()))
  return `${location} ${what} on ${day}, ${time(start)} to ${time(end)} (${length}).${waiting}${waiting && ` and went on by ${waited === 1 ? 'itself' : 'themselves'}.`}`
}
