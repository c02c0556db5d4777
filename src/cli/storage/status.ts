import { type StorageFailures, storageFailures } from '../../library/server/storage-failures.ts'
import {
  type StorageOverview,
  storageOverview,
  type UploadsOverview,
} from '../../library/server/storage-overview.ts'
import { backupSentences } from '../../library/server/words/backup-words.ts'
import { catalogueSentences } from '../../library/server/words/catalogue-words.ts'
import { lookedAtLongAgo, type OriginalState } from '../../library/server/words/safety.ts'
import { ago, count, plural, type Sentence } from '../../library/words.ts'
import type { PendingMove } from '../../placement/ledger/pending-moves.ts'
import type { LocationStatus } from '../../placement/reports/status.ts'
import type { LedgerStatus } from '../../placement/takeover/ledger-status.ts'
import type { QueueName } from '../../queue/job-types.ts'
import { QUEUE_NAMES, QUEUES } from '../../queue/queue-names.ts'
import { type QueueCounts, queueCounts } from '../../queue/queues.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bar, bytes, columns, type Style, wrap } from '../text.ts'
import { drainLines } from './drain.ts'
import { timeLeft } from './drill.ts'
import { lockLines } from './lock-lines.ts'
import { describeChange } from './probe.ts'

/** In the words of the API and the page. */
type Queues = Record<QueueName, Omit<QueueCounts, 'dead'>>
type Found = { status: StorageOverview; queues: Queues; failures: StorageFailures }

/** Is everything safe, where is it, what is happening, are the places healthy: in this order. */
export async function printStorageStatus(
  context: CliContext,
  options: { json?: boolean },
): Promise<ExitCode> {
  const found = await context.withPlacement(async (placement, config) => ({
    status: await storageOverview({ db: placement.db, placement }, config.storage),
    queues: await queueCounts(placement.db),
    failures: await storageFailures(placement.db),
  }))
  if (options.json) {
    const queues = Object.fromEntries(
      QUEUE_NAMES.map((name) => {
        const { active, waiting, delayed, failed, isPaused } = found.queues[name]
        return [name, { active, waiting, delayed, failed, isPaused }]
      }),
    )
    context.print(JSON.stringify({ ...found.status, queues, failures: found.failures }, null, 2))
  } else {
    context.print(describeStatus(found, context.style, new Date()))
  }
  const { originals, copies, notConfigured, locations, backups } = found.status
  const isFine =
    backups?.isLate !== true &&
    originals.atRisk.count === 0 &&
    copies.late.count === 0 &&
    notConfigured.count === 0 &&
    lookedAtLongAgo(locations, new Date()) === null &&
    locations.every(
      ({ health, changes, listing, ledger }) =>
        health !== 'unhealthy' &&
        ledger.conflict === null &&
        changes.every(({ isWeaker }) => !isWeaker) &&
        (listing === null || listing.missing + listing.different === 0),
    )
  return isFine ? EXIT.done : EXIT.attention
}

export function describeStatus({ status, queues, failures }: Found, style: Style, now: Date): string {
  return [
    style.bold(status.safety.text),
    ...(status.loss === null ? [] : wrap(status.loss.text, LINE)),
    ...status.decisions.flatMap((text) => ['', ...wrap(text, LINE).map(style.amber)]),
    '',
    ...whereItIs(status, style),
    '',
    uploadsLine(status.uploads),
    ...cacheLines(status.cache),
    ...pendingMoveLines(status.moving),
    ...keptLines(status.kept),
    ...plainLines(backupSentences(status.backups, now)),
    ...plainLines(catalogueSentences(status.catalogue, now)),
    ...drillLines(status.restoreDrill, now),
    '',
    ...whatHappens(queues, failures, style, now),
    '',
    ...places(status.locations, style, now),
  ].join('\n')
}

/** A command knows of the cache what it had time to count; the running server shows the rest. */
function cacheLines(cache: StorageOverview['cache']): string[] {
  if (cache === null) return []
  const used = cache.isCounted ? `${bytes(cache.bytes)} of ` : 'up to '
  const files = cache.isCounted ? `, ${plural(cache.files, 'file')}` : ''
  return [`Cache of what was read from the bucket: ${used}${bytes(cache.limitBytes)}${files}.`]
}

