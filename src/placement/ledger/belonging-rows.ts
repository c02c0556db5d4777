/** What the ledger says of where objects belong, besides the policy; see `belonging.ts`. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import type { Belonging, KindRules } from '../belonging.ts'
import { KINDS_WITHOUT_CAMPAIGNS } from '../object-kinds.ts'
import type { Placement } from '../placement.ts'
import type { Policy } from '../policy.ts'
import type { Amount } from './objects.ts'

type Row = { kind: ObjectKind; since: Date | null; heldIds: string[] | null; heldBefore: Date | null }

/** As every process works by it; without the locations that are drained. */
export async function loadKindRules(db: Queryable): Promise<Belonging['kinds']> {
  const { rows } = await sql<Row>`
    select kind, configured_since as since, held_ids as "heldIds", held_before as "heldBefore" from home
    order by kind`.execute(db)
  return Object.fromEntries(
    rows.map(({ kind, since, heldIds, heldBefore }): [ObjectKind, KindRules] => [
      kind,
      { since, held: heldIds && heldBefore && { at: heldIds, before: heldBefore } },
    ]),
  )
}

/** Objects of the kind from before `since` stay at `before`, and belong at `now` by the configuration. */
export type HeldChange = { kind: ObjectKind; before: string[]; now: string[]; since: Date }

/** The kinds whose objects wait for an answer. */
export async function heldChanges(db: Queryable): Promise<HeldChange[]> {
  const { rows } = await sql<HeldChange>`
    select kind, held_ids as before, configured_ids as now, held_before as since from home
    where held_ids is not null and configured_ids is not null and held_ids <> configured_ids
    order by kind`.execute(db)
  return rows
}

/** Files that stay where they belonged before such a change, and that no campaign has moved or is moving. */
export async function unansweredFiles(db: Queryable): Promise<Amount> {
  const { rows } = await sql<Amount>`
    select count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes
    from home join stored_object o on o.kind = home.kind
    where home.held_ids <> home.configured_ids and o.created_at < home.held_before and o.assigned_to is null
      and o.state = 'live' and o.is_linked
      and not exists (select from campaign where reason = 'configuration' and phase in ('copying', 'reclaiming')
        and o.kind = any(kinds))`.execute(db)
  return rows[0]!
}

/**
 * Notes where the configuration says that files belong. Where that is news and `asksFirst`, the objects that
 * are there already stay where they belonged; else, and for backups and the catalogue in any case, they move
 * by the new rules, and assignments from before end. Going back to what still holds ends the question.
 */
export async function recordConfigured(
  db: Queryable,
  policy: Policy,
  { asksFirst }: { asksFirst: boolean },
): Promise<void> {
  const asks = (kind: RawBuilder<string>) =>
    sql<boolean>`(${asksFirst} and ${kind} <> all(${[...KINDS_WITHOUT_CAMPAIGNS]}::text[]))`
  const given = Object.entries(policy).map(([kind, ids]) => ({ kind, ids }))
  await sql`
    with given as (
      select kind, ids from jsonb_to_recordset(${JSON.stringify(given)}::jsonb) as one (kind text, ids jsonb) order by kind),
    changed as (
      select given.kind, given.ids, home.configured_ids as before, home.held_ids, home.held_before
      from given join home using (kind)
      where home.configured_ids is not null and home.configured_ids <> given.ids
      for update of home),
    -- What came under the rules in between stays by them.
    between_rules as (
      update stored_object o
      set assigned_to = array(select jsonb_array_elements_text(changed.before)), assigned_at = now()
      from changed
      where ${asks(sql`changed.kind`)} and changed.held_ids is not null and changed.held_ids <> changed.ids
        and o.kind = changed.kind and o.created_at >= changed.held_before and o.assigned_to is null
        and o.state = 'live')
      insert into home (kind, location_ids, configured_ids)
      select kind, ids, ids from given
      on conflict (kind) do update set configured_ids = excluded.configured_ids,
        configured_since = case
          when not ${asks(sql`excluded.kind`)} and home.configured_ids <> excluded.configured_ids then now()
          else home.configured_since end,
        held_ids = case
          when not ${asks(sql`excluded.kind`)} then null
          when home.configured_ids is null or home.configured_ids = excluded.configured_ids then home.held_ids
          when home.held_ids = excluded.configured_ids then null
          else coalesce(home.held_ids, home.configured_ids) end,
        held_before = case
          when not ${asks(sql`excluded.kind`)} then null
          when home.configured_ids is null or home.configured_ids = excluded.configured_ids then home.held_before
          when home.held_ids = excluded.configured_ids then null
          else coalesce(home.held_before, now()) end`.execute(db)
}

