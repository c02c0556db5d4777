/** The storage page's and nobody else's wording of a status. Pure. */
import { QUEUES } from '../../../../src/queue/queue-names.ts'
import type {
  Amount,
  BrowserReach,
  CacheUse,
  JobQueue,
  PendingMove,
  ProbeFinding,
  StorageLocation,
  StorageStatus,
  UploadsInUse,
} from '../api-types.ts'
import { formatAgo, formatBytes, formatCount, plural } from '../format.ts'

/** Work of a known size, or (`share`: null) of one that is only known when it is done. */
export type RunningTask = { text: string; share: number | null }

/**
 * What goes on for longer than a moment: files on their way to another place, and looks at what a place
 * holds.
 */
export function runningTasks({
  moving,
  locations,
}: {
  moving: PendingMove[]
  locations: Pick<StorageLocation, 'id' | 'label' | 'objects' | 'listing'>[]
}): RunningTask[] {
  const moves = moving.map(({ to, label, count, bytes }) => {
    const there = locations.find(({ id }) => id === to)?.objects.count ?? 0
    return {
      text: `Copying to ${label}: ${plural(count, 'file')} (${formatBytes(bytes)}) to go`,
      share: there / (there + count),
    }
  })
  const looks = locations.flatMap(({ label, objects, listing }) => {
    if (!listing?.underWay) return []
    const { count } = listing.underWay
    return [
      {
        text: `Looking at what ${label} holds: ${plural(count, 'file')} so far`,
        share: objects.count === 0 ? null : Math.min(1, count / objects.count),
      },
    ]
  })
  return [...moves, ...looks]
}

/**
 * What is left of uploads that the database does not know to have been acknowledged; null where there is
 * nothing.
 */
export function keptSentence({ count, bytes }: Amount): string | null {
  if (count === 0) return null
  const one = count === 1
  return `${plural(count, 'file')} (${formatBytes(bytes)}) ${one ? 'belongs' : 'belong'} to no photo and ${one ? 'is' : 'are'} kept.`
}

/** By which strategy uploads go, and whose, in one line. */
export function uploadsSentence({ strategy, rollout, direct }: UploadsInUse): string {
  let text = `${STRATEGY_WORDS[strategy]} (${strategy}).`
  if (rollout !== null) {
    const { percent, namedUsers, chosenUsers, users } = rollout
    const covered = `${formatCount(chosenUsers)} of ${plural(users, 'user')} (${percent} % of them, and ${formatCount(namedUsers)} by name)`
    text = `${STRATEGY_WORDS[rollout.strategy]} (${rollout.strategy}), for ${covered}. Those of the others: ${strategy}.`
  }
  if (direct === null) return text
  return direct.isOffered
    ? `${text} Clients may put files straight into the bucket.`
    : `${text} None goes straight into the bucket, because ${direct.reason}.`
}

const STRATEGY_WORDS: Record<UploadsInUse['strategy'], string> = {
  'local-first': 'Uploads are kept on this server first and copied from there',
  's3-first': 'Uploads go into the bucket while they arrive',
}

/** The read-through cache, which counts as no copy. */
export function cacheSentence({ files, bytes, maxBytes, limitBytes, isCounted }: CacheUse): string {
  if (!isCounted) return `The files in it are being counted; its limit is ${formatBytes(maxBytes)}.`
  const limit =
    limitBytes < maxBytes
      ? `${formatBytes(limitBytes)}, less than its ${formatBytes(maxBytes)}, because the disk is nearly full`
      : formatBytes(maxBytes)
  return `${formatBytes(bytes)} of ${limit}, in ${plural(files, 'file')}.`
}

type StateWords = StorageStatus['states'][number]
export type BarPart = {
  key: StateWords['key']
  name: string
  amount: Amount
  /** 0 to 1. */
  share: number
}

/**
 * The bar by bytes. What is not nothing is at least 1 % wide: a single photo at risk must be seen among a
 * million.
 */
export function barParts({ originals, states }: Pick<StorageStatus, 'originals' | 'states'>): BarPart[] {
  const parts = states
    .map(({ key, name }) => ({ key, name, amount: originals[key] }))
    .filter(({ amount }) => amount.count > 0)
  const raw = parts.map(({ amount }) =>
    originals.total.bytes === 0 ? 1 : Math.max(0.01, amount.bytes / originals.total.bytes),
  )
  const sum = raw.reduce((total, share) => total + share, 0)
  return parts.map((part, index) => ({ ...part, share: raw[index]! / sum }))
}

export type QueueRow = { name: string; label: string; what: string; queue: JobQueue }

/** Those of ours: the API lists Immich's names, of which some are twins and some are not ours. */
export function queueRows(queues: Record<string, JobQueue>): QueueRow[] {
  return Object.entries(QUEUES).flatMap(([name, { label, what, immich }]) => {
    const queue = queues[immich]
    return queue ? [{ name, label, what, queue }] : []
  })
}