function drillLines(drill: StorageOverview['restoreDrill'], now: Date): string[] {
  if (drill === null) return []
  const { at, assets, found, later, seconds } = drill
  return [
    `The last restore drill, of ${ago(at, now)}, took ${seconds} s: the originals of ${count(found)} of ${plural(assets, 'asset')} were found, and ${plural(later.assets, 'later one')} in the catalogue.`,
  ]
}

/** Without those that are among the decisions. */
function plainLines(sentences: readonly Sentence[]): string[] {
  return sentences.flatMap(({ text, tone }) => (tone === 'warn' ? [] : [text]))
}

function leftThereNote({ count: files, bytes: size }: LocationStatus['leftThere']): string {
  return files === 0 ? '' : `; ${plural(files, 'deleted file')} (${bytes(size)}) left there`
}

/** What is left of uploads that this database does not know to have been acknowledged. */
function keptLines({ count: files, bytes: size }: StorageOverview['kept']): string[] {
  if (files === 0) return []
  const one = files === 1
  return [
    `${plural(files, 'file')} (${bytes(size)}) ${one ? 'belongs' : 'belong'} to no photo and ${one ? 'is' : 'are'} kept: ` +
      `${one ? 'its upload' : 'their uploads'} may have been acknowledged. When ${one ? 'it is' : 'they are'} uploaded again, Glassine removes ${one ? 'this copy' : 'these copies'} by itself.`,
  ]
}

/** How long a line of sentences gets. */
const LINE = 100

/** How many causes are shown for each kind of trouble; the rest is on the storage page and in --json. */
const MOST_CAUSES = 3

/** How much of the bar is in which state, without colour. */
const SIGNS: Record<OriginalState, string> = {
  localOnly: '░',
  inFlight: '▒',
  both: '▓',
  offloaded: '█',
  atRisk: '!',
}

function whereItIs({ originals, states }: StorageOverview, style: Style): string[] {
  const rows = states.map(({ key, mark, name }) => ({ key, mark, name, amount: originals[key] }))
  const table = columns(
    [
      ...rows.map(({ key, mark, name, amount }) => {
        const sign = amount.count === 0 ? '' : SIGNS[key]
        const line = [mark, name, count(amount.count), bytes(amount.bytes), sign]
        if (amount.count === 0) return line.map(style.dim)
        return key === 'atRisk' ? line.map(style.red) : line
      }),
      ['', 'originals', count(originals.total.count), bytes(originals.total.bytes), ''],
    ],
    [2, 3],
  )
  return [
    bar(
      rows.map(({ key, amount }) => ({ sign: SIGNS[key], value: amount.bytes })),
      60,
    ),
    ...table,
  ]
}

/**
 * `Uploads: s3-first for 3 of 12 users (10 % of them, and 2 by name), local-first for the others; clients may
 * put files straight into the bucket.`
 */
function uploadsLine({ strategy, rollout, direct }: UploadsOverview): string {
  let text = `Uploads: ${strategy}`
  if (rollout !== null) {
    const { percent, namedUsers, chosenUsers, users } = rollout
    const covered = `${count(chosenUsers)} of ${plural(users, 'user')} (${percent} % of them, and ${count(namedUsers)} by name)`
    text = `Uploads: ${rollout.strategy} for ${covered}, ${strategy} for the others`
  }
  if (direct === null) return `${text}.`
  return direct.isOffered
    ? `${text}; clients may put files straight into the bucket.`
    : `${text}. None go straight into the bucket: ${direct.reason?.replace(/\.$/, '')}.`
}

/** `Moving 1,200 files (3.40 GiB) to s3 (photos at https://...).` */
function pendingMoveLines(moving: PendingMove[]): string[] {
  return moving.map(
    ({ to, label, count: files, bytes: size }) =>
      `Moving ${plural(files, 'file')} (${bytes(size)}) to ${to} (${label}).`,
  )
}