/**
 * Ends the question of these kinds where no object relies on it: every one has an assignment by now.
 * @returns those where it has ended
 */
export async function endHeld(db: Queryable, kinds: readonly ObjectKind[]): Promise<ObjectKind[]> {
  const { rows } = await sql<{ kind: ObjectKind }>`update home set held_ids = null, held_before = null
    where kind = any(${[...kinds]}::text[]) and held_ids is not null
      and not exists (select from stored_object o where o.kind = home.kind and o.state = 'live'
        and o.created_at < home.held_before and o.assigned_to is null)
    returning kind`.execute(db)
  return rows.map(({ kind }) => kind)
}

/**
 * Nothing belongs at this location any more by an assignment, or by a rule of before: its name may become
 * another place's. What belongs at others as well stays there.
 */
export async function forgetPlace(tx: Tx, locationId: string): Promise<void> {
  await sql`
    update stored_object set assigned_to = nullif(array_remove(assigned_to, ${locationId}), '{}'),
      assigned_at = case when assigned_to <@ array[${locationId}] then null else assigned_at end
    where ${locationId} = any(assigned_to)`.execute(tx)
  await sql`update stored_object set read_first = null where read_first = ${locationId}`.execute(tx)
  await sql`
    update home set held_ids = rest.ids, held_before = case when rest.ids is not null then held_before end
    from (select kind, nullif(nullif(held_ids - ${locationId}::text, '[]'), configured_ids) as ids from home) rest
    where rest.kind = home.kind and home.held_ids @> jsonb_build_array(${locationId}::text)`.execute(tx)
}

/** A table `home (kind, wanted, min_copies, since, held, held_before)`; `placesSql` is about its columns. */
function homesSql(placement: Placement): RawBuilder<unknown> {
  const homes = Object.entries(placement.policy).map(([kind, wanted]) => {
    const rules = placement.belonging.kinds[kind as ObjectKind]
    return {
      kind,
      wanted,
      min_copies: placement.minCopies[kind as ObjectKind],
      since: rules?.since ?? null,
      held: rules?.held?.at ?? null,
      held_before: rules?.held?.before ?? null,
    }
  })
  return sql`jsonb_to_recordset(${JSON.stringify(homes)}::jsonb)
    as home (kind text, wanted text[], min_copies int, since timestamptz, held text[], held_before timestamptz)`
}

/** `wantedPlaces` in SQL, of `stored_object o` joined with `homesSql`. */
function placesSql(placement: Placement): RawBuilder<string[]> {
  const usable = [...placement.locations.keys()].filter((id) => !placement.belonging.drained.includes(id))
  return sql<string[]>`(case
    when o.assigned_to is null and (home.held is null or o.created_at >= home.held_before) then home.wanted
    else coalesce((
      select case when count(*) >= greatest(1, home.min_copies) then array_agg(own.id order by own.n) end
      from unnest(case
        when o.assigned_to is not null and (home.since is null or o.assigned_at >= home.since) then o.assigned_to
        when o.created_at < home.held_before then home.held end) with ordinality as own (id, n)
      where own.id = any(${usable}::text[])), home.wanted) end)`
}

/** To join `stored_object o` with: `belongs.wanted` are the places where it belongs. */
export function belongingSql(placement: Placement): RawBuilder<unknown> {
  return sql`join ${homesSql(placement)} on home.kind = o.kind
    cross join lateral (select ${placesSql(placement)} as wanted) belongs`
}
