/**
 * A location that another database has used: what happened and what the numbers of taking it over mean, for
 * page and command line. Pure.
 */
import type { CounterConflict } from '../../../database/schema.ts'
import type { LocationStatus } from '../../../placement/reports/status.ts'
import type { AdoptionReport } from '../../../placement/takeover/adoption.ts'

export const WHAT_HAPPENED: { readonly [Conflict in CounterConflict]: string } = {
  'another-ledger':
    'Something else has written there since this server last did. Either an older backup of its database was restored, or this server is a copy and the original goes on.',
  'older-place':
    'This location holds an older state than this server remembers. It was restored from a backup, or it is not the same location as before.',
}

/**
 * Whether an original may go on with the location, so that this installation may be a copy that leaves it
 * alone.
 */
export function mayBeAnOriginals(
  { kind, isDemonstration }: Pick<LocationStatus, 'kind' | 'isDemonstration'>,
  conflict: CounterConflict | null,
): boolean {
  return kind === 's3' && !isDemonstration && conflict === 'another-ledger'
}

export type AdoptionRow = { key: keyof AdoptionReport; label: string; meaning: string; isBad: boolean }

/** What a plan, or what was done, says in numbers. What is nothing is left out, but for the first. */
export function adoptionRows(report: AdoptionReport, what: 'plan' | 'result'): AdoptionRow[] {
  const isPlan = what === 'plan'
  const rows: [AdoptionRow['key'], string, string][] = [
    ['held', isPlan ? 'Files there' : 'Files looked at', ''],
    ['confirmed', 'As remembered', 'This server knows them, and they are right'],
    [
      'adopted',
      isPlan ? 'Found again' : 'Taken over',
      'This server has their photos, but did not know that they are there',
    ],
    ['toRead', 'Of these, to be read', 'They must be read to find out whether they are right'],
    ['missing', 'Missing', 'This server counts on them, and they are not there'],
    [
      'wrong',
      'Wrong',
      'Their bytes differ from what this server remembers; they stay, and do not count as copies',
    ],
    ['unknown', 'Unknown', 'They belong to no photo that this server remembers; they stay where they are'],
  ]
  return rows.flatMap(([key, label, meaning]) =>
    report[key].count === 0 && key !== 'held'
      ? []
      : [{ key, label, meaning, isBad: key === 'missing' || key === 'wrong' }],
  )
}
