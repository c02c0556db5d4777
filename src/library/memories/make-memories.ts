/** The nightly work on memories: those of the coming days are made, and old ones go. */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'

/** Before and after today (UTC): phones of all zones, and those that were offline for a while. */
const DAYS_AROUND = 3
/** Of one memory. */
const MAX_ASSETS = 20
const KEEP_DAYS = 30

/**
 * Makes, for each user who wants memories, those of the days until three days from now that were not made
 * yet: one for each earlier year that has assets in the timeline of that day of the year. Running it again
 * makes nothing twice. Returns how many are new. `now`: tests say which day it is.
 */
export async function makeMemories(db: Database, now: Date | null = null): Promise<number> {
  const today = sql`(coalesce(${now}::timestamptz, now()) at time zone 'UTC')::date`
  const { rows: users } = await sql<{ id: string }>`
    select app_user.id from app_user left join memory_progress progress on progress.owner_id = app_user.id
    where app_user.deleted_at is null
      and (app_user.preferences -> 'memories' ->> 'enabled') is distinct from 'false'
      and progress.made_until is distinct from ${today} + ${DAYS_AROUND}::int
    order by app_user.id`.execute(db)
  let count = 0
  for (const { id } of users) count += await db.transaction().execute((tx) => makeForUser(tx, id, today))
  return count
}

async function makeForUser(tx: Tx, userId: string, today: ReturnType<typeof sql>): Promise<number> {
  // Whoever else does the same waits here. Days of a clock that was ahead don't count as made.
  await sql`
    insert into memory_progress (owner_id, made_until)
    select id, ${today} - ${DAYS_AROUND + 1}::int from app_user where id = ${userId}::uuid and deleted_at is null
    for key share
    on conflict (owner_id) do nothing`.execute(tx)
  const { rows } = await sql<{ from: string; until: string }>`
    select greatest(
        case when made_until > ${today} + ${DAYS_AROUND}::int then ${today} - ${DAYS_AROUND}::int else made_until + 1 end,
        ${today} - ${DAYS_AROUND}::int)::text as "from",
      (${today} + ${DAYS_AROUND}::int)::text as until
    from memory_progress where owner_id = ${userId}::uuid for update`.execute(tx)
  const [days] = rows
  if (days === undefined) return 0
  const { rows: made } = await sql<{ count: number }>`
    with day as (
      select day::date from generate_series(${days.from}::date, ${days.until}::date, interval '1 day') as day
    ), candidate as (
      select day.day, asset.id, asset.local_date_time::date as taken_on, row_number() over (
        partition by day.day, asset.local_date_time::date order by asset.local_date_time, asset.id) as place
      from asset join day on to_char(asset.local_date_time, 'MM-DD') = to_char(day.day, 'MM-DD')
        and extract(year from asset.local_date_time) between 1 and extract(year from day.day) - 1
      where asset.owner_id = ${userId}::uuid and asset.deleted_at is null and asset.visibility = 'timeline'
        and exists (select from asset_file where asset_file.asset_id = asset.id and asset_file.kind = 'preview')
    ), made as (
      insert into memory (owner_id, data, memory_at, made_for, show_at, hide_at)
      select distinct ${userId}::uuid, jsonb_build_object('year', extract(year from taken_on)::int),
        taken_on::timestamp at time zone 'UTC', day, day::timestamp at time zone 'UTC',
        (day + 1)::timestamp at time zone 'UTC' - interval '1 millisecond'
      from candidate
      on conflict do nothing
      returning id, made_for, (memory_at at time zone 'UTC')::date as taken_on
    ), held as (
      insert into memory_asset (memory_id, asset_id)
      select made.id, candidate.id from made
      join candidate on candidate.day = made.made_for and candidate.taken_on = made.taken_on
        and candidate.place <= ${MAX_ASSETS}
      join (select asset.id from asset where asset.id in (select id from candidate) order by id for key share) as kept
        on kept.id = candidate.id
    )
    select count(*)::int as count from made`.execute(tx)
  await sql`
    update memory_progress set made_until = ${days.until}::date where owner_id = ${userId}::uuid`.execute(tx)
  return made[0]!.count
}

/**
 * Takes out what has left the timeline, and forgets memories that nobody saved for thirty days. Time that no
 * running server has seen pass does not count. Returns how many memories went.
 */
export async function tidyMemories(db: Database): Promise<number> {
  return db.transaction().execute(async (tx) => {
    await sql`
      with gone as (
        delete from memory_asset using asset
        where asset.id = memory_asset.asset_id and asset.visibility <> 'timeline'
        returning memory_asset.memory_id)
      update memory set updated_at = now() where id in (select memory_id from gone)`.execute(tx)
    const { rows } = await sql`
      delete from memory where not is_saved and created_at < now() - ${KEEP_DAYS} * interval '1 day'
        and lived_since(created_at) > ${KEEP_DAYS} * interval '1 day'
      returning id`.execute(tx)
    return rows.length
  })
}