/** Jobs that wait, paused or not; those in their back-off apart. */
export function waitingOf({ jobCounts }: JobQueue): number {
  return jobCounts.waiting + (jobCounts.paused ?? 0)
}

/** Neither anything to do nor anything to say: it runs when something comes. */
export function isQuiet({ jobCounts, queueStatus }: JobQueue): boolean {
  const { active, delayed, failed } = jobCounts
  return active + delayed + failed + waitingOf({ jobCounts, queueStatus }) === 0 && !queueStatus.isPaused
}

/** What goes on, in one sentence for the top of the page. */
export function workSentence(queues: Record<string, JobQueue>): string {
  const rows = queueRows(queues)
  const paused = rows.filter(({ queue }) => queue.queueStatus.isPaused).map(({ label }) => label)
  const open = rows
    .map(({ name, label, queue }) => ({
      label,
      // Housekeeping always has something for later: that is its clock.
      count:
        queue.jobCounts.active + waitingOf(queue) + (name === 'maintenance' ? 0 : queue.jobCounts.delayed),
    }))
    .filter(({ count }) => count > 0)
    .map(({ label, count }) => `${label}: ${formatCount(count)} to go`)
  const stopped = paused.length === 0 ? '' : ` Paused: ${paused.join(', ')}.`
  return `${open.length === 0 ? 'Nothing is waiting or running' : open.join('; ')}.${stopped}`
}

/** `disk` as people say it. */
export function kindInWords({ kind, isLocal }: Pick<StorageLocation, 'kind' | 'isLocal'>): string {
  if (kind === 'disk') return isLocal ? 'Local disk' : 'Folder'
  return kind === 's3' ? 'Object storage' : 'Memory'
}

/** How much of a place was read again and compared, and what came of it. */
export function scrubWhen(
  { monthlyBytes, monthlyMoney, readSince, underWay }: StorageLocation['scrub'],
  now: Date,
): string {
  const limit =
    monthlyMoney === null
      ? ''
      : ` (up to ${formatBytes(monthlyBytes)} and about ${monthlyMoney.amount} ${monthlyMoney.currency} a month)`
  const done = readSince === null ? '' : `what was here ${formatAgo(readSince, now)}`
  const going =
    underWay === null || underWay.count === 0
      ? ''
      : `${plural(underWay.count, 'file')} (${formatBytes(underWay.bytes)}) since ${formatAgo(underWay.begunAt, now)}`
  const both = [done, going].filter((text) => text !== '').join(', ')
  if (both !== '') return `${both}${limit}`
  return monthlyBytes === 0 ? 'switched off' : `nothing yet${limit}`
}

/** What reading again has found that somebody should know. */
export function scrubWarnings({ wrong, unread, underWay }: StorageLocation['scrub']): string[] {
  return [
    ...(wrong > 0
      ? [`${plural(wrong, 'file')} had wrong bytes when read again. New copies are made where others exist.`]
      : []),
    ...(unread > 0 ? [`${plural(unread, 'file')} could not be read again.`] : []),
    ...(underWay?.error ? [`Reading again stopped: ${underWay.error}`] : []),
  ]
}

/**
 * Of a place that files leave, or have left, or that is read-only; null where all that it holds belongs
 * there.
 */
export function leavingSentence({
  isLocal,
  isUsed,
  isReadOnly,
  leaving,
  leftThere,
}: Pick<StorageLocation, 'isLocal' | 'isUsed' | 'isReadOnly' | 'leaving' | 'leftThere'>): string | null {
  if (isReadOnly)
    return leftThere.count === 0
      ? 'Read-only: nothing is written or removed here.'
      : `Read-only: ${plural(leftThere.count, 'deleted file')} (${formatBytes(leftThere.bytes)}) left here until something may be removed again.`
  // Uploads leave the local disk all the time.
  if (isLocal) return null
  if (leaving.count > 0)
    return `${plural(leaving.count, 'file')} (${formatBytes(leaving.bytes)}) ${leaving.count === 1 ? 'belongs' : 'belong'} elsewhere and will leave when enough copies are there.`
  return isUsed ? null : 'No files belong here any more. You can remove this place from the configuration.'
}

/** What stops everything, then what costs something, then what is as it should be. */
export function sortFindings(findings: readonly ProbeFinding[]): ProbeFinding[] {
  const rank = ({ ok, critical }: ProbeFinding) => (ok ? 2 : critical ? 0 : 1)
  return findings.toSorted((left, right) => rank(left) - rank(right))
}

/**
 * What pages found out, in the form of the server's findings. Never critical: all of it works through the
 * server, too.
 */
export function browserFindings(reaches: readonly BrowserReach[], now: Date): ProbeFinding[] {
  return reaches.map(({ origin, at, reach, detail, remedy, paste }) => ({
    id: 'browsers',
    check: origin,
    ok: reach === 'reachable',
    critical: false,
    detail: `${reach === 'reachable' ? 'reaches it by itself' : detail}, tried ${formatAgo(at, now)}`,
    ...(remedy === undefined ? {} : { remedy }),
    ...(paste === undefined ? {} : { paste }),
  }))
}
