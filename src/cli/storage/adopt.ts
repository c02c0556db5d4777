import { setTimeout as sleep } from 'node:timers/promises'
import type { CounterConflict } from '../../database/schema.ts'
import { isAppError } from '../../errors.ts'
import { adoptionRows, mayBeAnOriginals, WHAT_HAPPENED } from '../../library/server/words/adoption-words.ts'
import { count, plural } from '../../library/words.ts'
import type { Location } from '../../placement/location.ts'
import { lookAtLocation, requireLocation } from '../../placement/locations/locations.ts'
import type { Placement } from '../../placement/placement.ts'
import {
  type Adoption,
  type AdoptionReport,
  adoptionOf,
  beginAdoption,
} from '../../placement/takeover/adoption.ts'
import { type LedgerStatus, ledgerStatuses } from '../../placement/takeover/ledger-status.ts'
import { planAdoption } from '../../placement/takeover/plan-adoption.ts'
import { lastErrorOf } from '../../queue/find-jobs.ts'
import { QUEUES } from '../../queue/queue-names.ts'
import { queueCounts } from '../../queue/queues.ts'
import { livesAnyWorker } from '../../queue/worker/heartbeat.ts'
import { type CliContext, EXIT, type ExitCode, type StartWork } from '../context.ts'
import { bytes, columns, type Style, wrap } from '../text.ts'

export type AdoptOptions = { yes?: boolean; json?: boolean }

const LOOK_INTERVAL_MS = 500
const WIDTH = 110

/**
 * What taking over a location would mean that another ledger has used; with `--yes`, has it done and shows
 * how far it has come. The running server does it, or, where none runs, this process. Ending the command does
 * not end it.
 */
export async function adoptFromCli(
  context: CliContext,
  locationId: string,
  options: AdoptOptions,
): Promise<ExitCode> {
  return context.withWorker(async (placement, work) => {
    const location = requireLocation(placement, locationId)
    const { conflict, adoption } = await standingOf(placement, location)
    if (conflict === null) {
      const nothing = `${location.label} was used by no other database: there is nothing to take over.`
      context.print(options.json ? JSON.stringify({ location: locationId, conflict }, null, 2) : nothing)
      return EXIT.done
    }
    if (options.yes) {
      await beginAdoption(placement, locationId, 'cli')
      return follow(context, placement, { location, work, isJson: options.json === true })
    }
    if (adoption?.state === 'running') {
      const running = `${locationId} is being taken over: ${progressOf(adoption.report)}. With --yes, this command shows its progress.`
      context.print(
        options.json ? JSON.stringify({ location: locationId, conflict, adoption }, null, 2) : running,
      )
      return EXIT.attention
    }
    const onProgress = (report: AdoptionReport) =>
      context.progress(`counting what ${locationId} holds: ${progressOf(report)}`)
    const plan = await planAdoption(placement, locationId, { onProgress })
    context.progress('')
    context.print(
      options.json
        ? JSON.stringify({ location: locationId, conflict, plan }, null, 2)
        : describePlan(location, conflict, plan, context.style),
    )
    return EXIT.attention
  })
}

/**
 * Looks itself where nothing is noted: it may be that no server runs, and that the places were too slow for
 * the start.
 */
async function standingOf(placement: Placement, location: Location): Promise<LedgerStatus> {
  const noted = (await ledgerStatuses(placement)).get(location.id)!
  if (noted.conflict !== null) return noted
  try {
    await lookAtLocation(placement, location)
    return noted
  } catch (error) {
    if (!isAppError(error, 'conflict') || error.details?.ledger === undefined) throw error
    return (await ledgerStatuses(placement)).get(location.id)!
  }
}

