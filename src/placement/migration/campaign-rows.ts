/** The rows of `campaign`: what is asked for, and how far it is. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { AppError } from '../../errors.ts'
import type { Phase } from './phases.ts'

/** What a campaign moves: all of it must be true of an object. */
export type Selection = {
  kinds: readonly ObjectKind[]
  /** Of these users; null: of everybody. */
  ownerIds: readonly string[] | null
  /** In one of these albums; null: in albums or not. */
  albumIds: readonly string[] | null
  /** Added so many days ago, or longer; null: no limit. */
  olderThanDays: number | null
  /** Added less than so many days ago; null: no limit. */
  youngerThanDays: number | null
  /** What this campaign has moved; null: no matter. */
  reverseOf: string | null
}

export type Limits = {
  /** Of all workers together; null: none. */
  bytesPerSecond: number | null
  /** Minutes of the day by the server's clock, from the first to before the second; null: always. */
  hours: { fromMinute: number; untilMinute: number } | null
  workers: number
  /** How long both copies are kept before reclaim is allowed. */
  holdHours: number
}

export type CampaignPlan = Selection &
  Limits & {
    fromIds: readonly string[]
    toIds: readonly string[]
  }

export type Campaign = CampaignPlan & {
  id: string
  createdAt: Date
  actor: string
  reason: 'asked' | 'configuration' | 'rollback'
  phase: Phase
  phaseSince: Date
  pausedAt: Date | null
  /** What stopped it; null: somebody did. */
  pausedWhy: string | null
  scannedTo: string | null
  isScanned: boolean
  checkedTo: string | null
  isSampled: boolean
  sampleBytes: number
  sampleMs: number
  holdUntil: Date | null
  failuresInARow: number
}

type Row = Omit<Campaign, 'hours'> & { fromMinute: number | null; untilMinute: number | null }

const COLUMNS = sql`
  id, created_at as "createdAt", actor, reason, reverse_of as "reverseOf", kinds, owner_ids::text[] as "ownerIds",
  album_ids::text[] as "albumIds", older_than_days as "olderThanDays", younger_than_days as "youngerThanDays",
  from_ids as "fromIds", to_ids as "toIds", bytes_per_second::float8 as "bytesPerSecond", from_minute as "fromMinute",
  until_minute as "untilMinute", workers, hold_hours as "holdHours", phase, phase_since as "phaseSince",
  paused_at as "pausedAt", paused_why as "pausedWhy", scanned_to as "scannedTo", is_scanned as "isScanned",
  checked_to as "checkedTo", is_sampled as "isSampled", sample_bytes::float8 as "sampleBytes",
  sample_ms::float8 as "sampleMs", hold_until as "holdUntil", failures_in_a_row as "failuresInARow"`

async function select(db: Queryable, rest: RawBuilder<unknown>): Promise<Campaign[]> {
  const { rows } = await sql<Row>`select ${COLUMNS} from campaign ${rest}`.execute(db)
  return rows.map(({ fromMinute, untilMinute, ...row }) => ({
    ...row,
    hours: fromMinute === null || untilMinute === null ? null : { fromMinute, untilMinute },
  }))
}

/** The newest first; at most `limit`. */
export async function listCampaigns(db: Queryable, limit = 100): Promise<Campaign[]> {
  return select(db, sql`order by created_at desc, id limit ${limit}`)
}

/** @throws AppError not-found */
export async function loadCampaign(db: Queryable, id: string): Promise<Campaign> {
  const [found] = await select(db, sql`where id = ${id}::uuid`)
  if (!found) throw new AppError('not-found', `there is no campaign ${id}`)
  return found
}

/** As `loadCampaign`, with its row locked until the transaction ends. */
export async function lockCampaign(tx: Queryable, id: string): Promise<Campaign> {
  const [found] = await select(tx, sql`where id = ${id}::uuid for update`)
  if (!found) throw new AppError('not-found', `there is no campaign ${id}`)
  return found
}

/** Those in one of these phases that nobody has paused. */
export async function campaignsIn(db: Queryable, phases: readonly Phase[]): Promise<Campaign[]> {
  return select(db, sql`where phase = any(${[...phases]}::text[]) and paused_at is null order by created_at`)
}

export async function insertCampaign(
  tx: Queryable,
  id: string,
  plan: CampaignPlan,
  { actor, reason }: Pick<Campaign, 'actor' | 'reason'>,
): Promise<void> {
  await tx
    .insertInto('campaign')
    .values({
      id,
      actor,
      reason,
      reverse_of: plan.reverseOf,
      kinds: [...plan.kinds],
      owner_ids: plan.ownerIds && [...plan.ownerIds],
      album_ids: plan.albumIds && [...plan.albumIds],
      older_than_days: plan.olderThanDays,
      younger_than_days: plan.youngerThanDays,
      from_ids: [...plan.fromIds],
      to_ids: [...plan.toIds],
      ...limitColumns(plan),
    })
    .execute()
}

export function limitColumns({ bytesPerSecond, hours, workers, holdHours }: Limits) {
  return {
    bytes_per_second: bytesPerSecond,
    from_minute: hours?.fromMinute ?? null,
    until_minute: hours?.untilMinute ?? null,
    workers,
    hold_hours: holdHours,
  }
}

/** To another phase, with what begins anew in it. The caller holds the row's lock. */
export async function setPhase(
  tx: Queryable,
  { id, holdHours }: Pick<Campaign, 'id' | 'holdHours'>,
  phase: Phase,
): Promise<void> {
  await tx
    .updateTable('campaign')
    .set({
      phase,
      phase_since: sql<Date>`now()`,
      failures_in_a_row: 0,
      ...(phase === 'checking' && { scanned_to: null, is_scanned: false, checked_to: null }),
      ...(phase === 'rehearsing' && { is_sampled: false, sample_bytes: 0, sample_ms: 0 }),
      ...(phase === 'holding' && {
        hold_until: sql<Date>`coalesce(hold_until, now() + ${holdHours} * interval '1 hour')`,
      }),
      ...(phase === 'copying' && { hold_until: null }),
    })
    .where('id', '=', id)
    .execute()
}
