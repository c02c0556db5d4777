/**
 * What would be lost if this machine died now, in a sentence for the page, the command line and the API
 * alike. Pure.
 */
import type { MachineLoss } from '../../../placement/reports/machine-loss.ts'
import type { LocationStatus, StorageStatus } from '../../../placement/reports/status.ts'
import { ago, count } from '../../words.ts'
import { lookedAtLongAgo } from './safety.ts'

/** `good`: nothing but what changed since the newest backup. */
export type LossSentence = { text: string; tone: 'good' | 'warn' }

const NOTES = 'albums, favourites and descriptions'

/**
 * Null where there is nothing to lose yet. Nothing is promised of a location that another database has used.
 */
export function lossSentence(
  {
    originals: { total, atRisk },
    machineLoss,
    locations,
  }: Pick<StorageStatus, 'originals' | 'machineLoss' | 'locations'>,
  now: Date,
): LossSentence | null {
  if (total.count === 0) return null
  const { originals, backup } = machineLoss
  const here = total.count - atRisk.count
  if (here === 0) return null
  if (locations.some(({ ledger }) => ledger.conflict !== null))
    return {
      text: 'What would be lost if this machine died now is not certain before that is settled.',
      tone: 'warn',
    }
  const doubt = originals.count === here ? null : doubtOf(locations, now)
  const files = filesLost(originals.count, here, doubt)
  const notes = backup === null ? null : notesLost(machineLoss, backup, now)
  const isGood = originals.count === 0 && doubt === null && (notes === null || notes.isGood)
  return {
    text: `If this machine died now, ${files}${notes === null ? '' : ` ${notes.text}`}`,
    tone: isGood ? 'good' : 'warn',
  }
}

/**
 * Why it is not certain that the copies away from here are still there: what was proven stays so while its
 * place can't be asked. Null: all of them were seen lately, in places that answer.
 */
function doubtOf(locations: readonly LocationStatus[], now: Date): string | null {
  const silent = locations.filter(
    ({ isLocal, health, objects }) => !isLocal && objects.count > 0 && health === 'unhealthy',
  )
  if (silent.length > 0) return `Not working now: ${silent.map(({ label }) => label).join(', ')}.`
  const longAgo = lookedAtLongAgo(locations, now)
  return longAgo === null ? null : `Some of them were last proven or seen ${ago(longAgo, now)}.`
}

/** `of`: those that there are. */
function filesLost(lost: number, of: number, doubt: string | null): string {
  if (lost === 0)
    return doubt === null
      ? 'no photo or video would be lost.'
      : `no photo or video would be lost, as far as is known. ${doubt}`
  const why = `${lost === 1 ? 'it is' : 'they are'} on this machine only.`
  if (lost === of)
    return lost === 1
      ? `your only photo or video would be lost: ${why}`
      : `all ${count(lost)} photos and videos would be lost: ${why}`
  const some = `${count(lost)} of ${count(of)} photos and videos would be lost: ${why}`
  return doubt === null ? some : `${some} The others would stay, as far as is known. ${doubt}`
}

function notesLost(
  { originals, unlisted }: MachineLoss,
  { takenAt, isKeyWrittenDown }: NonNullable<MachineLoss['backup']>,
  now: Date,
): { text: string; isGood: boolean } {
  const also = originals.count === 0 ? '' : ' as well'
  const stranded =
    unlisted.count === 0
      ? ''
      : ` Nobody would know whose ${unlisted.count === 1 ? 'the remaining file is' : `the ${count(unlisted.count)} remaining files are`}.`
  if (takenAt === null)
    return {
      text: `All ${NOTES} would be lost${also}: no backup of them is away from this machine yet.${stranded}`,
      isGood: false,
    }
  if (!isKeyWrittenDown)
    return {
      text: `All ${NOTES} would be lost${also}, and with them whose each photo is: nobody could open the backup, because its key is not written down.`,
      isGood: false,
    }
  const since = sinceWords(new Date(takenAt), now)
  if (since === null)
    return { text: `Nothing else would be lost: the newest backup is of just now.`, isGood: true }
  const added =
    unlisted.count === 0
      ? ''
      : ` ${unlisted.count === 1 ? 'The photo or video' : `The ${count(unlisted.count)} photos and videos`} added since then would still be stored, but missing from albums and timeline.`
  return { text: `What you changed ${since} (${NOTES}) would be lost.${added}`, isGood: true }
}

/** `in the last 3 hours`; null: no whole minute has passed. */
function sinceWords(at: Date, now: Date): string | null {
  const minutes = Math.floor((now.getTime() - at.getTime()) / 60_000)
  if (minutes < 1) return null
  const [value, unit] =
    minutes < 60
      ? [minutes, 'minute']
      : minutes < 48 * 60
        ? [Math.round(minutes / 60), 'hour']
        : [Math.round(minutes / 1_440), 'day']
  return value === 1 ? `in the last ${unit}` : `in the last ${count(value)} ${unit}s`
}
