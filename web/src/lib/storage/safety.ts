/** The storage page's and nobody else's wording of a status. Pure. */
import type {
  Amount,
  BrowserReach,
  CacheUse,
  JobQueue,
  Moving,
  OriginalsState,
  ProbeFinding,
  StorageLocation,
  StorageStatus,
  UploadsInUse,
} from '../api-types.ts'
import { formatAgo, formatBytes, formatCount, plural } from '../format.ts'

/** Is everything safe? One sentence, and whether it is good news. */
export function safetySentence({ originals, locations }: Pick<StorageStatus, 'originals' | 'locations'>): {
  text: string
  tone: 'good' | 'warn' | 'bad'
} {
  const { total, atRisk } = originals
  if (total.count === 0) return { text: 'No originals yet, so nothing to lose.', tone: 'good' }
  if (atRisk.count > 0) {
    const has = atRisk.count === 1 ? 'has' : 'have'
    return {
      text: `${plural(atRisk.count, 'original')} of ${formatCount(total.count)} ${has} no verified copy.`,
      tone: 'bad',
    }
  }
  const ill = locations.filter((location) => location.health === 'unhealthy')
  const all =
    total.count === 1
      ? 'One original. It has a verified copy.'
      : `${formatCount(total.count)} originals. Every one has a verified copy.`
  if (ill.length === 0) return { text: all, tone: 'good' }
  const names = ill.map((location) => location.label).join(' and ')
  return { text: `${all} ${names} ${ill.length === 1 ? 'is' : 'are'} not well.`, tone: 'warn' }
}

/** `Moving 1,200 files (3.4 GiB) to photos at https://...`: one for each place that files are on their way to. */
export function movingSentences(moving: Moving[]): string[] {
  return moving.map(
    ({ label, count, bytes }) => `Moving ${plural(count, 'file')} (${formatBytes(bytes)}) to ${label}`,
  )
}

/** By which strategy uploads go, and whose, in one line. */
export function uploadsSentence({ strategy, rollout, direct }: UploadsInUse): string {
  let text = `Uploads: ${strategy}`
  if (rollout !== null) {
    const { percent, namedUsers, chosenUsers, users } = rollout
    const covered = `${formatCount(chosenUsers)} of ${plural(users, 'user')} (${percent} % of them, and ${formatCount(namedUsers)} by name)`
    text = `Uploads: ${rollout.strategy} for ${covered}, ${strategy} for the others`
  }
  if (direct === null) return text
  return direct.isOffered
    ? `${text}; clients may put files straight into the bucket`
    : `${text}; none straight into the bucket: ${direct.reason}`
}

/** The read-through cache, which counts as no copy. */
export function cacheSentence({ files, bytes, maxBytes, limitBytes, isCounted }: CacheUse): string {
  if (!isCounted) return `What lies there is being counted; it may take ${formatBytes(maxBytes)}.`
  const limit =
    limitBytes < maxBytes
      ? `${formatBytes(limitBytes)}, less than its ${formatBytes(maxBytes)}, because the disk is nearly full`
      : formatBytes(maxBytes)
  return `${formatBytes(bytes)} of ${limit}, in ${plural(files, 'file')}.`
}

export type Place = 'localOnly' | 'both' | 'offloaded' | 'inFlight' | 'atRisk'
export const PLACES: { key: Place; label: string; mark: string; meaning: string }[] = [
  {
    key: 'localOnly',
    label: 'Local only',
    mark: '■□',
    meaning: 'Verified on the local disk, nowhere else yet',
  },
  { key: 'inFlight', label: 'In flight', mark: '■◪', meaning: 'Verified here, being written elsewhere' },
  { key: 'both', label: 'Both', mark: '■■', meaning: 'Verified here and elsewhere' },
  { key: 'offloaded', label: 'Offloaded', mark: '□■', meaning: 'Verified elsewhere, given up here' },
  { key: 'atRisk', label: 'At risk', mark: '▨□', meaning: 'No verified copy anywhere' },
]

export type BarPart = { key: Place; label: string; amount: Amount /** 0 to 1. */; share: number }

/** The bar by bytes. What is not nothing is at least 1 % wide: a single photo at risk must be seen among a million. */
export function barParts(originals: OriginalsState): BarPart[] {
  const parts = PLACES.map(({ key, label }) => ({ key, label, amount: originals[key] })).filter(
    ({ amount }) => amount.count > 0,
  )
  const raw = parts.map(({ amount }) =>
    originals.total.bytes === 0 ? 1 : Math.max(0.01, amount.bytes / originals.total.bytes),
  )
  const sum = raw.reduce((total, share) => total + share, 0)
  return parts.map((part, index) => ({ ...part, share: raw[index]! / sum }))
}

/** Immich's queue names that stand for one of ours each, with what people call it. Others are twins or not ours. */
const QUEUES: [name: string, label: string, what: string][] = [
  ['metadataExtraction', 'Reading and previews', 'Dates, places, thumbnails and previews of new originals'],
  ['videoConversion', 'Video conversion', 'Versions that play in a browser'],
  ['migration', 'Copying', 'Originals to where the policy wants them, with proof'],
  ['eviction', 'Giving up local copies', 'Only of what is proven elsewhere'],
  ['backgroundTask', 'Housekeeping', 'Sweeps and probes'],
]

export type QueueRow = { name: string; label: string; what: string; queue: JobQueue }

export function queueRows(queues: Record<string, JobQueue>): QueueRow[] {
  return QUEUES.flatMap(([name, label, what]) => {
    const queue = queues[name]
    return queue ? [{ name, label, what, queue }] : []
  })
}

/** Jobs that wait, paused or not; those in their back-off apart. */
export function waitingOf({ jobCounts }: JobQueue): number {
  return jobCounts.waiting + (jobCounts.paused ?? 0)
}

/** `disk` as people say it. */
export function kindInWords(kind: StorageLocation['kind']): string {
  return kind === 'disk' ? 'Local disk' : kind === 's3' ? 'Object storage' : 'Memory'
}

/** What stops everything, then what costs something, then what is as it should be. */
export function sortFindings(findings: readonly ProbeFinding[]): ProbeFinding[] {
  const rank = ({ ok, critical }: ProbeFinding) => (ok ? 2 : critical ? 0 : 1)
  return findings.toSorted((left, right) => rank(left) - rank(right))
}

/** What pages found out, in the form of the server's findings. Never critical: all of it works through the server, too. */
export function browserFindings(reaches: readonly BrowserReach[], now: Date): ProbeFinding[] {
  return reaches.map(({ origin, at, reach, detail, remedy, paste }) => ({
    check: origin,
    ok: reach === 'reachable',
    critical: false,
    detail: `${reach === 'reachable' ? 'reaches it by itself' : detail}, tried ${formatAgo(at, now)}`,
    ...(remedy === undefined ? {} : { remedy }),
    ...(paste === undefined ? {} : { paste }),
  }))
}
