/**
 * Is everything safe? One sentence and the marks of the states, for the page, the command line and the API
 * alike. Pure.
 */
import type { LocationStatus, StorageStatus } from '../../../placement/reports/status.ts'
import { ago, count, plural } from '../../words.ts'

/**
 * `good`: every original is proven in as many places as asked for, one of them not this disk. `warn`: every
 * original has a verified copy, as far as is known; but some would be lost with this machine, or something
 * needs attention.
 */
export type Safety = { text: string; tone: 'good' | 'warn' | 'bad' }

export type OriginalState = Exclude<keyof StorageStatus['originals'], 'total'>
/** `mark`: two squares, of this disk and of elsewhere. */
export type StateWords = { key: OriginalState; mark: string; name: string; meaning: string }

export const ORIGINAL_STATES: readonly StateWords[] = [
  {
    key: 'localOnly',
    mark: '■□',
    name: 'only on this disk',
    meaning: 'Verified on the local disk, nowhere else yet',
  },
  { key: 'inFlight', mark: '■◪', name: 'being copied', meaning: 'Verified here, being written elsewhere' },
  {
    key: 'both',
    mark: '■■',
    name: 'here and in the bucket',
    meaning: 'Verified on the local disk and in the bucket',
  },
  { key: 'offloaded', mark: '□■', name: 'in the bucket only', meaning: 'Verified in the bucket, not here' },
  { key: 'atRisk', mark: '▨▨', name: 'at risk', meaning: 'No verified copy anywhere' },
]

/** As `ORIGINAL_STATES`, where originals belong in other places than one bucket. */
export function statesOf({ locations }: Pick<StorageStatus, 'locations'>): readonly StateWords[] {
  const others = locations.filter(({ isLocal, isUsed, objects }) => !isLocal && (isUsed || objects.count > 0))
  if (others.length <= 1 && others.every(({ kind }) => kind !== 'disk')) return ORIGINAL_STATES
  return ORIGINAL_STATES.map((state) => ({ ...state, ...ELSEWHERE[state.key] }))
}

const ELSEWHERE: Partial<Record<OriginalState, Pick<StateWords, 'name' | 'meaning'>>> = {
  both: { name: 'here and elsewhere', meaning: 'Verified on the local disk and in another place' },
  offloaded: { name: 'elsewhere only', meaning: 'Verified in other places, not here' },
}

/** Two listings that failed, and a half. */
const LONG_AGO_MS = 60 * 3_600_000

export function safetyOf(
  {
    originals,
    copies,
    notConfigured,
    locations,
  }: Pick<StorageStatus, 'originals' | 'notConfigured' | 'locations'> & {
    copies: Omit<StorageStatus['copies'], 'late'>
  },
  now: Date,
): Safety {
  const { total, atRisk } = originals
  if (total.count === 0) return { text: 'No photos or videos yet.', tone: 'good' }
  if (atRisk.count > 0) {
    const are = atRisk.count === 1 ? 'is' : 'are'
    const text = `${plural(atRisk.count, 'original')} of ${count(total.count)} ${are} at risk: no verified copy.`
    return { text, tone: 'bad' }
  }
  if (notConfigured.count > 0) {
    const isOne = notConfigured.count === 1
    const text = `${plural(notConfigured.count, 'original')} of ${count(total.count)} ${isOne ? 'is' : 'are'} at a location that is not configured: ${isOne ? 'it' : 'they'} can't be read until it is.`
    return { text, tone: 'bad' }
  }
  const disputed = locations.filter(({ ledger }) => ledger.conflict !== null)
  if (disputed.length > 0) return { text: disputedSentence(total.count, disputed), tone: 'warn' }
  const longAgo = lookedAtLongAgo(locations, now)
  if (originals.offloaded.count + originals.both.count > 0 && longAgo !== null) {
    const text = `${plural(total.count, 'original')}, some of which were last proven or seen ${ago(longAgo, now)}: it is not known whether they are still there.`
    return { text, tone: 'warn' }
  }
  const doubted = locations.reduce((sum, place) => sum + place.doubted.count, 0)
  if (doubted > 0) {
    const text = `${plural(total.count, 'original')}. ${plural(doubted, 'file')} in object storage got another ETag, and ${doubted === 1 ? 'waits' : 'wait'} to be read: it is not known yet whether all are right.`
    return { text, tone: 'warn' }
  }
  const isDemonstration = isInDemonstrationBucket(locations)
  const fewer = copies.byNumber.filter((one) => one.copies < copies.required)
  const text =
    copies.required > 1 && !isDemonstration
      ? howManyCopies(total.count, copies.required, fewer)
      : whereTheyAre(originals, wordsForElsewhere(locations, isDemonstration))
  const ill = locations.filter(({ health }) => health === 'unhealthy')
  const areElsewhere =
    originals.localOnly.count + originals.inFlight.count === 0 && fewer.length === 0 && !isDemonstration
  if (ill.length === 0) return { text, tone: areElsewhere ? 'good' : 'warn' }
  // Behind a colon: a bucket's name keeps its small letter.
  return { text: `${text} Not working now: ${ill.map(({ label }) => label).join(', ')}.`, tone: 'warn' }
}

