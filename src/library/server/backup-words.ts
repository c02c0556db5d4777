/** How the backups of the database stand, in sentences for the page and the command line alike. Pure. */
import type { BackupStatus } from '../../placement/backups/backup-status.ts'
import { ago } from '../words.ts'

export type BackupSentence = { text: string; tone: 'plain' | 'warn' }

export function backupSentences(status: BackupStatus | null, now: Date): BackupSentence[] {
  if (status === null) return []
  const { newest, isLate, everyHours, key } = status
  const sentences: BackupSentence[] = []
  const late = isLate ? `; that is older than two intervals (${everyHours} h each)` : ''
  if (newest !== null) {
    const where = newest.at.map(({ location }) => location).join(' and ')
    const text = `The newest verified backup of the database is of ${ago(newest.takenAt, now)}, at ${where}${late}.`
    sentences.push({ text, tone: isLate ? 'warn' : 'plain' })
  } else if (everyHours === 0) {
    sentences.push({ text: 'No backups of the database are made (backups.everyHours is 0).', tone: 'plain' })
  } else {
    const text = isLate
      ? 'There is no verified backup of the database, though there should be two by now.'
      : 'There is no backup of the database yet; the first one is made soon.'
    sentences.push({ text, tone: isLate ? 'warn' : 'plain' })
  }
  if (key.isMade && !key.isConfirmed)
    sentences.push({
      text: 'The key of the backups is not written down, and without it nobody can read them: run glassine backup key.',
      tone: 'warn',
    })
  return sentences
}
