/**
 * Alerts: conditions that somebody must know of. Each is a row, opened when it is found and closed when it is
 * over; who opens or closes it tells people in the same transaction, so that nobody is told twice, whatever
 * process looks, and whenever one is killed.
 */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { Placement } from '../../placement/placement.ts'
import { lostOriginals } from '../../placement/reports/trouble.ts'
import { type Condition, currentConditions } from './conditions.ts'
import { type AlertFacts, alertMessage, ownPhotosMessage, photosMessage } from './messages.ts'
import type { NotificationSettings } from './settings.ts'
import { tellAdmins, tellOwner } from './tell.ts'

/** Of photos that are at risk, or safe again, so many are named. */
const MOST_NAMES = 5
/** So many that are over are kept, for whoever looks into what has happened. */
const KEPT_ALERTS = 10_000

type Changes = { opened: number; closed: number }
type OfOwner = { owner: string; count: number; names: string[] }

/** Compares what is wrong now with what is known, and tells people what has changed. */
export async function checkAlerts(placement: Placement, settings: NotificationSettings): Promise<Changes> {
  const conditions = await currentConditions(placement, settings)
  return placement.db.transaction().execute(async (tx) => {
    const opened = await openPhotos(tx)
    const closed = await closePhotos(tx)
    await tellOfPhotos(tx, settings, 'opened', opened)
    await tellOfPhotos(tx, settings, 'closed', closed)
    const others = await updateOthers(tx, settings, conditions)
    await forgetOld(tx)
    return {
      opened: opened.reduce((sum, { count }) => sum + count, 0) + others.opened,
      closed: closed.reduce((sum, { count }) => sum + count, 0) + others.closed,
    }
  })
}

/** Those that were not known to be at risk. What lies in the trash is left out: its owner gives it up. */
async function openPhotos(tx: Queryable): Promise<OfOwner[]> {
  const { rows } = await sql<OfOwner>`
    with opened as (
      insert into alert (kind, subject, facts)
      select 'photo-at-risk', a.id::text, jsonb_build_object('owner', a.owner_id, 'name', a.original_file_name)
      from asset a where a.original_object_id in ${lostOriginals()} and a.deleted_at is null
      order by a.id
      on conflict (kind, subject) where closed_at is null do nothing
      returning facts
    )
    select facts ->> 'owner' as owner, count(*)::int as count,
      (array_agg(facts ->> 'name' order by facts ->> 'name'))[1:${sql.lit(MOST_NAMES)}] as names
    from opened group by facts ->> 'owner' order by owner`.execute(tx)
  return rows
}

/** @returns those that are safe again; of one that was deleted nothing is said */
async function closePhotos(tx: Queryable): Promise<OfOwner[]> {
  const { rows } = await sql<OfOwner>`
    with closed as (
      update alert set closed_at = now()
      where kind = 'photo-at-risk' and closed_at is null and not exists (
        select from asset a where a.id::text = alert.subject and a.deleted_at is null
          and a.original_object_id in ${lostOriginals()})
      returning subject
    )
    select a.owner_id as owner, count(*)::int as count,
      (array_agg(a.original_file_name order by a.original_file_name))[1:${sql.lit(MOST_NAMES)}] as names
    from closed join asset a on a.id = closed.subject::uuid
    where a.deleted_at is null
    group by a.owner_id order by owner`.execute(tx)
  return rows
}

async function tellOfPhotos(
  tx: Queryable,
  settings: NotificationSettings,
  state: 'opened' | 'closed',
  photos: readonly OfOwner[],
): Promise<void> {
  if (photos.length === 0) return
  for (const { owner, count, names } of photos)
    await tellOwner(tx, settings, owner, ownPhotosMessage(state, count, names))
  const all = photos.reduce((sum, { count }) => sum + count, 0)
  // An administrator whose own they all are knows it already, with their names.
  const soleOwner = photos.length === 1 ? photos[0]!.owner : null
  await tellAdmins(tx, settings, photosMessage(state, all), { except: soleOwner })
}

async function updateOthers(
  tx: Queryable,
  settings: NotificationSettings,
  conditions: readonly Condition[],
): Promise<Changes> {
  let opened = 0
  for (const { kind, subject, facts } of conditions) {
    const { rows } = await sql`
      insert into alert (kind, subject, facts) values (${kind}, ${subject}, ${JSON.stringify(facts)}::jsonb)
      on conflict (kind, subject) where closed_at is null do nothing returning id`.execute(tx)
    if (rows.length === 0) continue
    opened += 1
    await tellAdmins(tx, settings, alertMessage(kind, 'opened', facts))
  }
  const known = conditions.map(({ kind, subject }) => ({ kind, subject }))
  const { rows: over } = await sql<{ kind: Condition['kind']; facts: AlertFacts }>`
    update alert set closed_at = now()
    where kind <> 'photo-at-risk' and closed_at is null and (kind, subject) not in (
      select kind, subject from jsonb_to_recordset(${JSON.stringify(known)}::jsonb) as now (kind text, subject text))
    returning kind, facts`.execute(tx)
  for (const { kind, facts } of over) await tellAdmins(tx, settings, alertMessage(kind, 'closed', facts))
  return { opened, closed: over.length }
}

async function forgetOld(tx: Queryable): Promise<void> {
  await sql`
    delete from alert where closed_at is not null and id <= (
      select id from alert where closed_at is not null order by id desc offset ${KEPT_ALERTS} limit 1)`.execute(
    tx,
  )
}
