/** A worker of a campaign: does one object after the other until nothing is left, or somebody stops it. */
import { sql } from 'kysely'
import { isAppError } from '../../errors.ts'
import { laterInMs, RetryLater } from '../../queue/retry-later.ts'
import { isStorageError } from '../../storage/backend.ts'
import { applyDrains } from '../locations/drains.ts'
import type { Placement } from '../placement.ts'
import { assignAsBefore, keepBoth } from './assignments.ts'
import { waitForHoursMs } from './campaign-hours.ts'
import { type Campaign, loadCampaign } from './campaign-rows.ts'
import { checkNext } from './check-objects.ts'
import { type Claimed, claimNext, postpone, renewClaim } from './claims.ts'
import { reclaimObject, returnObject, returnOrReclaim } from './end-object.ts'
import { endPhase } from './end-phase.ts'
import { type Moved, moveObject, rehearseObject, type Step } from './move-object.ts'
import type { CampaignObjectState } from './object-states.ts'
import { isRunning, type Phase } from './phases.ts'
import { chooseSamples } from './samples.ts'
import { type Reach, scanNext } from './selection.ts'

/** Another worker is at the last ones. */
const LOOK_AGAIN_MS = 2_000
/** A place that is away is tried so many times for one object, then the object counts as failed. */
const MOST_ATTEMPTS = 4
/** So many failures one after the other have a cause that all objects share: it stops, and says so. */
const MOST_FAILURES = 10
const LONGEST_WAIT_MS = 24 * 3_600_000

type Work = {
  from: CampaignObjectState | null
  working: CampaignObjectState
  onlySamples?: boolean
  run(step: Step): Promise<Moved>
}
const withoutCopy = (run: (step: Step) => Promise<void>) => async (step: Step) => {
  await run(step)
  return { bytes: 0 }
}
/** In their order: what another phase has left is ended first. */
const WORK: Partial<Record<Phase, readonly Work[]>> = {
  rehearsing: [
    { from: null, working: 'returning', onlySamples: true, run: rehearseObject },
    { from: 'pending', working: 'moving', onlySamples: true, run: rehearseObject },
  ],
  copying: [{ from: 'pending', working: 'moving', run: moveObject }],
  reclaiming: [{ from: 'held', working: 'reclaiming', run: withoutCopy(reclaimObject) }],
  'rolling-back': [
    { from: null, working: 'reclaiming', run: withoutCopy(returnOrReclaim) },
    { from: 'moving', working: 'returning', run: withoutCopy(returnObject) },
    { from: 'held', working: 'returning', run: withoutCopy(returnObject) },
  ],
}

/**
 * Works at the campaign until its phase has ended, it is paused, or the signal comes. `worker`: the number
 * of this one; the first one also looks through the ledger. Any of them may be killed at any moment.
 * @throws RetryLater where it is to go on later
 */
export async function runCampaign(
  placement: Placement,
  { campaignId, worker }: { campaignId: string; worker: number },
  reach: Reach,
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: () => Promise<void> } = {},
): Promise<void> {
  await applyDrains(placement)
  for (;;) {
    if (signal?.aborted) throw new RetryLater('the worker stops', 0)
    const campaign = await loadCampaign(placement.db, campaignId)
    if (!placement.settings.campaigns || campaign.pausedAt !== null || !isRunning(campaign.phase)) return
    if (worker >= campaign.workers) return
    const waitMs = waitForHoursMs(campaign.hours, placement.now())
    if (waitMs > 0) throw new RetryLater('the hours of the campaign have not begun', waitMs)
    const isDone = await workOnce(placement, campaign, { worker, reach, signal })
    await onProgress?.()
    if (!isDone) continue
    // Whoever comes last ends the phase; the first one alone comes back for what has to wait.
    if (worker > 0 && campaign.phase === 'checking') return
    if (worker > 0 && campaign.phase === 'rehearsing' && !campaign.isSampled) return
    const dueInMs = await endPhase(placement, campaign, WORK[campaign.phase] ?? [])
    if (dueInMs !== null && worker > 0) return
    if (dueInMs !== null) {
      const delayMs = Math.min(Math.max(dueInMs, LOOK_AGAIN_MS), LONGEST_WAIT_MS)
      throw new RetryLater('objects of the campaign wait', delayMs)
    }
  }
}

/** @returns true: nothing is left that this worker could do now */
async function workOnce(
  placement: Placement,
  campaign: Campaign,
  { worker, reach, signal }: { worker: number; reach: Reach; signal: AbortSignal | undefined },
): Promise<boolean> {
  if (campaign.phase === 'checking') {
    if (worker > 0) return true
    if (!campaign.isScanned) {
      await scanNext(placement, campaign, reach)
      return false
    }
    return !(await checkNext(placement, campaign)).isMore
  }
  if (campaign.phase === 'rehearsing' && !campaign.isSampled) {
    if (worker > 0) return true
    await chooseSamples(placement, campaign)
    return false
  }
  for (const work of WORK[campaign.phase] ?? []) {
    const claimed = await claim(placement, campaign, work)
    if (claimed === 'other') return false
    if (claimed === null) continue
    await doOne({ placement, campaign, claimed, signal }, work)
    return false
  }
  return true
}

