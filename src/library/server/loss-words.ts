/**
 * What would be lost if this machine died now, in a sentence for the page, the command line and the API
 * alike. Pure.
 */
import type { MachineLoss } from '../../placement/reports/machine-loss.ts'
import type { StorageStatus } from '../../placement/reports/status.ts'
import { count } from '../words.ts'

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
  const files = filesLost(originals.count, here)
  const notes = backup === null ? null : notesLost(machineLoss, backup, now)
  const isGood = originals.count === 0 && (notes === null || notes.isGood)
  return {
    text: `If this machine died now, ${files}${notes === null ? '' : ` ${notes.text}`}`,
    tone: isGood ? 'good' : 'warn',
  }
}

/** `of`: those that there are. */
function filesLost(lost: number, of: number): string {
  if (lost === 0) return 'no photo or video would be lost.'
  const why = `${lost === 1 ? 'it is' : 'they are'} on this machine only.`
  if (lost === of)
    return lost === 1
      ? `your only photo or video would be lost: ${why}`
      : `all ${count(lost)} photos and videos would be lost: ${why}`
  return `${count(lost)} of ${count(of)} photos and videos would be lost: ${why}`
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