async function follow(
  context: CliContext,
  placement: Placement,
  { location, work, isJson }: { location: Location; work: StartWork; isJson: boolean },
): Promise<ExitCode> {
  const interrupted = context.untilInterrupted()
  let isOurs = false
  for (;;) {
    const adoption = await adoptionOf(placement, location.id)
    if (adoption?.state === 'done') {
      context.progress('')
      const { report, startedAt, finishedAt } = adoption
      const told = { location: location.id, report, startedAt, finishedAt }
      context.print(
        isJson ? JSON.stringify(told, null, 2) : describeAdoption(location, adoption, context.style),
      )
      return report.missing.count + report.wrong.count > 0 ? EXIT.attention : EXIT.done
    }
    if (!isOurs && !(await livesAnyWorker(placement.db))) {
      await work(['adopt-location'])
      isOurs = true
    }
    if (interrupted.aborted) {
      context.progress('')
      const when = isOurs ? 'when the server starts, or with this command' : 'in the server'
      context.print(`Taking over ${location.id} is not finished: it continues ${when}.`)
      return EXIT.attention
    }
    const what = adoption === null ? 'begins' : progressOf(adoption.report)
    context.progress(`taking over ${location.id}: ${what}${await whatHinders(placement, location)}`)
    await sleep(LOOK_INTERVAL_MS, undefined, { signal: interrupted }).catch((error: Error) => {
      if (!interrupted.aborted) throw error
    })
  }
}

/** A try that failed is repeated by itself, and a paused queue goes on when somebody says so. */
async function whatHinders({ db }: Placement, { id }: Location): Promise<string> {
  const queue = 'maintenance'
  if ((await queueCounts(db))[queue].isPaused) return `; its queue (${QUEUES[queue].label}) is paused`
  const error = await lastErrorOf(db, 'adopt-location', { locationId: id })
  return error === null ? '' : `; tried again: ${error}`
}

function progressOf({ held }: AdoptionReport): string {
  return `${plural(held.count, 'file')} looked at (${bytes(held.bytes)})`
}

export function describePlan(
  location: Pick<Location, 'id' | 'label' | 'kind' | 'isDemonstration'>,
  conflict: CounterConflict,
  plan: AdoptionReport,
  style: Style,
): string {
  const { id, label } = location
  const first = `${label}: ${WHAT_HAPPENED[conflict]}`
  return [
    ...wrap(first, WIDTH).map((line) => style.bold(line)),
    'Nothing is written or removed there until you decide. Photos can still be looked at.',
    '',
    ...amounts(plan, 'plan', style),
    '',
    'If this installation should continue with what is there:',
    `    glassine storage adopt ${id} --yes`,
    'Nothing there is removed by that, and nothing is overwritten.',
    '',
    ...otherWay(location, conflict),
  ].join('\n')
}

function otherWay(
  location: Pick<Location, 'id' | 'kind' | 'isDemonstration'>,
  conflict: CounterConflict,
): string[] {
  if (!mayBeAnOriginals(location, conflict))
    return [
      'If the database and this location do not belong together: stop the server, restore the one that fits, start again.',
      'Nothing has been changed yet.',
    ]
  return [
    'If this is a copy of an installation that goes on, do not do that. Write another prefix into its glassine.yaml:',
    '    storage: { s3: { prefix: copy/ } }',
    'Then run:',
    `    npx glassine storage use-as-copy ${location.id} --yes`,
  ]
}

export function describeAdoption(
  { id, label }: Pick<Location, 'id' | 'label'>,
  { report }: Pick<Adoption, 'report'>,
  style: Style,
): string {
  const lines = [
    `${style.bold(`${id} is taken over. It belongs to this database again.`)}  ${style.dim(label)}`,
    '',
    ...amounts(report, 'result', style),
  ]
  if (report.missing.count + report.wrong.count > 0)
    lines.push(
      '',
      'Run glassine storage status to see whether there are other copies of what is missing or wrong.',
    )
  return lines.join('\n')
}

/** One line for each kind that is not empty. */
function amounts(report: AdoptionReport, what: 'plan' | 'result', style: Style): string[] {
  const table = adoptionRows(report, what).map(({ key, label, meaning, isBad }) => {
    const line = [label, count(report[key].count), bytes(report[key].bytes), style.dim(meaning)]
    return isBad ? line.map(style.amber) : line
  })
  return columns([['', 'files', 'size', ''].map(style.dim), ...table], [1, 2])
}