/** `other`: the next one is another campaign's, and was noted so. */
async function claim(
  placement: Placement,
  campaign: Campaign,
  work: Work,
): Promise<Claimed | 'other' | null> {
  const { db, settings } = placement
  try {
    return await claimNext(db, campaign, { ...work, leaseMs: settings.writeLeaseMs })
  } catch (error) {
    if ((error as { code?: string; constraint?: string }).constraint !== 'campaign_object_open') throw error
    await sql`
      update campaign_object c set state = 'unfit', cause = 'in-another-campaign'
      where campaign_id = ${campaign.id}::uuid and state = 'pending' and exists (
        select from campaign_object other where other.object_id = c.object_id and other.campaign_id <> c.campaign_id
          and other.state in ('moving', 'held', 'reclaiming', 'returning', 'kept'))`.execute(db)
    return 'other'
  }
}

/** With its claim kept alive; every failure is the object's own, and noted with it. */
async function doOne(step: Step, work: Work): Promise<void> {
  const { placement, campaign, claimed } = step
  const { db, settings } = placement
  const lost = new AbortController()
  const signal = step.signal ? AbortSignal.any([step.signal, lost.signal]) : lost.signal
  const renewal = setInterval(() => {
    renewClaim(db, claimed, settings.writeLeaseMs).then(
      (isOurs) => isOurs || lost.abort(new RetryLater('another worker has taken the object over', 1_000)),
      (error: Error) => placement.log.warn({ error: error.message }, 'a claim could not be renewed'),
    )
  }, settings.writeLeaseMs / 4)
  const beganAt = performance.now()
  try {
    const moved = await work.run({ ...step, signal })
    await noteSuccess(campaign, placement, moved, performance.now() - beganAt)
  } catch (error) {
    if (lost.signal.aborted) return
    await noteFailure(step, error as Error)
  } finally {
    clearInterval(renewal)
  }
}

async function noteSuccess(
  { id, phase, failuresInARow }: Campaign,
  { db }: Placement,
  { bytes }: Moved,
  tookMs: number,
): Promise<void> {
  const isSample = phase === 'rehearsing' && bytes > 0
  if (failuresInARow === 0 && !isSample) return
  await sql`update campaign set failures_in_a_row = 0,
      sample_bytes = sample_bytes + ${isSample ? bytes : 0}, sample_ms = sample_ms + ${isSample ? Math.ceil(tookMs) : 0}
    where id = ${id}::uuid`.execute(db)
}

async function noteFailure({ placement, campaign, claimed, signal }: Step, error: Error): Promise<void> {
  const { db } = placement
  if (signal?.aborted) return postpone(db, claimed, campaign, 0, { error: 'the worker stopped' })
  const laterMs = laterInMs(error)
  if (laterMs !== null)
    return postpone(db, claimed, campaign, Math.min(laterMs, LONGEST_WAIT_MS), { error: error.message })
  // Not of storage: a mistake of ours, or the database is away. The claim ends by itself.
  if (!isAppError(error) && !isStorageError(error)) throw error
  const cause = isAppError(error) ? error.code : error.kind
  placement.log.warn(
    { campaign: campaign.id, objectId: claimed.objectId, cause, error: error.message },
    'an object of a campaign failed',
  )
  const mayPass = cause === 'unavailable' || cause === 'storage-full'
  if (mayPass && claimed.attempts < MOST_ATTEMPTS)
    await postpone(db, claimed, campaign, 1_000 * 4 ** claimed.attempts, {
      error: error.message,
      isAttempt: true,
    })
  else await giveUp({ placement, campaign, claimed }, { cause, error: error.message })
  await stopWhereAllFail(placement, campaign, cause)
}

async function giveUp(
  { placement, campaign, claimed }: Step,
  why: { cause: string; error: string },
): Promise<void> {
  const { rows } = await sql<Claimed>`
    select state, is_assigned as "isAssigned", before_ids as "beforeIds", before_at as "beforeAt",
      belonged_at as "belongedAt", made_ids as "madeIds"
    from campaign_object where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid`.execute(placement.db)
  const now = rows[0]
  if (!now) return
  const current = { ...claimed, ...now }
  const isRehearsal = campaign.phase === 'rehearsing'
  if (now.state === 'reclaiming' || (now.state === 'returning' && !isRehearsal))
    return keepBoth(placement, campaign, current, why)
  if (now.state === 'moving' || now.state === 'returning')
    await assignAsBefore(placement, current, { move: 'fail', ...why })
}

/** A target that is full, or that may not be written to any more, must not fail a million objects. */
async function stopWhereAllFail(placement: Placement, { id }: Campaign, cause: string): Promise<void> {
  await sql`update campaign set failures_in_a_row = failures_in_a_row + 1,
      paused_at = case when failures_in_a_row + 1 >= ${MOST_FAILURES} then coalesce(paused_at, now()) else paused_at end,
      paused_why = case when failures_in_a_row + 1 >= ${MOST_FAILURES} then ${cause} else paused_why end
    where id = ${id}::uuid`.execute(placement.db)
}
