/** An administrator's decision in a conflict: this ledger takes the location's counter over. */
import { randomUUID } from 'node:crypto'
import { AppError } from '../../../errors.ts'
import { isStorageError } from '../../../storage/backend.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { commitNext } from './advance.ts'
import { holderFor } from './moved-installation.ts'
import { assertPlace, judgeCounter, loadCounter, markerOf, readHeld, readMarker } from './record.ts'

/**
 * An administrator's decision: this ledger goes on with the location. Another installation that advanced the
 * counter finds ours there at its next comparison, and stops. The conflict stays noted until `endConflict`.
 * @throws AppError conflict where it is another place, or nothing is in conflict; `unavailable` where
 * somebody advanced it just now
 */
export async function takeCounter(placement: Placement, location: Location): Promise<void> {
  const { db } = placement
  const row = await loadCounter(placement, location.id)
  if (row?.conflict == null)
    throw new AppError('conflict', `${location.label} has no other ledger: there is nothing to take over`)
  await takeMarker(placement, location)
  const marker = await markerOf(placement, location.id)
  const held = await readHeld(location)
  await assertPlace(location, marker, held, true)
  const token = randomUUID()
  const value = Math.max(row.value, held?.value ?? 0) + 1
  // One ahead of both, so that neither takes it for its own next step.
  await db
    .updateTable('location_counter')
    .set({
      value,
      token: randomUUID(),
      next_token: token,
      next_holder: holderFor(placement, location),
      version: null,
    })
    .where('location_id', '=', location.id)
    .execute()
  const text = JSON.stringify({ marker, value: value + 1, token })
  let version: string
  try {
    version = await location.backend.writeCounter(text, held?.version ?? null)
  } catch (error) {
    if (!isStorageError(error, 'already-exists')) throw error
    throw new AppError(
      'unavailable',
      `another server writes to ${location.label} right now: stop it, then try again`,
    )
  }
  await commitNext(placement, location.id, value, { token, version, agoMs: 0 })
}

/**
 * This database is older than the location, and never knew its marker: from now on it is the one that is
 * there.
 */
async function takeMarker({ db }: Placement, location: Location): Promise<void> {
  const row = await db
    .selectFrom('location')
    .select('marker')
    .where('id', '=', location.id)
    .executeTakeFirst()
  if (row?.marker !== null) return
  await db
    .updateTable('location')
    .set({ marker: await readMarker(location), identity: location.identity })
    .where('id', '=', location.id)
    .where('marker', 'is', null)
    .execute()
}

/**
 * Whether the location holds what this ledger put there last, also while a conflict is noted. @throws
 * AppError conflict: another place
 */
export async function holdsOurCounter(placement: Placement, location: Location): Promise<boolean> {
  const row = await loadCounter(placement, location.id)
  const held = await readHeld(location)
  await assertPlace(location, await markerOf(placement, location.id), held, false)
  return judgeCounter(row, held) === 'own'
}

/** @throws AppError conflict */
export async function assertOwnCounter(placement: Placement, location: Location): Promise<void> {
  if (await holdsOurCounter(placement, location)) return
  throw new AppError(
    'conflict',
    `another server goes on writing to ${location.label}: stop it, then take over what is there once more`,
  )
}
