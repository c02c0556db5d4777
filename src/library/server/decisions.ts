/** What needs somebody, in sentences for the first screen of the page and the command line alike. Pure. */
import type { StorageStatus } from '../../placement/reports/status.ts'
import { ago, plural } from '../words.ts'
import { backupSentences } from './backup-words.ts'

/** What an owner has to see to; a location that waits for a decision has questions of its own. */
export function openDecisions({ copies, backups }: StorageStatus, now: Date): string[] {
  const { late, required } = copies
  const few =
    late.count === 0
      ? []
      : [
          `${plural(late.count, 'original')} ${late.count === 1 ? 'has' : 'have'} fewer copies than the ${required} asked for, the first one since ${ago(late.since, now)}: see what fails or is away, in the details.`,
        ]
  const ofBackups = backupSentences(backups, now).filter(({ tone }) => tone === 'warn')
  return [...few, ...ofBackups.map(({ text }) => text)]
}
