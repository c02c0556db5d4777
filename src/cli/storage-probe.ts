import { probeLocation } from '../placement/locations.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import { columns, type Style } from './text.ts'

type ProbeReport = Awaited<ReturnType<typeof probeLocation>>
type Probed = { id: string; label: string; report: ProbeReport | null; error: string | null }

/** Tries out what every place can do and promises, and stores it: proofs rest on what is found here. */
export async function printProbe(context: CliContext, options: { json?: boolean }): Promise<ExitCode> {
  const probed = await context.withPlacement(async (placement) => {
    const all: Probed[] = []
    for (const { id, label } of placement.locations.values()) {
      context.progress(`probing ${id} (${label})`)
      const [result] = await Promise.allSettled([probeLocation(placement, id)])
      all.push({
        id,
        label,
        report: result.status === 'fulfilled' ? result.value : null,
        error: result.status === 'rejected' ? (result.reason as Error).message : null,
      })
    }
    context.progress('')
    return all
  })
  if (options.json) {
    context.print(JSON.stringify(probed, null, 2))
  } else {
    context.print(probed.map((one) => describeProbe(one, context.style)).join('\n\n'))
  }
  return probed.every(({ report }) => report?.ok) ? EXIT.done : EXIT.attention
}

function describeProbe({ id, label, report, error }: Probed, style: Style): string {
  if (report === null)
    return `${style.bold(`${id} can't be used.`)}  ${style.dim(label)}\n  ${style.red(error ?? '')}`
  const sentence = report.ok
    ? `${id} is fine, ${report.latencyMs.toFixed(0)} ms away.`
    : `${id} can't be used as it is.`
  const rows = report.findings.map((finding) => [
    `  ${finding.ok ? '■' : finding.critical ? style.red('▨') : style.amber('□')}`,
    finding.check,
    finding.ok ? style.dim(finding.detail) : [finding.detail, finding.remedy].filter(Boolean).join(' '),
  ])
  return [`${style.bold(sentence)}  ${style.dim(label)}`, ...columns(rows)].join('\n')
}
