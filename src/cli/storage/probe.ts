import { AppError } from '../../errors.ts'
import { plural } from '../../library/words.ts'
import { probeLocation } from '../../placement/locations/locations.ts'
import { openChanges, type ProbeChange } from '../../placement/locations/probe-changes.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { type Style, wrap } from '../text.ts'

type ProbeReport = Awaited<ReturnType<typeof probeLocation>>
type Finding = ProbeReport['findings'][number]
export type Probed = {
  id: string
  label: string
  report: ProbeReport | null
  error: string | null
  changes: ProbeChange[]
}

/** Columns that a report takes; what is to be pasted may be wider. */
const WIDTH = 110
/** A name that is longer, such as one with an address in it, stands on a line of its own. */
const MAX_NAME = 26

/** Tries out what every place can do and promises, and stores it: proofs rest on what is found here. */
export async function printProbe(
  context: CliContext,
  options: { json?: boolean; origin?: string[] },
): Promise<ExitCode> {
  const origins = (options.origin ?? []).map(originOf)
  const probed = await context.withPlacement(async (placement) => {
    const all: Probed[] = []
    for (const { id, label, isReadOnly } of placement.locations.values()) {
      // A probe writes.
      if (isReadOnly) continue
      let checks = 0
      const onFinding = (finding: Finding) => {
        checks += 1
        context.progress(`probing ${id}: ${checks}  ${markOf(finding, context.style)}  ${finding.check}`)
      }
      context.progress(`probing ${id} (${label})`)
      const [result] = await Promise.allSettled([probeLocation(placement, id, { origins, onFinding })])
      all.push({
        id,
        label,
        report: result.status === 'fulfilled' ? result.value : null,
        error: result.status === 'rejected' ? (result.reason as Error).message : null,
        changes: [],
      })
    }
    context.progress('')
    const changes = await openChanges(placement.db)
    return all.map((one) => ({ ...one, changes: changes.get(one.id) ?? [] }))
  })
  if (options.json) {
    context.print(JSON.stringify(probed, null, 2))
  } else {
    context.print(probed.map((one) => describeProbe(one, context.style)).join('\n\n'))
  }
  return probed.every(({ report }) => report?.ok) ? EXIT.done : EXIT.attention
}

/** @throws AppError invalid */
function originOf(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text).origin
  throw new AppError('invalid', '--origin: write where the page is, such as https://photos.example.org')
}

/** Problems first; below each its remedy, and what there is to paste. */
export function describeProbe({ id, label, report, error, changes }: Probed, style: Style): string {
  if (report === null)
    return `${style.bold(`${id} can't be used.`)}  ${style.dim(label)}\n  ${style.red(error ?? '')}`
  const { findings } = report
  const drawbacks = findings.filter(({ ok, critical }) => !ok && !critical)
  const remarks = drawbacks.length === 0 ? '' : `, with ${plural(drawbacks.length, 'drawback')}`
  const sentence = report.ok
    ? `${id} is fine${remarks}. It answers within ${report.latencyMs.toFixed(0)} ms.`
    : `${id} can't be used as it is.`
  const sorted = [
    ...findings.filter(({ ok, critical }) => !ok && critical),
    ...drawbacks,
    ...findings.filter(({ ok }) => ok),
  ]
  const names = findings.map(({ check }) => check.length).filter((length) => length <= MAX_NAME)
  const nameWidth = Math.max(...names, 0)
  return [
    `${style.bold(sentence)}  ${style.dim(label)}`,
    ...changes.map((change) => `  ${describeChange(change, style)}`),
    ...sorted.flatMap((finding) => describeFinding(finding, nameWidth, style)),
  ].join('\n')
}

function describeFinding(finding: Finding, nameWidth: number, style: Style): string[] {
  const { check, ok, detail, remedy, paste = [] } = finding
  const indent = ' '.repeat(2 + 1 + 2 + nameWidth + 2)
  const room = WIDTH - indent.length
  const isWide = check.length > nameWidth
  const [first = '', ...rest] = wrap(detail, room).map((line) => (ok ? style.dim(line) : line))
  const head = `  ${markOf(finding, style)}  ${check.padEnd(nameWidth)}`
  return [
    ...(isWide ? [head, indent + first] : [`${head}  ${first}`]),
    ...rest.map((line) => indent + line),
    ...(ok || remedy === undefined
      ? []
      : wrap(`-> ${remedy}`, room - 3).map((line, at) => indent + (at === 0 ? line : `   ${line}`))),
    ...paste.flatMap(({ title, text }) => [
      `${indent}   ${style.dim(`${title}:`)}`,
      ...text.split('\n').map((line) => (line === '' ? '' : `${indent}     ${line}`)),
    ]),
  ]
}

function markOf({ ok, critical }: Finding, style: Style): string {
  return ok ? '■' : critical ? style.red('▨') : style.amber('□')
}

/** `the provider changed: the ETag of a put is its MD5: was yes, is no`. */
export function describeChange({ what, before, after, isWeaker }: ProbeChange, style: Style): string {
  const yesOrNo = (value: boolean) => (value ? 'yes' : 'no')
  const text = `the provider changed its behaviour: ${what}: was ${yesOrNo(before)}, is ${yesOrNo(after)}`
  return isWeaker ? style.red(text) : style.amber(text)
}
