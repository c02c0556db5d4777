import { AppError } from '../../errors.ts'
import { type ReconcileReport, reconcileReport } from '../../library/server/reconcile.ts'
import {
  amountName,
  groupFate,
  groupName,
  hasStrays,
  keptText,
  postponedText,
  refusalText,
} from '../../library/server/words/reconcile-words.ts'
import { plural } from '../../library/words.ts'
import type { CollectionStatus } from '../../placement/collect/collections.ts'
import { decideCollection, undoCollection } from '../../placement/collect/decide.ts'
import type { CollectionPlan } from '../../placement/collect/plan.ts'
import type { Placement } from '../../placement/placement.ts'
import { isUuid } from '../../uuid.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'
import { bytes, columns, type Style, wrap } from '../text.ts'

export type ReconcileOptions = { location?: string; json?: boolean; confirm?: string; undo?: string }

const ACTOR = 'cli'
const WIDTH = 110

/**
 * What the ledger and the locations do not agree on; with `--confirm`, decides that what belongs to nothing
 * goes after its hold time, and with `--undo` takes such a decision back. The server does the rest.
 */
export async function reconcileFromCli(context: CliContext, options: ReconcileOptions): Promise<ExitCode> {
  const { location, confirm, undo } = options
  if (confirm !== undefined && undo !== undefined)
    throw new AppError('invalid', '--confirm and --undo exclude each other: give one of them')
  return context.withPlacement(async (placement) => {
    if (undo !== undefined) {
      const kept = await undoCollection(placement, requireId(undo), ACTOR)
      const told = { undone: undo, kept }
      const text = `The decision is undone: ${plural(kept, 'file')} stay${kept === 1 ? 's' : ''}.`
      context.print(options.json ? JSON.stringify(told, null, 2) : text)
      return EXIT.done
    }
    const report = await reconcileReport(placement, location)
    if (confirm !== undefined) return decide(context, placement, report, { ...options, confirm })
    context.print(
      options.json
        ? JSON.stringify(report, null, 2)
        : describeReconcile(report, context.style, placement.now()),
    )
    return report.locations.some(({ rowsWithoutBytes, groups }) => rowsWithoutBytes.count + groups.length > 0)
      ? EXIT.attention
      : EXIT.done
  })
}

function requireId(id: string): string {
  if (isUuid(id)) return id
  throw new AppError('invalid', '--undo: give the id of a decision, which "glassine storage reconcile" shows')
}

/** What was typed says of which location it is, where several have something to give up. */
async function decide(
  context: CliContext,
  placement: Placement,
  { locations, holdDays }: ReconcileReport,
  { confirm, location, json }: ReconcileOptions & { confirm: string },
): Promise<ExitCode> {
  const offered = locations.filter(({ collect }) => collect !== null)
  const [plan] = offered
  if (plan?.collect == null) {
    const [only] = locations
    const why = location !== undefined && only?.refusal != null ? ` ${refusalText(only.refusal)}` : ''
    throw new AppError('conflict', `there is nothing that can be given up now.${why}`)
  }
  if (offered.length > 1)
    throw new AppError(
      'invalid',
      `--location: several locations have something to give up: ${offered.map(({ locationId }) => locationId).join(', ')}. Name one of them`,
    )
  const { locationId, collect } = plan
  const id = await decideCollection(placement, locationId, { planId: collect.planId, confirm, actor: ACTOR })
  const text = [
    `${amountName(collect)} (${bytes(collect.bytes)}) at ${locationId} will be removed in ${plural(holdDays, 'day')}, by the running server.`,
    `Until then: glassine storage reconcile --undo ${id}`,
  ].join('\n')
  context.print(json ? JSON.stringify({ id, location: locationId, ...collect }, null, 2) : text)
  return EXIT.done
}

export function describeReconcile(report: ReconcileReport, style: Style, now: Date): string {
  const parts = report.locations.map((plan) => describePlan(plan, report, style))
  const decisions = report.collections.map((one) => describeCollection(one, style, now))
  if (decisions.length > 0) parts.push([style.bold('Decisions'), ...decisions].join('\n'))
  return parts.join('\n\n')
}

function describePlan(plan: CollectionPlan, { holdDays }: ReconcileReport, style: Style): string {
  const { locationId, label, rowsWithoutBytes: rows, groups, foreign, uploadsError, refusal, collect } = plan
  const lines = [`${style.bold(locationId)}  ${style.dim(label)}`]
  if (rows.count > 0)
    lines.push(
      style.red(
        `▨  ${plural(rows.count, 'file')} (${bytes(rows.bytes)}) missing or changed there; ` +
          `${rows.withoutCopy === 0 ? 'all of them have another copy' : `${rows.withoutCopy} have no other copy`}`,
      ),
    )
  if (hasStrays(plan)) lines.push('Files there that belong to nothing:')
  else if (refusal !== 'never-listed') lines.push('Nothing lies there that Glassine does not know.')
  lines.push(
    ...columns(
      groups.map((group) => [
        `  ${groupName(group)}`,
        group.what === 'upload' ? '' : bytes(group.bytes),
        `since ${group.oldest.slice(0, 10)}`,
        style.dim(groupFate(group)),
      ]),
      [1],
    ),
  )
  if (foreign.count > 0)
    lines.push(
      `  ${plural(foreign.count, 'file')} (${bytes(foreign.bytes)}) with names that are not Glassine's: they always stay`,
    )
  if (uploadsError !== null) lines.push(style.dim(`  Unfinished uploads are not known: ${uploadsError}`))
  if (refusal !== null) lines.push(...wrap(`Nothing can be given up now. ${refusalText(refusal)}`, WIDTH))
  if (collect !== null)
    lines.push(
      `To give up ${amountName(collect)} (${bytes(collect.bytes)}), ${plural(holdDays, 'day')} from now:`,
      `    glassine storage reconcile --location ${locationId} --confirm "${collect.confirm}"`,
    )
  return lines.join('\n')
}

const DAY_MS = 24 * 3_600_000

function describeCollection(one: CollectionStatus, style: Style, now: Date): string {
  const leftDays = Math.max(1, Math.ceil((new Date(one.collectAfter).getTime() - now.getTime()) / DAY_MS))
  const kept = keptText(one)
  const what = `${amountName(one)} (${bytes(one.bytes)}) at ${one.locationId}`
  const done = `${one.removed} removed${kept === '' ? '' : `; ${kept}`}`
  const states: Readonly<Record<CollectionStatus['state'], string>> = {
    held: `${what}: will be removed in ${plural(leftDays, 'day')}`,
    running: `${what}: ${done}; ${one.waiting} to go`,
    done: `${what}: ${done}`,
    undone: `${what}: undone; ${done}`,
  }
  const lines = [`  ${one.id}  ${states[one.state]}`]
  for (const { reason, count, until } of one.postponed)
    lines.push(`    ${count} ${postponedText(reason)}, looked at again ${until.slice(0, 10)}`)
  if (one.error !== null) lines.push(style.amber(`    waits: ${one.error}`))
  return lines.join('\n')
}
