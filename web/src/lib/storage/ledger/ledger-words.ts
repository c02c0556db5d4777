/**
 * A place that another database has used: what happened, the two ways on, and their numbers, in a parent's
 * words. Pure.
 */
import {
  type AdoptionRow,
  adoptionRows,
  mayBeAnOriginals,
  WHAT_HAPPENED,
} from '../../../../../src/library/server/words/adoption-words.ts'
import type { AdoptionReport, Amount, LedgerStatus, StorageLocation } from '../../api-types.ts'
import { formatBytes, plural } from '../../format.ts'

type Disputed = Pick<StorageLocation, 'id' | 'kind' | 'label' | 'isDemonstration' | 'ledger'>
/** So long a result stays where the decision was made. */
const NEWS_MS = 24 * 3_600_000

export type Way = {
  title: string
  text: string
  /** Empty: there is nothing to type. `text` of a step is copied as it is. */
  steps: { say: string; text?: string; title?: string }[]
}

/** What the storage page shows at its top: `decide`, `running`, or for a day `done`; null: nothing. */
export function ledgerStage(
  { conflict, adoption }: LedgerStatus,
  now: Date,
): 'decide' | 'running' | 'done' | null {
  if (conflict !== null) return adoption?.state === 'running' ? 'running' : 'decide'
  if (adoption?.finishedAt == null) return null
  return now.getTime() - new Date(adoption.finishedAt).getTime() < NEWS_MS ? 'done' : null
}

export function whatHappened({ ledger }: Disputed): string {
  return WHAT_HAPPENED[ledger.conflict ?? 'another-ledger']
}

export const UNTIL_THEN =
  'Until you decide, nothing is written there and nothing is removed. Everybody can go on looking at photos.'

export function takeOver({ ledger }: Disputed): Way {
  const isOlder = ledger.conflict === 'older-place'
  return {
    title: isOlder ? 'I restored a backup of this location' : 'I restored an older backup of the database',
    text:
      'Continue with what is there. Photos that this server remembers are found again, what is gone is noticed, and files that it does not ' +
      'remember stay where they are. Nothing there is removed or overwritten.',
    steps: [],
  }
}

/** Where no photo is touched by the first way, this one leaves even the database alone. */
export function otherWay(place: Disputed): Way {
  const { id, ledger } = place
  if (!mayBeAnOriginals(place, ledger.conflict))
    return {
      title: 'They do not belong together',
      text: 'The database and this location are from different times by mistake, or it is the wrong location.',
      steps: [
        { say: 'Stop the server.' },
        {
          say: 'Restore the database or the location so that they fit, or correct the address of the location in glassine.yaml.',
        },
        { say: 'Start the server again. Nothing has been changed until then.' },
      ],
    }
  return {
    title: 'This is a copy',
    text:
      'The original keeps this location. The copy gets a location of its own for what it writes; it still reads the photos of the ' +
      'original, and never changes them.',
    steps: [
      { say: 'Stop this server.' },
      {
        say: 'Add another prefix to its glassine.yaml, to what is already under s3:',
        text: 'storage:\n  s3:\n    prefix: copy/\n',
        title: 'prefix',
      },
      {
        say: 'Tell Glassine that it is a copy:',
        text: `npx glassine storage use-as-copy ${id} --yes`,
        title: 'command',
      },
      { say: 'Start the server again.' },
    ],
  }
}

export type NumberRow = AdoptionRow & { amount: Amount }

/** Of a plan, or of what was done. */
export function numberRows(report: AdoptionReport, what: 'plan' | 'result'): NumberRow[] {
  return adoptionRows(report, what).map((row) => ({ ...row, amount: report[row.key] }))
}

/** `1,200 files looked at, 3.40 GiB`. */
export function progressWords({ held }: AdoptionReport, verb = 'looked at'): string {
  return `${plural(held.count, 'file')} ${verb}, ${formatBytes(held.bytes)}`
}

/** One sentence for what an adoption came to. */
export function resultSentence({ missing, wrong, unknown }: AdoptionReport): string {
  const bad = missing.count + wrong.count
  const stays =
    unknown.count === 0
      ? ''
      : ` ${plural(unknown.count, 'file')} that ${unknown.count === 1 ? 'belongs' : 'belong'} to no photo ${unknown.count === 1 ? 'stays' : 'stay'} there untouched.`
  return bad === 0
    ? `Everything that this server remembers is there.${stays}`
    : `${plural(bad, 'file')} that this server remembers ${bad === 1 ? 'is' : 'are'} missing or wrong there; the first sentence of this page tells whether there are other copies.${stays}`
}
