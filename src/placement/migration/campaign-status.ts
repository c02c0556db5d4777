/** How a campaign stands: all that a page or the command line shows of it. */
import { sql } from 'kysely'
import type { Amount } from '../ledger/objects.ts'
import type { Placement } from '../placement.ts'
import { type Campaign, listCampaigns, loadCampaign } from './campaign-rows.ts'
import { secondsFor } from './estimate.ts'
import type { CampaignObjectState } from './object-states.ts'
import { actionsIn, isRunning, type PhaseAction } from './phases.ts'
import { samplesOf } from './samples.ts'

export type CampaignStatus = Omit<
  Campaign,
  | 'createdAt'
  | 'phaseSince'
  | 'pausedAt'
  | 'holdUntil'
  | 'scannedTo'
  | 'checkedTo'
  | 'isSampled'
  | 'failuresInARow'
> & {
  /** ISO 8601. */
  createdAt: string
  phaseSince: string
  pausedAt: string | null
  /** Until then both copies are kept. */
  holdUntil: string | null
  isRunning: boolean
  /** Besides pause and resume. */
  actions: PhaseAction[]
  states: { [State in CampaignObjectState]?: Amount }
  /** Of the phase that runs; null: none does. */
  progress: {
    doneBytes: number
    totalBytes: number
    bytesPerSecond: number | null
    secondsLeft: number | null
  } | null
  /** How many a rehearsal tries, and has tried. */
  samples: { wanted: number; done: number }
  /** Why objects are unfit, failed or kept; the largest group first. */
  causes: {
    state: CampaignObjectState
    cause: string
    count: number
    bytes: number
    example: string | null
  }[]
  /** What reclaim frees at the old places, and what it keeps. */
  reclaim: { frees: Amount; keeps: Amount }
  /** A campaign in the other direction that was proposed for what it has moved. */
  reverseId: string | null
}

type Group = { state: CampaignObjectState; cause: string | null; count: number; bytes: number }

/** @throws AppError not-found */
export async function campaignStatus(placement: Placement, id: string): Promise<CampaignStatus> {
  return describe(placement, await loadCampaign(placement.db, id))
}

/** The newest first. */
export async function campaignStatuses(placement: Placement): Promise<CampaignStatus[]> {
  const statuses: CampaignStatus[] = []
  for (const campaign of await listCampaigns(placement.db)) statuses.push(await describe(placement, campaign))
  return statuses
}

async function describe({ db }: Placement, campaign: Campaign): Promise<CampaignStatus> {
  const { scannedTo: _s, checkedTo: _c, isSampled: _i, failuresInARow: _f, ...shown } = campaign
  const { rows: groups } = await sql<Group>`
    select state, cause, count(*)::float8 as count, sum(size)::float8 as bytes from campaign_object
    where campaign_id = ${campaign.id}::uuid group by state, cause`.execute(db)
  const { rows } = await sql<{ done: number; seconds: number; reverseId: string | null }>`
    select (select count(*)::float8 from campaign_object
        where campaign_id = ${campaign.id}::uuid and is_sample and rehearsed_at is not null) as done,
      extract(epoch from now() - ${campaign.phaseSince}::timestamptz)::float8 as seconds,
      (select id::text from campaign where reverse_of = ${campaign.id}::uuid order by created_at desc limit 1) as "reverseId"`.execute(
    db,
  )
  const { done, seconds, reverseId } = rows[0]!
  const states: CampaignStatus['states'] = {}
  for (const { state, count, bytes } of groups) {
    const known = states[state] ?? { count: 0, bytes: 0 }
    states[state] = { count: known.count + count, bytes: known.bytes + bytes }
  }
  const all = groups.reduce((sum, { count }) => sum + count, 0)
  return {
    ...shown,
    createdAt: campaign.createdAt.toISOString(),
    phaseSince: campaign.phaseSince.toISOString(),
    pausedAt: campaign.pausedAt?.toISOString() ?? null,
    holdUntil: campaign.holdUntil?.toISOString() ?? null,
    isRunning: isRunning(campaign.phase) && campaign.pausedAt === null,
    actions: actionsIn(campaign.phase),
    states,
    progress: progressOf(campaign, states, seconds),
    samples: { wanted: samplesOf(all), done },
    causes: await causesOf(db, campaign, groups),
    reclaim: { frees: states.held ?? { count: 0, bytes: 0 }, keeps: states.kept ?? { count: 0, bytes: 0 } },
    reverseId,
  }
}

const DONE: { [Phase in Campaign['phase']]?: { done: CampaignObjectState[]; left: CampaignObjectState[] } } =
  {
    copying: { done: ['held'], left: ['pending', 'moving'] },
    reclaiming: { done: ['reclaimed', 'kept'], left: ['held', 'reclaiming'] },
    'rolling-back': { done: ['returned', 'kept'], left: ['moving', 'held', 'reclaiming', 'returning'] },
  }

function progressOf(
  campaign: Campaign,
  states: CampaignStatus['states'],
  seconds: number,
): CampaignStatus['progress'] {
  const of = DONE[campaign.phase]
  if (!of) return null
  const sum = (names: CampaignObjectState[]) =>
    names.reduce((total, name) => total + (states[name]?.bytes ?? 0), 0)
  const doneBytes = sum(of.done)
  const leftBytes = sum(of.left)
  const rate = doneBytes > 0 && seconds > 0 ? doneBytes / seconds : null
  const measured =
    campaign.sampleMs > 0 ? { bytes: campaign.sampleBytes, milliseconds: campaign.sampleMs } : null
  const byRehearsal = campaign.phase === 'copying' ? secondsFor(leftBytes, campaign, measured) : null
  return {
    doneBytes,
    totalBytes: doneBytes + leftBytes,
    bytesPerSecond: rate === null ? null : Math.round(rate),
    secondsLeft: rate === null ? byRehearsal : Math.ceil(leftBytes / rate),
  }
}

async function causesOf(
  db: Placement['db'],
  { id }: Campaign,
  groups: readonly Group[],
): Promise<CampaignStatus['causes']> {
  const causes: CampaignStatus['causes'] = []
  for (const { state, cause, count, bytes } of groups) {
    if (cause === null) continue
    const { rows } = await sql<{ error: string | null }>`
      select error from campaign_object where campaign_id = ${id}::uuid and state = ${state} and cause = ${cause}
      limit 1`.execute(db)
    causes.push({ state, cause, count, bytes, example: rows[0]?.error ?? null })
  }
  return causes.sort((a, b) => b.count - a.count)
}

export type CampaignObject = {
  objectId: string
  kind: string
  size: number
  state: CampaignObjectState
  cause: string | null
  error: string | null
  attempts: number
}

/** One page of the journal, by the objects' ids, from after the one that is named. */
export async function campaignObjects(
  { db }: Placement,
  id: string,
  { state, after, limit }: { state: CampaignObjectState; after: string | null; limit: number },
): Promise<CampaignObject[]> {
  await loadCampaign(db, id)
  const { rows } = await sql<CampaignObject>`
    select object_id as "objectId", kind, size::float8 as size, state, cause, error, attempts from campaign_object
    where campaign_id = ${id}::uuid and state = ${state}
      and object_id > ${after ?? '00000000-0000-0000-0000-000000000000'}::uuid
    order by object_id limit ${limit}`.execute(db)
  return rows
}
