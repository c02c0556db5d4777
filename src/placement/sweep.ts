/**
 * What fell through: writers that died, evictions and purges cut short, ingests that never became part of the library,
 * objects that are not where they belong and have no job, staged files that nobody came back for. Only ever acts on rows
 * and files old enough that no living process can be at work on them.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { enqueue } from '../queue/enqueue.ts'
import { abandonWriting } from './abandon.ts'
import { knownKey } from './keys.ts'
import type { Placement } from './placement.ts'
import { discardObject } from './purge.ts'
import { settle } from './settle.ts'
import { stagingFolder } from './stage.ts'

/**
 * An ingest takes milliseconds, and while its bytes are written it holds a lease. One that comes back to life after all
 * finds its replica gone, fails, and its client sends the file again.
 */
const UNLINKED_AGE_MS = 5 * 60_000
const BATCH = 500

export type SweepReport = {
  abandonedWrites: number
  resumedEvictions: number
  discardedObjects: number
  settledObjects: number
  stagedFiles: number
  expiredLeases: number
}

/** Runs every few minutes; safe beside anything else, also beside another sweep. */
export async function sweepPlacement(placement: Placement): Promise<SweepReport> {
  const expiredLeases = await sweepLeases(placement)
  return {
    abandonedWrites: await sweepWriting(placement),
    resumedEvictions: await sweepEvicting(placement),
    discardedObjects: await sweepUnlinked(placement),
    settledObjects: isSettleDue(placement) ? await sweepUnsettled(placement) : 0,
    stagedFiles: await sweepStaging(placement),
    expiredLeases,
  }
}

async function sweepWriting(placement: Placement): Promise<number> {
  const dead = await placement.db
    .selectFrom('replica as r')
    .innerJoin('stored_object as o', 'o.id', 'r.object_id')
    .where('r.state', '=', 'writing')
    .where('r.lease_expires_at', '<', sql<Date>`now()`)
    .where('o.is_linked', '=', true)
    .select(['r.object_id', 'r.location_id', 'r.key'])
    .limit(BATCH)
    .execute()
  let count = 0
  for (const row of dead) {
    const replica = { objectId: row.object_id, locationId: row.location_id, key: knownKey(row.key) }
    count += await tryEach(placement, replica.objectId, 'an abandoned write', async () => {
      await abandonWriting(placement, replica)
      await settle(placement.db, placement, replica.objectId)
    })
  }
  return count
}

async function sweepEvicting(placement: Placement): Promise<number> {
  const rows = await placement.db
    .selectFrom('replica as r')
    .innerJoin('stored_object as o', 'o.id', 'r.object_id')
    .where('r.state', '=', 'evicting')
    .select(['r.object_id', 'r.location_id', 'o.state as object_state'])
    .limit(BATCH)
    .execute()
  let count = 0
  for (const row of rows) {
    const objectId = row.object_id
    if (row.object_state === 'purging') {
      if (await hasJob(placement, `purge:${objectId}`)) continue
      await enqueue(placement.db, 'purge-object', { objectId }, { key: `purge:${objectId}` })
    } else {
      const key = `evict:${objectId}:${row.location_id}`
      if (await hasJob(placement, key)) continue
      await enqueue(placement.db, 'evict-replica', { objectId, from: row.location_id }, { key })
    }
    count += 1
  }
  return count
}

async function sweepUnlinked(placement: Placement): Promise<number> {
  const rows = await placement.db
    .selectFrom('stored_object')
    .select(['id', 'state'])
    .where(({ or, eb }) => or([eb('is_linked', '=', false), eb('state', '=', 'purging')]))
    .where('created_at', '<', new Date(placement.now().getTime() - UNLINKED_AGE_MS))
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
    .limit(BATCH)
    .execute()
  let count = 0
  for (const row of rows) {
    if (row.state === 'purging') {
      if (await hasJob(placement, `purge:${row.id}`)) continue
      await enqueue(placement.db, 'purge-object', { objectId: row.id }, { key: `purge:${row.id}` })
    } else {
      await discardObject(placement, row.id, 'sweep')
    }
    count += 1
  }
  return count
}