function disputedSentence(originals: number, disputed: readonly LocationStatus[]): string {
  const names = disputed.map(({ id }) => id).join(' and ')
  const isOne = disputed.length === 1
  const all = `${plural(originals, 'original')}. What ${names} ${isOne ? 'holds' : 'hold'}`
  return disputed.every(({ ledger }) => ledger.adoption?.state === 'running')
    ? `${all} is being taken over.`
    : `${all} of them is not certain: another database has used ${isOne ? 'it' : 'them'}.`
}

/** A demonstration bucket that was left behind for one of their own may still hold some. */
function isInDemonstrationBucket(locations: readonly LocationStatus[]): boolean {
  return (
    locations.some((location) => location.isDemonstration && location.objects.count > 0) &&
    !locations.some((location) => location.kind === 's3' && !location.isDemonstration)
  )
}

function wordsForElsewhere(locations: readonly LocationStatus[], isDemonstration: boolean): string {
  if (isDemonstration) return 'in the demonstration bucket, which is on this machine and lost with it'
  const others = locations.filter(({ isLocal, objects }) => !isLocal && objects.count > 0)
  return others.length > 0 && others.every(({ kind }) => kind === 'disk')
    ? 'in another folder'
    : 'in object storage'
}

/** Where more than one copy is asked for, in words for places that may be of any kind. */
function howManyCopies(
  total: number,
  required: number,
  fewer: readonly StorageStatus['copies']['byNumber'][number][],
): string {
  const places = `${count(required)} places`
  const complete = total - fewer.reduce((sum, one) => sum + one.count, 0)
  if (complete === total)
    return total === 1
      ? `The one original is proven in ${places}.`
      : `All ${count(total)} originals are proven in ${places}.`
  const rest = fewer.map(
    (one) => `${count(one.count)} ${one.copies === 0 ? 'in none of them' : `in ${count(one.copies)}`} so far`,
  )
  return `${count(complete)} of ${plural(total, 'original')} ${complete === 1 ? 'is' : 'are'} proven in ${places}; ${rest.join(', ')}.`
}

function whereTheyAre(
  { total, offloaded, both, localOnly, inFlight }: StorageStatus['originals'],
  where: string,
): string {
  const remote = offloaded.count + both.count
  if (remote === total.count) {
    return total.count === 1
      ? `The one original is proven ${where}.`
      : `All ${count(total.count)} originals are proven ${where}.`
  }
  const waiting = localOnly.count + inFlight.count
  if (remote === 0) {
    return waiting === 1
      ? 'One original, with its only copy on this disk.'
      : `${count(waiting)} originals, all with their only copy on this disk.`
  }
  const are = remote === 1 ? 'is' : 'are'
  return `${count(remote)} of ${plural(total.count, 'original')} ${are} proven ${where}; ${count(waiting)} only on this disk.`
}

/**
 * Until when, at some location elsewhere, everything was last proven or seen in a listing, where that is
 * longer ago than listings should be; else null.
 */
export function lookedAtLongAgo(locations: readonly LocationStatus[], now: Date): string | null {
  const looks = locations
    .filter(({ isLocal, objects }) => !isLocal && objects.count > 0)
    .flatMap(({ listing, oldestProofAt }) => {
      const seen = [listing?.seenAt, oldestProofAt].filter((at) => at != null)
      return seen.length === 0 ? [] : [seen.reduce((a, b) => (a > b ? a : b))]
    })
  const oldest = looks.toSorted()[0]
  if (oldest === undefined || now.getTime() - new Date(oldest).getTime() < LONG_AGO_MS) return null
  return oldest
}
