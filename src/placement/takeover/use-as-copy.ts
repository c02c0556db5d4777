/**
 * This installation is a copy of another one that goes on. It gets a place of its own for what it writes, by
 * its configuration; the bucket of the original stays readable, and nothing is ever written or removed there.
 * What it holds never stands for a copy of ours, so that nothing is given up for it.
 */
import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { addressOfIdentity } from '../../storage/s3/identity.ts'
import type { Amount } from '../ledger/objects.ts'
import { configKeyOf } from '../location.ts'
import { locationOf } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'

/**
 * `readThere`: files that are read from the original's bucket from now on. `writtenTo`: the new place, for
 * people.
 */
export type CopyPlan = { readThere: Amount; writtenTo: string; originalIs: string }

/**
 * What `useAsCopy` would do.
 * @throws AppError invalid with the remedy: the configuration still names the original's place, or it is a
 * disk
 */
export async function planCopy(placement: Placement, locationId: string): Promise<CopyPlan> {
  const location = locationOf(placement, locationId)
  const recorded = await placement.db
    .selectFrom('location')
    .select(['identity', 'marker', 'origin'])
    .where('id', '=', locationId)
    .executeTakeFirst()
  if (recorded?.marker == null)
    throw new AppError('invalid', `${locationId} was never used: there is nothing to leave`)
  if (location.kind === 'disk')
    throw new AppError(
      'invalid',
      `${locationId} is a folder: give the copy a folder of its own (copy it, write its path into ` +
        `${locationId === placement.local.id ? 'storage.local.mediaLocation' : `storage.folders.${locationId}.path`}), ` +
        `then run: glassine storage adopt ${locationId}`,
    )
  if (recorded.identity === location.identity)
    throw new AppError(
      'invalid',
      `the configuration still names ${location.label}: first write another prefix into glassine.yaml, such as ${configKeyOf(locationId)}.prefix: "copy/", ` +
        'then run this again',
    )
  const { rows } = await sql<Amount>`
    select count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes
    from replica r join stored_object o on o.id = r.object_id
    where r.location_id = ${locationId} and r.state in ('verified', 'suspect') and o.state = 'live'`.execute(
    placement.db,
  )
  return { readThere: rows[0]!, writtenTo: location.label, originalIs: recorded.identity }
}

/**
 * Takes effect at the next start of every process. Removes nothing: what was being written there is the
 * original's to know.
 */
export async function useAsCopy(
  placement: Placement,
  locationId: string,
  { region }: { region: string },
): Promise<CopyPlan> {
  const plan = await planCopy(placement, locationId)
  const origin = addressOfIdentity(plan.originalIs, region)
  if (origin === null) throw new AppError('invalid', `${locationId}: its place can't be read from a copy`)
  await placement.db.transaction().execute(async (tx) => {
    await tx
      .updateTable('location')
      .set({ origin: JSON.stringify(origin), is_healthy: null, health_error: null })
      .where('id', '=', locationId)
      .execute()
    for (const table of [
      'unfinished_upload',
      'key_to_clear',
      'class_change',
      'replica_restore',
      'location_counter',
    ] as const)
      await tx.deleteFrom(table).where('location_id', '=', locationId).execute()
    const here = tx.updateTable('replica').where('location_id', '=', locationId)
    await here.where('state', '=', 'evicting').set({ state: 'suspect', actor: ACTOR }).execute()
    await here
      .where('state', '=', 'writing')
      .set({ state: 'evicting', removal: 'nothing-there', actor: ACTOR })
      .execute()
    await tx
      .deleteFrom('replica')
      .where('location_id', '=', locationId)
      .where('state', '=', 'evicting')
      .execute()
  })
  placement.log.info({ location: locationId, ...plan.readThere }, 'this installation is a copy from now on')
  return plan
}

const ACTOR = 'use as copy'
