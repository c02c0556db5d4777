/** Looking through all objects for ones that are not where they belong: how files move when `storage.locations` changed. */
import { sql } from 'kysely'
import { enqueue } from '../queue/enqueue.ts'
import type { Placement } from './placement.ts'
import { isReadableNowSql } from './replicas.ts'
import { settle } from './settle.ts'

/** Suspect replicas looked at in one run. */
const SUSPECTS = 500

/**
 * Goes on with the look through all objects where it is due, for as long as there is work and not too many jobs wait for it
 * already; `isMore` when it had to stop for that, or for `signal`. A million objects never become a million jobs at once.
 */
export async function settleAll(
  placement: Placement,
  signal?: AbortSignal,
): Promise<{ count: number; isMore: boolean }> {
  if (placement.settling === null) {
    if (!isSettleDue(placement)) return { count: 0, isMore: false }
    placement.settling = { beganAt: placement.now(), after: null }
  }
  let count = placement.settling.after === null ? await settleSuspects(placement) : 0
  while (placement.settling !== null) {
    if (signal?.aborted || (await movingJobs(placement)) >= placement.settings.settleJobs)
      return { count, isMore: true }
    count += await settleBatch(placement, placement.settling, signal)
  }
  return { count, isMore: false }
}

function isSettleDue({ settledAt, settings, now }: Placement): boolean {
  return settledAt === null || now().getTime() - settledAt.getTime() >= settings.settleIntervalMs
}

/** Jobs that move something and are due, or will be soon; those that wait for the end of a hold are not in the way. */
async function movingJobs(placement: Placement): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from graphile_worker.jobs
    where task_identifier = 'replicate-object'
      or (task_identifier = 'evict-replica' and run_at < now() + interval '1 minute')`.execute(placement.db)
  return rows[0]!.count
}

/**
 * The next live objects, by their ids, that lack a verified replica where they belong, or have one too many, and no job
 * that will see to it.
 */
async function settleBatch(
  placement: Placement,
  settling: { beganAt: Date; after: string | null },
  signal?: AbortSignal,
): Promise<number> {
  const { settings, policy } = placement
  const keepLocal = settings.deleteLocalAfterUpload ? null : placement.local.id
  const homes = Object.entries(policy).map(([kind, wanted]) => ({ kind, wanted }))
  const { rows } = await sql<{ id: string }>`
    select o.id from stored_object o
    join jsonb_to_recordset(${JSON.stringify(homes)}::jsonb) as home (kind text, wanted text[]) on home.kind = o.kind
    where o.id > ${settling.after ?? '00000000-0000-0000-0000-000000000000'}::uuid and o.state = 'live' and o.is_linked
      and exists (select from replica r left join replica_restore a using (object_id, location_id)
        where r.object_id = o.id and r.state = 'verified'
          and ${isReadableNowSql})
      and (
        (select count(*) from replica r where r.object_id = o.id and r.state = 'verified'
          and r.location_id = any(home.wanted)) < cardinality(home.wanted)
        or exists (select from replica r where r.object_id = o.id and r.state in ('verified', 'suspect')
          and r.location_id <> all(home.wanted) and r.location_id is distinct from ${keepLocal}
          and r.verified_at < now() - ${settings.holdMs} * interval '1 millisecond'))
      and not exists (select from local_lease l where l.object_id = o.id and l.expires_at > now())
      and not exists (select from graphile_worker.jobs j
        where j.key = any (select 'replicate:' || o.id || ':' || w from unnest(home.wanted) w
          union all select 'evict:' || o.id || ':' || r.location_id from replica r where r.object_id = o.id))
    order by o.id limit ${settings.settleBatch}`.execute(placement.db)
  for (const [index, { id }] of rows.entries()) {
    if (signal?.aborted) return index
    await settle(placement.db, placement, id)
    settling.after = id
  }
  if (rows.length < settings.settleBatch) {
    placement.settledAt = settling.beganAt
    placement.settling = null
  }
  return rows.length
}

/** Objects at risk: there is nothing to copy from, but a place that was misread, or was repaired, may hold them after all. */
async function settleSuspects(placement: Placement): Promise<number> {
  const { rows } = await sql<{ objectId: string; to: string }>`
    select r.object_id as "objectId", r.location_id as "to" from replica r join stored_object o on o.id = r.object_id
    where r.state = 'suspect' and o.state = 'live'
      and not exists (select from graphile_worker.jobs j
        where j.key = 'replicate:' || r.object_id || ':' || r.location_id)
    limit ${SUSPECTS}`.execute(placement.db)
  for (const { objectId, to } of rows) {
    await enqueue(placement.db, 'replicate-object', { objectId, to }, { key: `replicate:${objectId}:${to}` })
  }
  return rows.length
}
