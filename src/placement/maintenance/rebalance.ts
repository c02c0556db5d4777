/**
 * Looking through all objects for ones that are not where they belong: how files move when
 * `storage.locations` changed.
 */
import { sql } from 'kysely'
import { enqueue } from '../../queue/enqueue.ts'
import { anyJobExists, countJobs, jobExists } from '../../queue/find-jobs.ts'
import { jobKeySql } from '../../queue/job-keys.ts'
import { belongingSql } from '../ledger/belonging-rows.ts'
import { enqueueNextSteps, originalPlaces } from '../ledger/next-steps.ts'
import { isDoubtedSql, isReadableNowSql } from '../ledger/replicas.ts'
import { readOnlyIds } from '../location.ts'
import type { Placement } from '../placement.ts'
import { processState } from '../process-state.ts'

/** Suspect replicas looked at in one run. */
const SUSPECTS = 500
/** Doubted ones, which can be read meanwhile: after a bucket was copied, they are all that it holds. */
const DOUBTED = 2_000
const DOUBTED_BYTES = 32 * 1024 ** 3

/** A look through all objects that is under way: begun when, and come how far. */
type Look = { beganAt: Date; after: string | null }
/**
 * `doneAt`: when the last one that came to its end was begun. `policy`: the one that it looks by;
 * `settlesAt`: when every process works by it, where it has changed in this one.
 */
type State = {
  doneAt: Date | null
  look: Look | null
  policy: Placement['policy'] | null
  settlesAt: Date | null
}
const stateOf = processState<State>(() => ({ doneAt: null, look: null, policy: null, settlesAt: null }))

/**
 * Other processes hear of another policy within two seconds (`watchOutages`), or as soon as they have read
 * their configuration. Until then the steps that they enqueue are those of the old one, so that a second look
 * is needed.
 */
const SETTLES_IN_MS = 10_000

/**
 * Goes on with the look through all objects where it is due, for as long as there is work and not too many
 * jobs wait for it already; `isMore` when it had to stop for that, or for `signal`. A million objects never
 * become a million jobs at once.
 */
export async function rebalance(
  placement: Placement,
  signal?: AbortSignal,
): Promise<{ count: number; isMore: boolean }> {
  const state = stateOf(placement)
  const now = placement.now()
  if (state.policy !== placement.policy) {
    const settlesAt = state.policy === null ? null : new Date(now.getTime() + SETTLES_IN_MS)
    Object.assign(state, { doneAt: null, look: null, policy: placement.policy, settlesAt })
  }
  if (state.look === null) {
    const isSettled = state.settlesAt === null || now >= state.settlesAt
    if (state.doneAt !== null && !isSettled) return { count: 0, isMore: true }
    const isLastLookDue = state.settlesAt !== null && isSettled
    if (isLastLookDue) state.settlesAt = null
    if (!isLastLookDue && !isRebalanceDue(placement)) return { count: 0, isMore: false }
    state.look = { beganAt: placement.now(), after: null }
  }
  let count = 0
  if (state.look.after === null) count += (await retrySuspects(placement)) + (await readDoubted(placement))
  while (state.look !== null) {
    if (signal?.aborted || (await jobsOfMoves(placement)) >= placement.settings.rebalanceJobs)
      return { count, isMore: true }
    count += await rebalanceBatch(placement, state.look, signal)
  }
  return { count, isMore: state.settlesAt !== null }
}

/** As if this process had just started: the next call begins a look through all objects. */
export function rebalanceAnew(placement: Placement): void {
  Object.assign(stateOf(placement), { doneAt: null, look: null })
}

function isRebalanceDue(placement: Placement): boolean {
  const { doneAt } = stateOf(placement)
  const { settings, now } = placement
  // Either way: after a clock went back, it would else not be due for as long.
  return doneAt === null || Math.abs(now().getTime() - doneAt.getTime()) >= settings.rebalanceIntervalMs
}

/**
 * Jobs that move something and are due, or will be soon; those that wait for the end of a hold are not in the
 * way.
 */
async function jobsOfMoves(placement: Placement): Promise<number> {
  return countJobs(placement.db, [
    { name: 'replicate-object' },
    { name: 'evict-replica', dueWithinMs: 60_000 },
  ])
}