function whatHappens(queues: Queues, failures: StorageFailures, style: Style, now: Date): string[] {
  const busy = QUEUE_NAMES.map((name) => ({ label: QUEUES[name].label, queue: queues[name] })).filter(
    ({ queue }) => queue.active + queue.waiting + queue.delayed + queue.failed > 0 || queue.isPaused,
  )
  if (busy.length === 0) return ['Nothing is waiting or running.', ...unreadableLines(failures)]
  const lines = columns(
    [
      ['queue', 'running', 'waiting', 'later', 'failed', ''].map(style.dim),
      ...busy.map(({ label, queue }) => [
        label,
        count(queue.active),
        count(queue.waiting),
        count(queue.delayed),
        queue.failed > 0 ? style.amber(count(queue.failed)) : '0',
        queue.isPaused ? style.amber('paused') : '',
      ]),
    ],
    [1, 2, 3, 4],
  )
  const causes = failures.failures.slice(0, MOST_CAUSES).map((failure) => {
    const { queue, count: files, error, at, isFinal } = failure
    const next = isFinal ? 'given up' : 'tried again by itself'
    return style.dim(
      `  ${QUEUES[queue].label}, ${count(files)} failed, last ${ago(at, now)}, ${next}: ${error}`,
    )
  })
  return [...lines, ...causes, ...unreadableLines(failures)]
}

function unreadableLines({ unreadable }: StorageFailures): string[] {
  return unreadable.groups.slice(0, MOST_CAUSES).map(({ count: files, error }) => {
    const kept = files === 1 ? 'is kept as it is' : 'are kept as they are'
    return `${plural(files, 'file')} can't be shown, and ${kept}: ${error}`
  })
}

function places(locations: LocationStatus[], style: Style, now: Date): string[] {
  const rows = locations.map((location) => [
    { healthy: '■', unhealthy: style.red('▨'), unknown: '□' }[location.health],
    location.id,
    count(location.objects.count),
    bytes(location.objects.bytes),
    location.oldestProofAt === null ? '' : `last verified ${ago(location.oldestProofAt, now)}`,
    listedWhen(location, now),
    location.freeBytes === null ? '' : `${bytes(location.freeBytes)} free`,
    style.dim(location.label),
  ])
  const header = ['', 'location', 'files', 'size', '', '', '', ''].map(style.dim)
  const lines = columns([header, ...rows], [2, 3])
  const problems = locations.flatMap(({ id, health, error, drill, healthChangedAt, ledger }) => {
    if (drill !== null) {
      const leftMs = new Date(drill.endsAt).getTime() - now.getTime()
      return [style.amber(`  ${id}: blocked by a drill, ${timeLeft(leftMs)}`)]
    }
    if (ledger.conflict !== null) return conflictLines(id, ledger, style, now)
    if (ledger.waiting !== null) {
      const leftMs = Math.max(0, new Date(ledger.waiting.until).getTime() - now.getTime())
      return [
        style.amber(
          `  ${id}: this installation was moved or copied; it writes there again if it sees no other one by then, ${timeLeft(leftMs)}`,
        ),
      ]
    }
    const since = healthChangedAt === null ? '' : ` (since ${ago(healthChangedAt, now)})`
    return health === 'unhealthy' ? [style.red(`  ${id}: ${error ?? 'not healthy'}${since}`)] : []
  })
  const changes = locations.flatMap(({ id, changes }) =>
    changes.map((change) => `  ${id}: ${describeChange(change, style)}, ${ago(change.foundAt, now)}`),
  )
  const blocked = locations.flatMap(({ id, browserReach }) =>
    browserReach
      .filter(({ reach }) => reach === 'blocked')
      .map(({ origin, detail, remedy = '' }) =>
        style.amber(`  ${id}: browsers at ${origin} do not reach it: ${detail}; ${remedy}`),
      ),
  )
  const leaving = locations.flatMap(({ id, isLocal, isUsed, isReadOnly, leaving, leftThere, drain }) => {
    if (drain !== null) return drainLines(id, drain).map((line) => `  ${line}`)
    if (isReadOnly) return [`  ${id}: read-only${leftThereNote(leftThere)}`]
    const { count, bytes: size } = leaving
    if (isLocal || (isUsed && count === 0)) return []
    if (count > 0) return [`  ${id}: ${plural(count, 'file')} (${bytes(size)}) still to leave it`]
    return [style.dim(`  ${id}: nothing belongs there any more; it may be taken out of the configuration`)]
  })
  const doubted = locations.flatMap(({ id, doubted: { count, bytes: size } }) =>
    count === 0
      ? []
      : [
          style.amber(
            `  ${id}: ${plural(count, 'file')} (${bytes(size)}) with another ETag, which wait to be read`,
          ),
        ],
  )
  return [
    ...lines,
    ...problems,
    ...listingLines(locations, style, now),
    ...scrubLines(locations, style, now),
    ...lockLines(locations, style),
    ...leaving,
    ...doubted,
    ...changes,
    ...blocked,
  ]
}

