import { count, plural } from '../../library/words.ts'
import { type ClassReport, classReport, type PlannedChange } from '../../placement/reports/class-report.ts'
import type { Price } from '../../placement/storage-prices.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns, type Style } from '../text.ts'

/** What is kept in which class, and what the rules would move at the next sweep. Changes nothing. */
export async function printClasses(context: CliContext, options: { json?: boolean }): Promise<ExitCode> {
  const report = await context.withPlacement(classReport)
  context.print(options.json ? JSON.stringify(report, null, 2) : describeClasses(report, context.style))
  return EXIT.done
}

const WAITS: Record<NonNullable<PlannedChange['why']>, string> = {
  'too-soon': 'later: its present class has a minimum time that is billed anyway',
  archived: 'only while it is restored',
  unprovable: 'not here: the copy could not be proven',
  'no-copies': 'not here: this location makes no copies; let storage.classes give fresh files their class',
  refused: 'not now: a copy failed or could not be proven; tried again later',
}

export function describeClasses({ held, changes }: ClassReport, style: Style): string {
  if (held.length === 0) return 'Nothing is in object storage yet.'
  const moving = changes.filter(({ why }) => why === null)
  const total = moving.reduce((sum, change) => sum + change.count, 0)
  const sentence =
    total === 0
      ? 'Everything is in the class that the rules say.'
      : `${plural(total, 'file')} would change class.`
  const table = columns(
    [
      ['location', 'kind', 'class', 'files', 'size'].map(style.dim),
      ...held.map((row) => [row.locationId, row.kind, row.storageClass, count(row.count), bytes(row.bytes)]),
    ],
    [3, 4],
  )
  if (changes.length === 0) return [style.bold(sentence), '', ...table].join('\n')
  const plan = columns(
    [
      ['location', 'kind', 'from', 'to', 'files', 'size', 'at once', 'a month', ''].map(style.dim),
      ...changes.map((change) => [
        change.locationId,
        change.kind,
        change.from,
        change.to,
        count(change.count),
        bytes(change.bytes),
        change.price ? about(change.price.once) : '?',
        change.price ? `${about(change.price.monthlyBefore)} -> ${about(change.price.monthlyAfter)}` : '?',
        change.why === null ? '' : style.amber(WAITS[change.why]),
      ]),
    ],
    [4, 5],
  )
  const lists = new Set(
    changes.flatMap(({ price }) =>
      price ? [`Prices are about right: ${price.once.source}, ${price.once.asOf}.`] : [],
    ),
  )
  return [style.bold(sentence), '', ...table, '', ...plan, ...[...lists].map(style.dim)].join('\n')
}

/** `0.02 USD`; what is less than a hundredth is said to be so. */
export function about({ amount, currency }: Price): string {
  return amount > 0 && amount < 0.01 ? `under 0.01 ${currency}` : `${amount.toFixed(2)} ${currency}`
}
