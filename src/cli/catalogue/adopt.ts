import { setTimeout as sleep } from 'node:timers/promises'
import { AppError, isAppError } from '../../errors.ts'
import {
  beginCatalogueAdoption,
  catalogueLocations,
} from '../../library/catalogue/adoption/adopt-catalogue.ts'
import { planCatalogueAdoption } from '../../library/catalogue/adoption/plan-adoption.ts'
import { count, plural } from '../../library/words.ts'
import {
  type CatalogueAdoption,
  type CatalogueReport,
  catalogueAdoption,
  leftOver,
} from '../../placement/catalogue/adoption-state.ts'
import { confirmLocation } from '../../placement/locations/locations.ts'
import type { Placement } from '../../placement/placement.ts'
import { lastErrorOf } from '../../queue/find-jobs.ts'
import { livesAnyWorker } from '../../queue/worker/heartbeat.ts'
import { type CliContext, EXIT, type ExitCode } from '../context.ts'

const LOOK_INTERVAL_MS = 250

export type CatalogueAdoptOptions = { yes?: boolean; trashDeleted?: boolean; json?: boolean }

/**
 * What the catalogues have that this database has not; with `yes`, brings it back. The running server does
 * it, or this process where none runs. Ending the command does not end it.
 */
export async function adoptCatalogueFromCli(
  context: CliContext,
  options: CatalogueAdoptOptions & { isRebuild?: boolean; isFresh?: boolean },
): Promise<ExitCode> {
  return context.withWorker(async (placement, work) => {
    const wait = await whatKeepsUs(placement)
    if (!options.yes) {
      if (wait !== null) throw wait
      const onProgress = (text: string) => context.progress(text)
      const plan = await planCatalogueAdoption({ db: placement.db, placement }, { onProgress })
      context.progress('')
      const text = [
        ...describeReport(plan, 'plan', options),
        '',
        'To bring it back: glassine catalogue adopt --yes',
        'Nothing at a location is changed by that.',
      ].join('\n')
      context.print(options.json ? JSON.stringify(plan, null, 2) : text)
      return EXIT.attention
    }
    await beginCatalogueAdoption(placement.db, {
      isRebuild: options.isRebuild === true,
      // Where the server does it later, people may have used it before.
      isFresh: options.isFresh === true && wait === null,
      trashDeleted: options.trashDeleted === true,
    })
    if (wait !== null && !(await livesAnyWorker(placement.db))) {
      context.print(`${wait.message}\nWhen that is over, the server reads the catalogue: start it.`)
      return EXIT.attention
    }
    const interrupted = context.untilInterrupted()
    let isOurs = false
    for (;;) {
      const adoption = await catalogueAdoption(placement.db)
      if (adoption?.state === 'done') {
        context.progress('')
        const { report } = adoption
        context.print(
          options.json
            ? JSON.stringify(report, null, 2)
            : describeReport(report, 'result', options).join('\n'),
        )
        return needsSomebody(report) ? EXIT.attention : EXIT.done
      }
      if (!isOurs && !(await livesAnyWorker(placement.db))) {
        await work(['adopt-catalogue'])
        isOurs = true
      }
      if (interrupted.aborted) {
        context.progress('')
        const when = isOurs ? 'when the server starts, or with this command' : 'in the server'
        context.print(`It is not finished: it continues ${when}.`)
        return EXIT.attention
      }
      context.progress(`${doing(adoption)}${await whatHinders(placement)}`)
      await sleep(LOOK_INTERVAL_MS, undefined, { signal: interrupted }).catch((error: Error) => {
        if (!interrupted.aborted) throw error
      })
    }
  })
}

const doing = (adoption: CatalogueAdoption | null) => adoption?.doing || 'begins'

async function whatHinders({ db }: Placement): Promise<string> {
  const error = await lastErrorOf(db, 'adopt-catalogue', {})
  return error === null ? '' : `; tried again: ${error}`
}

/** Why a location can't be used now, where that ends by itself. @throws AppError where it does not */
async function whatKeepsUs(placement: Placement): Promise<AppError | null> {
  let wait: AppError | null = null
  for (const location of catalogueLocations(placement))
    try {
      await assertOurs(placement, location)
    } catch (error) {
      if (!isAppError(error, 'unavailable')) throw error
      wait ??= error
    }
  return wait
}

/** What lies at a place of another ledger can't become this one's before somebody has said so. */
async function assertOurs(
  placement: Placement,
  location: Parameters<typeof confirmLocation>[1],
): Promise<void> {
  try {
    await confirmLocation(placement, location)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'conflict') throw error
    throw new AppError(
      'conflict',
      `${error.message}\nTake the location over first: glassine storage adopt ${location.id} --yes`,
      { cause: error },
    )
  }
}

function needsSomebody(report: CatalogueReport): boolean {
  return leftOver(report) > 0
}

export function describeReport(
  report: CatalogueReport,
  what: 'plan' | 'result',
  { trashDeleted = false }: { trashDeleted?: boolean } = {},
): string[] {
  const lines = [
    what === 'plan'
      ? `The catalogue (${plural(report.batches, 'file')}) has what this database has not: ${plural(report.assets, 'asset')}, ${plural(report.users, 'user')} and ${plural(report.albums, 'album')}.`
      : `Brought back: ${plural(report.assets, 'asset')}, ${plural(report.users, 'user')} and ${plural(report.albums, 'album')}.`,
  ]
  if (report.byKeyAlone > 0)
    lines.push(
      `${count(report.byKeyAlone)} of them ${report.byKeyAlone === 1 ? 'is' : 'are'} named by no catalogue: they have the names of their keys, and the dates of their files.`,
    )
  if (report.already > 0)
    lines.push(`${plural(report.already, 'file')} of photos that are there already, as others.`)
  if (report.wrong > 0)
    lines.push(`${plural(report.wrong, 'file')} with other bytes than the catalogue says: not brought back.`)
  if (report.archived > 0)
    lines.push(
      `${plural(report.archived, 'file')} in an archive class: restore them in the console of the provider, then run glassine catalogue adopt --yes.`,
    )
  if (report.unreadable > 0)
    lines.push(
      `${plural(report.unreadable, 'file')} that the location does not give, for which the log says why: correct that, then run glassine catalogue adopt --yes.`,
    )
  if (report.missing > 0)
    lines.push(`${plural(report.missing, 'asset')} of the catalogue whose files are nowhere.`)
  if (report.missingSidecars > 0)
    lines.push(`${plural(report.missingSidecars, 'sidecar')} of the catalogue whose files are nowhere.`)
  if (report.deletedLater > 0)
    lines.push(
      trashDeleted && what === 'result'
        ? `${plural(report.deletedLater, 'asset')} that had been deleted later: ${count(report.trashed)} of them were put into the trash.`
        : `${plural(report.deletedLater, 'asset')} that had been deleted later are kept. To put them into the trash: glassine catalogue adopt --yes --trash-deleted`,
    )
  for (const { location, key, reason } of report.unusable) lines.push(`${location}: ${key}: ${reason}`)
  if (report.refused.count > 0)
    lines.push(
      `${plural(report.refused.count, 'line')} of the catalogue can't be believed, and left out:`,
      ...report.refused.examples.map((example) => `    ${example}`),
    )
  if (what === 'result' && report.users > 0)
    lines.push(
      'Nobody can log in as these users before their passwords are set anew: glassine users list, then glassine users reset-password EMAIL',
    )
  return lines
}
