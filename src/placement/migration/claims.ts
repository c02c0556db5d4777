/** The journal of a campaign: who is at which object, and how it ended. */
import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { RetryLater } from '../../queue/retry-later.ts'
import type { Campaign } from './campaign-rows.ts'
import { type CampaignObjectState, OBJECT_MOVES, type ObjectMove } from './object-states.ts'

export type Claimed = {
  campaignId: string
  objectId: string
  size: number
  claim: string
  /** By the database's clock; what was proven since then was proven by this claim. */
  claimedAt: Date
  state: CampaignObjectState
  attempts: number
  isSample: boolean
  isAssigned: boolean
  beforeIds: string[] | null
  beforeAt: Date | null
  belongedAt: string[]
  madeIds: string[]
}

const COLUMNS = sql`
  c.campaign_id as "campaignId", c.object_id as "objectId", c.size::float8 as size, c.claim, now() as "claimedAt",
  c.state, c.attempts, c.is_sample as "isSample", c.is_assigned as "isAssigned", c.before_ids as "beforeIds",
  c.before_at as "beforeAt", c.belonged_at as "belongedAt", c.made_ids as "madeIds"`

/**
 * The next object for this worker: one whose worker died or that was put off, in the state `working`, or else
 * one in `from`, which turns to it. Null: none can be had now, or the campaign is paused or in another phase
 * by now. A lease that ends later than any does was given by a clock that was ahead.
 */
export async function claimNext(
  db: Queryable,
  { id, phase }: Pick<Campaign, 'id' | 'phase'>,
  {
    from,
    working,
    leaseMs,
    onlySamples = false,
  }: {
    from: CampaignObjectState | null
    working: CampaignObjectState
    leaseMs: number
    onlySamples?: boolean
  },
): Promise<Claimed | null> {
  for (const state of [working, ...(from === null ? [] : [from])]) {
    const { rows } = await sql<Claimed>`
      with running as materialized (
        -- Whoever changes the phase waits for this, or comes first.
        select id from campaign where id = ${id}::uuid and phase = ${phase} and paused_at is null for share),
      next as materialized (
        -- Else the planner may ask again for each row, and take several.
        select object_id from campaign_object
        where campaign_id = (select id from running) and state = ${state}
          and (${!onlySamples} or (is_sample and rehearsed_at is null))
          and (not_before is null or not_before <= now() or not_before > now() + interval '25 hours')
          and (lease_expires_at is null or lease_expires_at < now()
            or lease_expires_at > now() + ${leaseMs * 2} * interval '1 millisecond')
        order by object_id limit 1 for update skip locked)
      update campaign_object c set state = ${working}, claim = ${randomUUID()}::uuid, attempts = attempts + 1,
        lease_expires_at = now() + ${leaseMs} * interval '1 millisecond', not_before = null
      from next where c.campaign_id = ${id}::uuid and c.object_id = next.object_id
      returning ${COLUMNS}`.execute(db)
    if (rows[0]) return rows[0]
  }
  return null
}

/** False: somebody has taken it over. */
export async function renewClaim(db: Queryable, claimed: Claimed, leaseMs: number): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update campaign_object set lease_expires_at = now() + ${leaseMs} * interval '1 millisecond'
    where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid`.execute(db)
  return numAffectedRows === 1n
}

/** Holds the claim until the transaction ends. @throws RetryLater where another worker has it by now */
export async function requireClaim(tx: Queryable, claimed: Claimed): Promise<void> {
  const { rows } = await sql`
    select from campaign_object
    where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid for update`.execute(tx)
  if (rows.length === 0) throw takenOver(claimed)
}

export type Noted = {
  cause?: string | null
  error?: string | null
  /** What the campaign notes of the assignment. */
  assigned?: Pick<Claimed, 'beforeIds' | 'beforeAt' | 'belongedAt' | 'madeIds'> | null
  isRehearsed?: boolean
}

/**
 * Ends the claim with a move. In the caller's transaction, with what the move is about. @throws RetryLater
 * where another worker has taken the object over
 */
export async function endClaim(
  tx: Queryable,
  claimed: Claimed,
  move: ObjectMove,
  { cause = null, error = null, assigned, isRehearsed = false }: Noted = {},
): Promise<void> {
  const { from, to } = OBJECT_MOVES[move]
  const { numAffectedRows } = await sql`
    update campaign_object set state = ${to}, cause = ${cause}, error = ${error}, claim = null,
      lease_expires_at = null, not_before = null,
      attempts = case when ${to} in ('held', 'pending', 'kept') then 0 else attempts end,
      is_assigned = case when ${assigned === null} then false else is_assigned end,
      rehearsed_at = case when ${isRehearsed} then now() else rehearsed_at end
    where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid and state = any(${[...from]}::text[])`.execute(tx)
  if (numAffectedRows !== 1n) throw takenOver(claimed)
}

/** Goes on with the claim in another state. @throws RetryLater as `endClaim` */
export async function turnClaim(tx: Queryable, claimed: Claimed, move: ObjectMove): Promise<void> {
  const { from, to } = OBJECT_MOVES[move]
  const { numAffectedRows } = await sql`
    update campaign_object set state = ${to}
    where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid and state = any(${[...from]}::text[])`.execute(tx)
  if (numAffectedRows !== 1n) throw takenOver(claimed)
}

/**
 * Not now: another worker takes it up then, and no attempt is counted. In another phase there is something
 * else to do with it, at once.
 */
export async function postpone(
  db: Queryable,
  claimed: Claimed,
  { phase }: Pick<Campaign, 'phase'>,
  delayMs: number,
  { error, isAttempt = false }: { error: string; isAttempt?: boolean },
): Promise<void> {
  await sql`
    update campaign_object set claim = null, lease_expires_at = null, error = ${error},
      not_before = case when (select phase from campaign where id = campaign_id) = ${phase}
        then now() + ${delayMs} * interval '1 millisecond' end,
      attempts = attempts - case when ${isAttempt} then 0 else 1 end
    where campaign_id = ${claimed.campaignId}::uuid and object_id = ${claimed.objectId}::uuid
      and claim = ${claimed.claim}::uuid`.execute(db)
}

export function takenOver({ objectId }: Claimed): RetryLater {
  return new RetryLater(`another worker has taken over ${objectId}`, 1_000)
}

/** How many are in one of these states, and in how many ms the first of them can be had. */
export async function waitingIn(
  db: Queryable,
  { id }: Pick<Campaign, 'id'>,
  states: readonly CampaignObjectState[],
  { onlySamples = false } = {},
): Promise<{ count: number; dueInMs: number }> {
  const { rows } = await sql<{ count: number; dueInMs: number | null }>`
    select count(*)::float8 as count,
      (extract(epoch from min(coalesce(not_before, lease_expires_at, now())) - now()) * 1000)::float8 as "dueInMs"
    from campaign_object
    where campaign_id = ${id}::uuid and state = any(${[...states]}::text[])
      and (${!onlySamples} or (is_sample and rehearsed_at is null))`.execute(db)
  const { count, dueInMs } = rows[0]!
  return { count, dueInMs: Math.max(0, dueInMs ?? 0) }
}
