/**
 * What fell through: writers that died, evictions and purges cut short, ingests that never became part of the
 * library, objects that are not where they belong and have no job, staged files that nobody came back for.
 * Only ever acts on rows and files old enough that no living process can be at work on them.
 */
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type RawBuilder, sql } from 'kysely'
import { enqueue } from '../../queue/enqueue.ts'
import { hasJob } from '../../queue/find-jobs.ts'
import type { JobName, Jobs } from '../../queue/job-types.ts'
import { finishClassChange } from '../classes/change-class.ts'
import { staleClassChanges } from '../classes/class-changes.ts'
import { knownKey } from '../keys.ts'
import { enqueueNextSteps } from '../ledger/next-steps.ts'
import { readOnlyIds } from '../location.ts'
import { applyDrains } from '../locations/drains.ts'
import { enqueueCampaigns } from '../migration/actions.ts'
import { proposeCampaigns } from '../migration/propose-changes.ts'
import type { Placement } from '../placement.ts'
import { abandonWriting } from '../removal/abandon.ts'
import { clearLateKeys } from '../removal/clear-keys.ts'
import { stagingFolder } from '../uploads/stage.ts'
import { rebalance } from './rebalance.ts'
import { sweepUnfinishedUploads } from './sweep-uploads.ts'
import { findUnlinked, lookAtUnlinked } from './unlinked.ts'

/** Its job is enqueued in the transaction that marks it. */
const PURGING_AGE_MS = 5 * 60_000
/** Rows of a kind in one run. Others each time: those that stay keep none from being looked at. */
const BATCH = 500
const AT_RANDOM = sql`random()`

export type SweepReport = {
  abandonedUploads: number
  abandonedWrites: number
  resumedEvictions: number
  endedClassChanges: number
  discardedObjects: number
  clearedKeys: number
  rebalancedObjects: number
  /** More objects are not where they belong; sweep again soon. */
  isMore: boolean
  stagedFiles: number
  expiredLeases: number
}

/** Runs every few minutes; safe beside anything else, also beside another sweep. */
export async function sweepPlacement(placement: Placement, signal?: AbortSignal): Promise<SweepReport> {
  await applyDrains(placement)
  const expiredLeases = await sweepLeases(placement)
  // Before the objects that they were to become: parts that are completed late must not outlive their row.
  const abandonedUploads = await sweepUnfinishedUploads(placement)
  const abandonedWrites = await sweepWriting(placement, signal)
  const resumedEvictions = await sweepEvicting(placement)
  const endedClassChanges = await sweepClassChanges(placement)
  const discardedObjects = await sweepUnlinked(placement)
  await sweepPurging(placement)
  const clearedKeys = await clearLateKeys(placement)
  const stagedFiles = await sweepStaging(placement)
  await proposeCampaigns(placement)
  await enqueueCampaigns(placement)
  const { count: rebalancedObjects, isMore } = await rebalance(placement, signal)
  return {
    abandonedUploads,
    abandonedWrites,
    resumedEvictions,
    endedClassChanges,
    discardedObjects,
    clearedKeys,
    rebalancedObjects,
    stagedFiles,
    expiredLeases,
    isMore,
  }
}

async function sweepWriting(placement: Placement, signal: AbortSignal | undefined): Promise<number> {
  const dead = await placement.db
    .selectFrom('replica as r')
    .innerJoin('stored_object as o', 'o.id', 'r.object_id')
    .where('r.state', '=', 'writing')
    .where('r.lease_expires_at', '<', sql<Date>`now()`)
    .where('o.is_linked', '=', true)
    .where(isWritable(placement))
    .select(['r.object_id', 'r.location_id', 'r.key', 'r.upload_id'])
    .orderBy(AT_RANDOM)
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
      const result = await abandonWriting(placement, replica, { actor: 'sweep', onlyIfDead: true, signal })
      if (result === 'ended') await enqueueNextSteps(placement.db, placement, replica.objectId)
      return result === 'ended' || result === 'kept'
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
    .orderBy(AT_RANDOM)
    .limit(BATCH)
    .execute()
  let count = 0
  for (const row of rows) {
    const objectId = row.object_id
    const isNew =
      row.object_state === 'purging'
        ? await enqueueUnlessThere(placement, 'purge-object', { objectId })
        : await enqueueUnlessThere(placement, 'evict-replica', { objectId, from: row.location_id })
    if (isNew) count += 1
  }
  return count
}

async function sweepClassChanges(placement: Placement): Promise<number> {
  let count = 0
  for (const change of await staleClassChanges(placement.db, BATCH, readOnlyIds(placement))) {
    count += await tryEach(placement, change.objectId, 'a class change', async () => {
      await finishClassChange(placement, change)
      return true
    })
  }
  return count
}

async function sweepUnlinked(placement: Placement): Promise<number> {
  let count = 0
  for (const objectId of await findUnlinked(placement, BATCH)) {
    count += await tryEach(placement, objectId, 'an object that nothing refers to', async () => {
      await lookAtUnlinked(placement, objectId)
      return true
    })
  }
  return count
}

/** At a read-only place everything stays as it is until that ends. */
function isWritable(placement: Placement): RawBuilder<boolean> {
  return sql<boolean>`r.location_id <> all(${readOnlyIds(placement)}::text[])`
}

/** Purges whose job was lost. Not those of which something is left at read-only places only. */
async function sweepPurging(placement: Placement): Promise<void> {
  const rows = await placement.db
    .selectFrom('stored_object')
    .select('id')
    .where(sql<boolean>`(not exists (select from replica r where r.object_id = stored_object.id)
      or exists (select from replica r where r.object_id = stored_object.id and ${isWritable(placement)}))`)
    .where('state', '=', 'purging')
    .where('created_at', '<', new Date(placement.now().getTime() - PURGING_AGE_MS))
    .orderBy(AT_RANDOM)
    .limit(BATCH)
    .execute()
  for (const { id } of rows) await enqueueUnlessThere(placement, 'purge-object', { objectId: id })
}

async function sweepLeases(placement: Placement): Promise<number> {
  const expired = await placement.db
    .deleteFrom('local_lease')
    .where('expires_at', '<', sql<Date>`now()`)
    .returning('object_id')
    .execute()
  for (const { object_id } of expired) await enqueueNextSteps(placement.db, placement, object_id)
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

/** A job that is there keeps its time and its attempts. */
async function enqueueUnlessThere<Name extends JobName>(
  { db }: Placement,
  name: Name,
  payload: Jobs[Name],
): Promise<boolean> {
  if (await hasJob(db, name, payload)) return false
  await enqueue(db, name, payload)
  return true
}

/**
 * One object that can't be swept now must not keep the others waiting. 1 where `act` did something, 0
 * otherwise.
 */
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
