/**
 * Objects that the library does not refer to, though they are old enough: an upload that was killed before it
 * was acknowledged, as far as this ledger knows. It may be an older snapshot of itself, in which the upload
 * had not ended yet. So right bytes are kept, and shown; they go when the same bytes are safe as another
 * object, which a client that sent its file again has made of them.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { loadObject, lockObjectRow } from '../ledger/replicas.ts'
import { discardEmptyObject, discardObject, markForPurge } from '../lifecycle/purge.ts'
import { knowNoOtherLedger } from '../locations/locations.ts'
import type { Placement } from '../placement.ts'
import { abandonWriting } from '../removal/abandon.ts'
import { hasTwin, standingOf } from '../removal/twins.ts'

/**
 * An ingest takes milliseconds, and while its bytes are written it holds a lease. One that comes back to life
 * after all finds its replica gone, fails, and its client sends the file again.
 */
const UNLINKED_AGE_MS = 5 * 60_000
/** What is kept is looked at again that often: its client may have sent the file again. */
const LOOK_AGAIN_MS = 24 * 3_600_000
/** Made again from the original whenever they are needed. */
const GENERATED: readonly ObjectKind[] = ['thumbnail', 'preview', 'fullsize', 'encoded-video', 'person-face']
const ACTOR = 'sweep'

/** Some that are due, others each time: those that stay, or fail, keep none from being looked at. */
export async function findUnlinked(placement: Placement, limit: number): Promise<string[]> {
  const now = placement.now().getTime()
  const rows = await placement.db
    .selectFrom('stored_object')
    .select('id')
    .where('is_linked', '=', false)
    .where('state', '=', 'live')
    .where('created_at', '<', new Date(now - UNLINKED_AGE_MS))
    .where(({ or, eb }) =>
      or([eb('kept_since', 'is', null), eb('kept_since', '<', new Date(now - LOOK_AGAIN_MS))]),
    )
    .where(({ not }) => not(placement.isAwaited(sql.ref('stored_object.id'))))
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('replica')
            .select('key')
            .whereRef('object_id', '=', 'stored_object.id')
            .where('state', '=', 'writing')
            .where('lease_expires_at', '>', sql<Date>`now()`),
        ),
      ),
    )
    .orderBy(sql`random()`)
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** Ends the object where nothing of it is worth keeping. @throws what a place that is away throws */
export async function lookAtUnlinked(placement: Placement, objectId: string): Promise<void> {
  const loaded = await loadObject(placement.db, objectId)
  if (!loaded) return
  if (GENERATED.includes(loaded.object.kind)) return discardObject(placement, objectId, ACTOR)
  for (const replica of loaded.replicas)
    if (replica.state === 'writing')
      await abandonWriting(placement, replica, { actor: ACTOR, onlyIfDead: true })
  const { replicas } = (await loadObject(placement.db, objectId)) ?? { replicas: [] }
  // Being ended after a look, which is gone on with by itself.
  if (replicas.some(({ state }) => state === 'evicting')) return
  // Nothing of it is anywhere: only the rows are left. In an older ledger they are all that tells what a
  // place that was not taken over yet holds of it.
  if (replicas.length === 0) {
    if (!(await knowNoOtherLedger(placement))) return
    // A key is looked after for a day.
    if ((await discardEmptyObject(placement, objectId)) === 'unsure')
      await noteKept(placement.db, placement.now(), objectId)
    return
  }
  const isTwin = await hasTwin(placement, objectId)
  const isDone = await placement.db.transaction().execute(async (tx) => {
    await lockObjectRow(tx, objectId)
    // The library may have come to refer to it while its twin was looked at.
    if ((await standingOf({ db: tx }, objectId))?.isLinked !== false) return false
    if (isTwin) await markForPurge(tx, [objectId], 'duplicate')
    else await noteKept(tx, placement.now(), objectId)
    return true
  })
  if (!isDone) return
  if (!isTwin)
    placement.log.warn(
      { objectId },
      'a file that belongs to no photo is kept: its upload may have been acknowledged',
    )
}

async function noteKept(db: Queryable, at: Date, objectId: string): Promise<void> {
  await db
    .updateTable('stored_object')
    .set({ kept_since: at })
    .where('id', '=', objectId)
    .where('is_linked', '=', false)
    .execute()
}
