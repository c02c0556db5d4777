/** What needs somebody, in sentences for the first screen of the page and the command line alike. Pure. */
import type { StorageStatus } from '../../placement/reports/status.ts'
import type { CatalogueStatus } from '../catalogue/catalogue-status.ts'
import { ago, plural } from '../words.ts'
import { backupSentences } from './words/backup-words.ts'
import { catalogueSentences } from './words/catalogue-words.ts'

type Found = Pick<StorageStatus, 'copies' | 'backups' | 'unanswered'> & { catalogue: CatalogueStatus | null }

/** What an owner has to see to; a location that waits for a decision has questions of its own. */
export function openDecisions({ copies, backups, catalogue, unanswered }: Found, now: Date): string[] {
  const { late, required } = copies
  const few =
    late.count === 0
      ? []
      : [
          `${plural(late.count, 'original')} ${late.count === 1 ? 'has' : 'have'} fewer copies than the ${required} asked for, the first one since ${ago(late.since, now)}: see what fails or is away, in the details.`,
        ]
  const others = [...backupSentences(backups, now), ...catalogueSentences(catalogue, now)]
  const asked =
    unanswered.count === 0
      ? []
      : [
          `${plural(unanswered.count, 'file')} ${unanswered.count === 1 ? 'waits' : 'wait'} for an answer: storage.locations has changed, and what is there already stays until a campaign has moved it: npx glassine campaign list.`,
        ]
  return [...few, ...asked, ...others.flatMap(({ text, tone }) => (tone === 'warn' ? [text] : []))]
}
