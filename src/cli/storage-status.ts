import { type StorageOverview, storageOverview, type UploadsOverview } from '../library/storage-overview.ts'
import type { Moving } from '../placement/moving.ts'
import type { LocationStatus } from '../placement/status.ts'
import type { QueueName } from '../queue/job-types.ts'
import { type JobFailure, type QueueCounts, queueCounts, recentFailures } from '../queue/queues.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import { timeLeft } from './storage-drill.ts'
import { describeChange } from './storage-probe.ts'
import { ago, bar, bytes, columns, count, plural, type Style } from './text.ts'

type Found = { status: StorageOverview; queues: Record<QueueName, QueueCounts>; failures: JobFailure[] }

/** Is everything safe, where is it, what is happening, are the places healthy: in this order. */
export async function printStorageStatus(
  context: CliContext,
  options: { json?: boolean },
): Promise<ExitCode> {
  const found = await context.withPlacement(async (placement, config) => ({
    status: await storageOverview({ db: placement.db, placement }, config.storage),
    queues: await queueCounts(placement.db),
    failures: await recentFailures(placement.db, { limit: 3 }),
  }))
  if (options.json) {
    context.print(
      JSON.stringify({ ...found.status, queues: found.queues, failures: found.failures }, null, 2),
    )
  } else {
    context.print(describeStatus(found, context.style, new Date()))
  }
  const isFine =
    found.status.originals.atRisk.count === 0 &&
    found.status.locations.every(
      ({ health, changes }) => health !== 'unhealthy' && changes.every(({ isWeaker }) => !isWeaker),
    )
  return isFine ? EXIT.done : EXIT.attention
}

export function describeStatus({ status, queues, failures }: Found, style: Style, now: Date): string {
  return [
    style.bold(sentence(status)),
    '',
    ...whereItIs(status, style),
    '',
    uploadsLine(status.uploads),
    ...cacheLines(status.cache),
    ...movingLines(status.moving),
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

function sentence({ originals, locations }: StorageOverview): string {
  const { total, atRisk, offloaded, both, localOnly, inFlight } = originals
  if (total.count === 0) return 'No photos or videos yet.'
  if (atRisk.count > 0) {
    return `${plural(atRisk.count, 'original')} of ${count(total.count)} ${atRisk.count === 1 ? 'is' : 'are'} at risk: no verified copy.`
  }
  const remote = offloaded.count + both.count
  const demonstration = locations.some((location) => location.isDemonstration && location.objects.count > 0)
  const where = demonstration ? 'in the demonstration bucket, on this machine' : 'in object storage'
  if (remote === total.count) {
    return total.count === 1
      ? `The one original is proven ${where}.`
      : `All ${count(total.count)} originals are proven ${where}.`
  }
  const waiting = localOnly.count + inFlight.count
  if (remote === 0) return `${plural(waiting, 'original')}, all with their only copy on this disk.`
  return `${count(remote)} of ${plural(total.count, 'original')} are proven ${where}; ${count(waiting)} only on this disk.`
}

/** First square: this disk; second: elsewhere. */
function whereItIs({ originals }: StorageOverview, style: Style): string[] {
  const rows = [
    { mark: '■□', name: 'only on this disk', sign: '░', amount: originals.localOnly },
    { mark: '■◪', name: 'being copied', sign: '▒', amount: originals.inFlight },
    { mark: '■■', name: 'both', sign: '▓', amount: originals.both },
    { mark: '□■', name: 'offloaded', sign: '█', amount: originals.offloaded },
    { mark: '▨▨', name: 'at risk', sign: '!', amount: originals.atRisk },
  ]
  const table = columns(
    [
      ...rows.map(({ mark, name, sign, amount }) => {
        const line = [mark, name, count(amount.count), bytes(amount.bytes), amount.count === 0 ? '' : sign]
        if (amount.count === 0) return line.map(style.dim)
        return name === 'at risk' ? line.map(style.red) : line
      }),
      ['', 'originals', count(originals.total.count), bytes(originals.total.bytes), ''],
    ],
    [2, 3],
  )
  return [
    bar(
      rows.map(({ sign, amount }) => ({ sign, value: amount.bytes })),
      60,
    ),
    ...table,
  ]
}

/**
 * `Uploads: s3-first for 3 of 12 users (10 % of them, and 2 by name), local-first for the others; clients may put files straight
 * into the bucket.`
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
    : `${text}; none straight into the bucket: ${direct.reason}.`
}

/** `Moving 1,200 files (3.40 GiB) to s3 (photos at https://...).` */
function movingLines(moving: Moving[]): string[] {
  return moving.map(
    ({ to, label, count: files, bytes: size }) =>
      `Moving ${plural(files, 'file')} (${bytes(size)}) to ${to} (${label}).`,
  )
}

function whatHappens(
  queues: Record<QueueName, QueueCounts>,
  failures: JobFailure[],
  style: Style,
  now: Date,
): string[] {
  const busy = Object.entries(queues).filter(
    ([, queue]) => queue.active + queue.waiting + queue.delayed + queue.dead > 0 || queue.isPaused,
  )
  if (busy.length === 0) return ['Nothing waits and nothing runs.']
  const lines = columns(
    [
      ['queue', 'running', 'waiting', 'later', 'given up', ''].map(style.dim),
      ...busy.map(([name, queue]) => [
        name,
        count(queue.active),
        count(queue.waiting),
        count(queue.delayed),
        queue.dead > 0 ? style.amber(count(queue.dead)) : '0',
        queue.isPaused ? style.amber('paused') : '',
      ]),
    ],
    [1, 2, 3, 4],
  )
  const latest = failures.filter(({ at }) => now.getTime() - at.getTime() < 24 * 3_600_000)
  return [
    ...lines,
    ...latest.map(({ job, error, at }) => style.dim(`  ${ago(at.toISOString(), now)}: ${job}: ${error}`)),
  ]
}

function places(locations: LocationStatus[], style: Style, now: Date): string[] {
  const rows = locations.map((location) => [
    { healthy: '■', unhealthy: style.red('▨'), unknown: '□' }[location.health],
    location.id,
    count(location.objects.count),
    bytes(location.objects.bytes),
    location.oldestProofAt === null ? '' : `oldest proof ${ago(location.oldestProofAt, now)}`,
    location.freeBytes === null ? '' : `${bytes(location.freeBytes)} free`,
    style.dim(location.label),
  ])
  const header = ['', 'place', 'files', 'size', '', '', ''].map(style.dim)
  const lines = columns([header, ...rows], [2, 3])
  const problems = locations.flatMap(({ id, health, error, drill, healthChangedAt }) => {
    if (drill !== null) {
      const leftMs = new Date(drill.endsAt).getTime() - now.getTime()
      return [style.amber(`  ${id}: blocked by a drill, ${timeLeft(leftMs)}`)]
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
  return [...lines, ...problems, ...changes, ...blocked]
}