/**
 * The next live objects, by their ids, that lack a verified replica where they belong, or have one too many,
 * and no job that will see to it.
 */
async function rebalanceBatch(placement: Placement, look: Look, signal?: AbortSignal): Promise<number> {
  const { settings } = placement
  const keepLocal = settings.deleteLocalAfterUpload ? null : placement.local.id
  const { rows } = await sql<{ id: string }>`
    select o.id from stored_object o
    ${belongingSql(placement)}
    where o.id > ${look.after ?? '00000000-0000-0000-0000-000000000000'}::uuid and o.state = 'live' and o.is_linked
      and exists (select from replica r left join replica_restore a using (object_id, location_id)
        where r.object_id = o.id and r.state = 'verified'
          and ${isReadableNowSql})
      and (
        (select count(*) from replica r where r.object_id = o.id and r.state = 'verified'
          and r.location_id = any(belongs.wanted)) < cardinality(belongs.wanted)
        or exists (select from replica r where r.object_id = o.id and r.state in ('verified', 'suspect')
          and r.location_id <> all(belongs.wanted) and r.location_id is distinct from ${keepLocal}
          and r.location_id <> all(${readOnlyIds(placement)}::text[])
          and r.verified_at < now() - ${settings.holdMs} * interval '1 millisecond'))
      and not exists (select from replica r where r.object_id = o.id and r.state = 'verified'
        and r.location_id = any(${originalPlaces(placement)}::text[]))
      and not exists (select from local_lease l where l.object_id = o.id and l.expires_at > now())
      and not ${anyJobExists(sql`
        select ${jobKeySql('replicate-object', { objectId: sql`o.id`, to: sql`w` })} from unnest(belongs.wanted) w
        union all
        select ${jobKeySql('evict-replica', { objectId: sql`o.id`, from: sql`r.location_id` })} from replica r
          where r.object_id = o.id`)}
    order by o.id limit ${settings.rebalanceBatch}`.execute(placement.db)
  for (const [index, { id }] of rows.entries()) {
    if (signal?.aborted) return index
    await enqueueNextSteps(placement.db, placement, id)
    look.after = id
  }
  if (rows.length < settings.rebalanceBatch) {
    Object.assign(stateOf(placement), { doneAt: look.beganAt, look: null })
  }
  return rows.length
}

/**
 * Objects at risk: there is nothing to copy from, but a place that was misread, or was repaired, may hold
 * them after all. Others each time, so that those which are lost for good keep none from being looked at.
 */
async function retrySuspects(placement: Placement): Promise<number> {
  const { rows } = await sql<{ objectId: string; to: string }>`
    select r.object_id as "objectId", r.location_id as "to" from replica r join stored_object o on o.id = r.object_id
    where r.state = 'suspect' and o.state = 'live'
      and not ${jobExists('replicate-object', { objectId: sql`r.object_id`, to: sql`r.location_id` })}
    order by random() limit ${SUSPECTS}`.execute(placement.db)
  for (const { objectId, to } of rows) await enqueue(placement.db, 'replicate-object', { objectId, to })
  return rows.length
}

/**
 * Has doubted replicas read, so many that a bucket full of them costs no more traffic in an hour than a large
 * upload does. One whose job fails has that until its back-off is over, and is listed among the failures.
 */
async function readDoubted(placement: Placement): Promise<number> {
  const { rows } = await sql<{ objectId: string; to: string }>`
    select "objectId", "to" from (
      select *, sum(size) over (order by place) - size as before from (
        select r.object_id as "objectId", r.location_id as "to", o.size, row_number() over (order by random()) as place
        from replica r join stored_object o on o.id = r.object_id
        left join replica_restore a on a.object_id = r.object_id and a.location_id = r.location_id
        where r.state = 'verified' and ${isDoubtedSql(sql`r`)} and o.state = 'live' and ${isReadableNowSql}
          and not ${jobExists('replicate-object', { objectId: sql`r.object_id`, to: sql`r.location_id` })}
        order by place limit ${DOUBTED}) chosen) counted
    where before < ${DOUBTED_BYTES}`.execute(placement.db)
  for (const { objectId, to } of rows) await enqueue(placement.db, 'replicate-object', { objectId, to })
  return rows.length
}
