import { resolve } from 'node:path'
import { AppError } from '../errors.ts'
import { restoreOptions } from '../library/downloads/restore-many.ts'
import { MANIFEST, SUMS } from '../library/export/manifest.ts'
import { albumByName, ownerByEmail, type Selection } from '../library/export/selection.ts'
import { type ExportReport, planExport, writeExport } from '../library/export/write-export.ts'
import { parsePathTemplate } from '../library/path-templates/template.ts'
import { duration, plural } from '../library/words.ts'
import type { Placement } from '../placement/placement.ts'
import { type CliContext, EXIT, type ExitCode } from './context.ts'
import { about } from './storage/classes.ts'
import { bytes, columns, type Style } from './text.ts'

export type ExportOptions = {
  user?: string
  album?: string
  from?: string
  to?: string
  template?: string
  withTrash?: boolean
  plan?: boolean
  json?: boolean
}

/** How long copies of archived originals would be readable, for the price of their restore. */
const RESTORED_DAYS = 7
/** The rest is in --json. */
const MOST_SHOWN = 10

/** All files are proven as they are read; the exit code is 3 where one is missing. */
export async function exportFromCli(
  context: CliContext,
  folder: string,
  options: ExportOptions,
): Promise<ExitCode> {
  const from = dayOf('--from', options.from)
  const to = dayOf('--to', options.to)
  if (from !== null && to !== null && from > to)
    throw new AppError('invalid', `--from ${from} is after --to ${to}.`)
  const path = resolve(folder)
  const template = options.template === undefined ? null : parsePathTemplate(options.template, '--template')
  return context.withPlacement(async (placement) => {
    const { db } = placement
    const selection: Selection = {
      ownerId: options.user === undefined ? null : await ownerByEmail(db, options.user),
      albumId: options.album === undefined ? null : await albumByName(db, options.album),
      from,
      to,
      withTrash: options.withTrash ?? false,
    }
    const parts = { db, placement }
    const plan = await planExport(parts, { selection, template })
    const report = options.plan
      ? plan
      : await writeExport(
          parts,
          path,
          { selection, template },
          {
            signal: context.untilInterrupted(),
            onProgress: progressOf(context, plan),
          },
        )
    context.progress('')
    if (options.json) context.print(JSON.stringify({ folder: path, ...report }, null, 2))
    else if (options.plan) context.print(describePlan(report, placement, context.style))
    else context.print(describeExport(report, { folder: path, plan }, placement, context.style))
    return report.archived.length > 0 || report.failed.length > 0 || report.stoppedBy !== null
      ? EXIT.attention
      : EXIT.done
  })
}

function dayOf(option: string, text: string | undefined): string | null {
  if (text === undefined) return null
  const isDay = /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
  if (!isDay) throw new AppError('invalid', `${option} ${text}: write a day, such as 2024-05-01.`)
  return text
}

function progressOf({ progress }: CliContext, plan: ExportReport): (report: ExportReport) => void {
  const beganAt = Date.now()
  return ({ files, written }) => {
    const seconds = (Date.now() - beganAt) / 1_000
    const rate = seconds > 0 ? written.bytes / seconds : 0
    const left = plan.files.bytes - files.bytes
    const time = rate > 0 && left > 0 ? `, ${duration(Math.ceil(left / rate))} left` : ''
    progress(
      `${plural(files.count, 'file')} of ${plan.files.count}, ${bytes(files.bytes)} of ${bytes(plan.files.bytes)}, ${bytes(rate)}/s${time}`,
    )
  }
}

function describePlan({ files, archived }: ExportReport, placement: Placement, style: Style): string {
  return [
    `${plural(files.count, 'file')} (${bytes(files.bytes)}) would be written.`,
    ...archivedLines(archived, placement, style),
  ].join('\n')
}

function describeExport(
  { written, there, archived, failed, stoppedBy }: ExportReport,
  { folder, plan }: { folder: string; plan: ExportReport },
  placement: Placement,
  style: Style,
): string {
  const missing = plan.files.count - written.count - there.count
  const lines = [
    style.bold(
      `${plural(written.count, 'file')} (${bytes(written.bytes)}) written to ${folder}${there.count > 0 ? `; ${plural(there.count, 'file')} (${bytes(there.bytes)}) ${there.count === 1 ? 'was' : 'were'} there` : ''}.`,
    ),
    `${MANIFEST} says what each is; "sha256sum --check ${SUMS}" reads them all and compares.`,
  ]
  if (stoppedBy === 'no-room') lines.push(style.red('No room is left there: 64 MiB stay free.'))
  if (missing > 0)
    lines.push(
      style.amber(
        `${plural(missing, 'file')} ${missing === 1 ? 'is' : 'are'} missing. Run the same command again to go on.`,
      ),
    )
  lines.push(...archivedLines(archived, placement, style))
  for (const { path, reason } of failed.slice(0, MOST_SHOWN)) lines.push(style.red(`  ${path}: ${reason}`))
  if (failed.length > MOST_SHOWN) lines.push(`  and ${failed.length - MOST_SHOWN} more, which --json names`)
  return lines.join('\n')
}

function archivedLines(archived: ExportReport['archived'], placement: Placement, style: Style): string[] {
  if (archived.length === 0) return []
  const size = archived.reduce((sum, one) => sum + one.size, 0)
  const waiting = archived.filter((one) => !one.isRestoring)
  const options = restoreOptions(placement, waiting, RESTORED_DAYS).map(
    ({ tier, count, expectedMinutes, price }) => [
      `  ${tier}`,
      plural(count, 'original'),
      expectedMinutes === null ? '' : duration(expectedMinutes * 60),
      price ? `about ${about(price)} for ${RESTORED_DAYS} days` : 'price not known',
    ],
  )
  return [
    style.amber(
      `${plural(archived.length, 'original')} (${bytes(size)}) ${archived.length === 1 ? 'is' : 'are'} archived, and must be restored first: on the page of their album, or with "glassine storage restore ID".`,
    ),
    ...columns(options),
    ...(waiting.length < archived.length
      ? [`  ${plural(archived.length - waiting.length, 'original')} of them being restored now`]
      : []),
  ]
}
