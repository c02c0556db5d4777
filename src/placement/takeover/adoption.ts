/**
 * An adoption as the ledger keeps it: begun by an administrator, gone on with by a job, and told to people.
 */
import type { UpdateObject } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import { enqueue } from '../../queue/enqueue.ts'
import { wakeJobs } from '../../queue/wake.ts'
import type { Amount } from '../ledger/objects.ts'
import { whyReadOnly } from '../location.ts'
import { holdsOurCounter, takeCounter } from '../locations/counter/take.ts'
import { adoptProbe, locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

/**
 * `held`: all that is listed. `confirmed`: as the ledger says. `adopted`: right bytes that the ledger did not
 * count. `missing`: the ledger counted them, and they are not there. `wrong`: other bytes than the ledger
 * says. `unknown`: of no file that the ledger knows; they stay. `toRead`: of these, what has to be read to be
 * told; where a takeover is done, by the sweep, and until then its ETag alone speaks against it.
 */
export type AdoptionReport = Record<
  'held' | 'confirmed' | 'adopted' | 'missing' | 'wrong' | 'unknown' | 'toRead',
  Amount
>

export type Adoption = {
  state: 'running' | 'done'
  report: AdoptionReport
  startedAt: Date
  finishedAt: Date | null
}

export type AdoptionOptions = {
  signal?: AbortSignal | undefined
  onProgress?: ((report: AdoptionReport) => void) | undefined
}

export function emptyReport(): AdoptionReport {
  const none = (): Amount => ({ count: 0, bytes: 0 })
  return {
    held: none(),
    confirmed: none(),
    adopted: none(),
    missing: none(),
    wrong: none(),
    unknown: none(),
    toRead: none(),
  }
}

export function add(amount: Amount, bytes: number): void {
  amount.count += 1
  amount.bytes += bytes
}

/**
 * Takes the location's counter over and has a job do the rest. Called again while that runs, it changes
 * nothing, unless another server has taken the counter back meanwhile: then it begins anew.
 * @throws AppError conflict where the place is another one, or nothing is in conflict there
 */
export async function beginAdoption(placement: Placement, locationId: string, actor: string): Promise<void> {
  const location = locationOf(placement, locationId)
  if (location.isReadOnly)
    throw new AppError('conflict', `it can't be taken over: ${location.label} ${whyReadOnly(location)}`)
  const running = await adoptionOf(placement, locationId)
  const goesOn = running?.state === 'running' && (await holdsOurCounter(placement, location))
  if (!goesOn) {
    // The probe's answers are not in use here yet; with them the counter is compared and replaced at once.
    await adoptProbe(placement, location)
    await takeCounter(placement, location)
  }
  await placement.db.transaction().execute(async (tx) => {
    const fresh = {
      state: 'running' as const,
      actor,
      after_key: '',
      report: JSON.stringify(emptyReport()),
      started_at: placement.now(),
      finished_at: null,
    }
    await tx
      .insertInto('adoption')
      .values({ location_id: locationId, ...fresh })
      .onConflict((clash) => (goesOn ? clash.doNothing() : clash.column('location_id').doUpdateSet(fresh)))
      .execute()
    await enqueue(tx, 'adopt-location', { locationId }, { onlyIfNone: true })
  })
  // It may wait in its back-off, for it has failed when the other server took over.
  await wakeJobs(placement.db, ['adopt-location'])
}

/** The last one of the location; null: there was none. */
export async function adoptionOf(
  placement: Pick<Placement, 'db'>,
  locationId: string,
): Promise<Adoption | null> {
  const row = await placement.db
    .selectFrom('adoption')
    .selectAll()
    .where('location_id', '=', locationId)
    .executeTakeFirst()
  if (!row) return null
  const { state, report, started_at: startedAt, finished_at: finishedAt } = row
  return { state, report: report as AdoptionReport, startedAt, finishedAt }
}

/**
 * @throws AppError unavailable where it was begun anew meanwhile: what was looked at before may have changed
 */
export async function noteProgress(
  db: Queryable,
  { locationId, startedAt }: { locationId: string; startedAt: Date },
  progress: UpdateObject<Schema, 'adoption'>,
): Promise<void> {
  const noted = await db
    .updateTable('adoption')
    .set(progress)
    .where('location_id', '=', locationId)
    .where('started_at', '=', startedAt)
    .executeTakeFirst()
  if (noted.numUpdatedRows !== 1n)
    throw new AppError('unavailable', `the adoption of ${locationId} was begun anew`)
}
