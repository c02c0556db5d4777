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
import { finishClassChange } from './change-class.ts'
import { staleClassChanges } from './class-changes.ts'
import { clearLateKeys } from './clear-keys.ts'
import { knownKey } from './keys.ts'
import type { Placement } from './placement.ts'
import { discardObject } from './purge.ts'
import { settle } from './settle.ts'
import { settleAll } from './settle-all.ts'
import { stagingFolder } from './stage.ts'
import { sweepUnfinishedUploads } from './sweep-uploads.ts'

/**
 * An ingest takes milliseconds, and while its bytes are written it holds a lease. One that comes back to life after all
 * finds its replica gone, fails, and its client sends the file again.
 */
const UNLINKED_AGE_MS = 5 * 60_000
const BATCH = 500

export type SweepReport = {
  abandonedUploads: number
  abandonedWrites: number
  resumedEvictions: number
  endedClassChanges: number
  discardedObjects: number
  clearedKeys: number
  settledObjects: number
  /** More objects are not where they belong; sweep again soon. */
  isMore: boolean
  stagedFiles: number
  expiredLeases: number
}

/** Runs every few minutes; safe beside anything else, also beside another sweep. */
export async function sweepPlacement(placement: Placement, signal?: AbortSignal): Promise<SweepReport> {
  const expiredLeases = await sweepLeases(placement)
  // Before the objects that they were to become: parts that are completed late must not outlive their row.
  const abandonedUploads = await sweepUnfinishedUploads(placement)
  const abandonedWrites = await sweepWriting(placement)
  const resumedEvictions = await sweepEvicting(placement)
  const endedClassChanges = await sweepClassChanges(placement)
  const discardedObjects = await sweepUnlinked(placement)
  const clearedKeys = await clearLateKeys(placement)
  const stagedFiles = await sweepStaging(placement)
  const { count: settledObjects, isMore } = await settleAll(placement, signal)
  return {
    abandonedUploads,
    abandonedWrites,
    resumedEvictions,
    endedClassChanges,
    discardedObjects,
    clearedKeys,
    settledObjects,
    stagedFiles,
    expiredLeases,
    isMore,
  }
}

async function sweepWriting(placement: Placement): Promise<number> {
  const dead = await placement.db
    .selectFrom('replica as r')
    .innerJoin('stored_object as o', 'o.id', 'r.object_id')
    .where('r.state', '=', 'writing')
    .where('r.lease_expires_at', '<', sql<Date>`now()`)
    .where('o.is_linked', '=', true)
    .select(['r.object_id', 'r.location_id', 'r.key', 'r.upload_id'])
    .limit(BATCH)
    .execute()
  let count = 0
  for (const row of dead) {
    const replica = {
      objectId: row.object_id,
      locationId: row.location_id,
      key: knownKey(row.key),
      uploadId: row.upload_id,
    }
    count += await tryEach(placement, replica.objectId, 'an abandoned write', async () => {
      const isAbandoned = await abandonWriting(placement, replica, { actor: 'sweep', onlyIfDead: true })
      if (isAbandoned) await settle(placement.db, placement, replica.objectId)
      return isAbandoned
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

async function sweepClassChanges(placement: Placement): Promise<number> {
  let count = 0
  for (const change of await staleClassChanges(placement.db, BATCH)) {
    count += await tryEach(placement, change.objectId, 'a class change', async () => {
      await finishClassChange(placement, change)
      return true
    })
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

/** One object that can't be swept now must not keep the others waiting. 1 where `act` did something, 0 otherwise. */
async function tryEach(
  placement: Placement,
  objectId: string,
  what: string,
  act: () => Promise<boolean>,
): Promise<number> {
  try {
    return (await act()) ? 1 : 0
  } catch (error) {
    placement.log.warn({ objectId, error: (error as Error).message }, `${what} can't be swept now`)
    return 0
  }
}