function isSettleDue({ settledAt, settings, now }: Placement): boolean {
  return settledAt === null || now().getTime() - settledAt.getTime() >= settings.settleIntervalMs
}

/**
 * Live objects that lack a verified replica where they belong, or have one too many, and no job that will see to it: a
 * policy that changed, a suspect replica to look at again. At most a batch a run, so that a million objects don't become
 * a million jobs at once.
 */
async function sweepUnsettled(placement: Placement): Promise<number> {
  const beganAt = placement.now()
  let count = await sweepSuspects(placement)
  let isComplete = true
  const keepLocal = placement.settings.deleteLocalAfterUpload ? null : placement.local.id
  for (const [kind, wanted] of Object.entries(placement.policy)) {
    const rows = await sql<{ id: string }>`
      select o.id from stored_object o
      where o.kind = ${kind} and o.state = 'live' and o.is_linked
        and (select count(*) from replica r where r.object_id = o.id and r.state = 'verified') > 0
        and (
          (select count(*) from replica r where r.object_id = o.id and r.state = 'verified'
            and r.location_id = any(${[...wanted]}::text[])) < ${wanted.length}
          or exists (select 1 from replica r where r.object_id = o.id and r.state in ('verified', 'suspect')
            and r.location_id <> all(${[...wanted]}::text[]) and r.location_id is distinct from ${keepLocal}
            and r.verified_at < now() - ${placement.settings.holdMs + 60_000} * interval '1 millisecond'))
        and not exists (select 1 from local_lease l where l.object_id = o.id and l.expires_at > now())
        and not exists (select 1 from graphile_worker.jobs j
          where j.key = any (select 'replicate:' || o.id || ':' || w from unnest(${[...wanted]}::text[]) w
            union all select 'evict:' || o.id || ':' || r.location_id from replica r where r.object_id = o.id))
      limit ${BATCH}`.execute(placement.db)
    for (const { id } of rows.rows) {
      await settle(placement.db, placement, id)
      count += 1
    }
    if (rows.rows.length === BATCH) isComplete = false
  }
  if (isComplete) placement.settledAt = beganAt
  return count
}

/** Objects at risk: there is nothing to copy from, but a place that was misread, or was repaired, may hold them after all. */
async function sweepSuspects(placement: Placement): Promise<number> {
  const rows = await placement.db
    .selectFrom('replica as r')
    .innerJoin('stored_object as o', 'o.id', 'r.object_id')
    .where('r.state', '=', 'suspect')
    .where('o.state', '=', 'live')
    .select(['r.object_id', 'r.location_id'])
    .limit(BATCH)
    .execute()
  let count = 0
  for (const { object_id: objectId, location_id: to } of rows) {
    const key = `replicate:${objectId}:${to}`
    if (await hasJob(placement, key)) continue
    await enqueue(placement.db, 'replicate-object', { objectId, to }, { key })
    count += 1
  }
  return count
}

async function sweepLeases(placement: Placement): Promise<number> {
  const expired = await placement.db
    .deleteFrom('local_lease')
    .where('expires_at', '<', sql<Date>`now()`)
    .returning('object_id')
    .execute()
  for (const { object_id } of expired) await settle(placement.db, placement, object_id)
  return expired.length
}

async function sweepStaging(placement: Placement): Promise<number> {
  const folder = stagingFolder(placement)
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  const oldest = placement.now().getTime() - placement.settings.stagingLeaseMs
  let count = 0
  for (const name of names) {
    const path = join(folder, name)
    const found = await stat(path).catch(() => null) // gone meanwhile: its owner was quicker
    if (!found || found.mtimeMs > oldest) continue
    await rm(path, { recursive: true, force: true })
    count += 1
  }
  return count
}

async function hasJob(placement: Placement, key: string): Promise<boolean> {
  const found = await sql`select 1 from graphile_worker.jobs where key = ${key}`.execute(placement.db)
  return found.rows.length > 0
}

/** One object that can't be swept now must not keep the others waiting. */
async function tryEach(
  placement: Placement,
  objectId: string,
  what: string,
  act: () => Promise<void>,
): Promise<number> {
  try {
    await act()
    return 1
  } catch (error) {
    placement.log.warn({ objectId, error: (error as Error).message }, `${what} can't be swept now`)
    return 0
  }
}