function listedWhen({ listing }: LocationStatus, now: Date): string {
  if (listing?.underWay) return `being listed: ${count(listing.underWay.count)}`
  return listing?.seenAt == null ? 'not listed yet' : `listed ${ago(listing.seenAt, now)}`
}

/** What reading again has found, how far it is, and why it can't go on. */
function scrubLines(locations: LocationStatus[], style: Style, now: Date): string[] {
  return locations.flatMap(({ id, objects, scrub }) => {
    const { readSince, wrong, unread, underWay, monthlyBytes, monthlyMoney } = scrub
    const lines: string[] = []
    if (monthlyMoney !== null)
      lines.push(
        style.dim(
          `  ${id}: read again each month for up to ${bytes(monthlyBytes)} and about ${monthlyMoney.amount} ${monthlyMoney.currency}`,
        ),
      )
    if (wrong > 0)
      lines.push(style.red(`  ${id}: ${plural(wrong, 'file')} with wrong bytes found by reading`))
    if (unread > 0) lines.push(style.amber(`  ${id}: ${plural(unread, 'file')} could not be read again`))
    const done =
      readSince === null || objects.count === 0 ? '' : `what was there ${ago(readSince, now)} was read again`
    const going =
      underWay === null || underWay.count === 0
        ? ''
        : `${plural(underWay.count, 'file')} (${bytes(underWay.bytes)}) read again in a look that began ${ago(underWay.begunAt, now)}`
    const both = [done, going].filter((text) => text !== '').join('; ')
    if (both !== '') lines.push(style.dim(`  ${id}: ${both}`))
    if (underWay?.error) lines.push(style.amber(`  ${id}: reading again stopped: ${underWay.error}`))
    return lines
  })
}

/** What the last listings found, and why one can't go on. */
function listingLines(locations: LocationStatus[], style: Style, now: Date): string[] {
  return locations.flatMap(({ id, listing }) => {
    if (listing === null) return []
    const { missing, different, unknown, seenAt, underWay } = listing
    const lines: string[] = []
    if (missing + different > 0)
      lines.push(
        style.red(
          `  ${id}: ${plural(missing, 'proven file')} missing and ${plural(different, 'changed file')} in the listing of ${ago(seenAt!, now)}`,
        ),
      )
    if (underWay?.error) lines.push(style.amber(`  ${id}: its listing can't go on now: ${underWay.error}`))
    if (unknown.count > 0)
      lines.push(
        style.dim(
          `  ${id}: ${plural(unknown.count, 'file')} (${bytes(unknown.bytes)}) that Glassine does not know, left alone`,
        ),
      )
    return lines
  })
}

function conflictLines(
  id: string,
  { conflict, since, adoption }: LedgerStatus,
  style: Style,
  now: Date,
): string[] {
  const what =
    conflict === 'another-ledger'
      ? 'another database has used it'
      : 'it holds an older state than this database knows'
  if (adoption?.state === 'running') {
    const { held } = adoption.report
    return [style.amber(`  ${id}: ${what}; it is being taken over: ${plural(held.count, 'file')} looked at`)]
  }
  return [
    style.red(
      `  ${id}: ${what} (noticed ${ago(since, now)}); nothing is written or removed there until you decide:`,
    ),
    `      glassine storage adopt ${id}    shows what you can do, in numbers`,
  ]
}
