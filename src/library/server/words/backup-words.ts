/** How the backups of the database stand, in sentences for the page and the command line alike. Pure. */
import type { BackupStatus } from '../../../placement/backups/backup-status.ts'
import { ago, count, type Sentence } from '../../words.ts'

/** A backup that is further ahead has the time of a clock that was wrong. */
const AHEAD_MS = 60 * 60_000

export function backupSentences(status: BackupStatus | null, now: Date): Sentence[] {
  if (status === null) return []
  const { newest, waiting, isLate, everyHours, key, ofAnotherLine } = status
  const sentences: Sentence[] = []
  const late = isLate ? `; that is older than two intervals (${everyHours} h each)` : ''
  if (newest !== null) {
    const where = newest.at.map(({ location }) => location).join(' and ')
    const isAhead = new Date(newest.takenAt).getTime() > now.getTime() + AHEAD_MS
    const text = isAhead
      ? `The newest verified backup of the database, at ${where}, was made while a clock was wrong: its time is ${newest.takenAt.slice(0, 16).replace('T', ' ')} UTC${isLate ? ', and there is none of the last two intervals' : ''}.`
      : `The newest verified backup of the database is of ${ago(newest.takenAt, now)}, at ${where}${late}.`
    sentences.push({ text, tone: isLate ? 'warn' : 'plain' })
  } else if (everyHours === 0) {
    sentences.push({ text: 'No backups of the database are made (backups.everyHours is 0).', tone: 'plain' })
  } else {
    const text = isLate
      ? 'There is no verified backup of the database, though there should be two by now.'
      : waiting === null
        ? 'There is no backup of the database yet; the first one is made soon.'
        : 'There is no verified backup of the database yet.'
    sentences.push({ text, tone: isLate ? 'warn' : 'plain' })
  }
  if (waiting !== null)
    sentences.push({
      text: `${newest === null ? 'The newest one' : 'A newer one'}, of ${ago(waiting.takenAt, now)}, ${whereIs(waiting)}.`,
      tone: isLate ? 'warn' : 'plain',
    })
  if (ofAnotherLine > 0)
    sentences.push({
      text: `${count(ofAnotherLine)} ${ofAnotherLine === 1 ? 'backup is' : 'backups are'} from after the one that this database was restored from, and kept for as long as you want: see glassine backup list.`,
      tone: 'plain',
    })
  const aboutKey = keySentence(key)
  if (aboutKey !== null) sentences.push({ text: aboutKey, tone: 'warn' })
  return sentences
}

function whereIs({ at, isLocalOnly, missingAt }: NonNullable<BackupStatus['waiting']>): string {
  const missing = missingAt.length > 0 ? `, and not verified at ${missingAt.join(' and ')} yet` : ''
  if (at.length === 0) return 'is not verified anywhere yet'
  return isLocalOnly ? `is on this disk only${missing}` : `is verified at ${at.join(' and ')} only${missing}`
}

function keySentence({ isMade, isConfirmed, file }: BackupStatus['key']): string | null {
  if (file === 'unreadable')
    return "The file of the backup key, backup-key.txt in the data folder, can't be read, and no backup is made: let it be a file that belongs to the user that Glassine runs as, with mode 0600."
  if (file === 'another')
    return 'backup-key.txt in the data folder holds no key, or another one than that of the backups, and no backup is made: move it away, and put the right one there.'
  if (!isMade || isConfirmed) return null
  if (file === 'missing')
    return 'The key of the backups is not in this data folder, and nobody has said that it is written down; without it nobody can read them. If it lies on another machine, run glassine backup key there. If it is lost, have a new one made for the backups from now on: glassine backup key --new.'
  return 'The key of the backups is not written down, and without it nobody can read them: run glassine backup key.'
}
