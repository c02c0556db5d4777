/** A user's tags: a tree, whose paths (`Places/Vienna`) are unique. */
import { sql } from 'kysely'
import type { Database, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import { type Actor, noAccess, requireOwned } from '../access.ts'
import { describeTag, type TagView } from '../assets/tag-view.ts'

/** Of a whole path, in characters: its index takes 2,700 bytes, of which a character may take four. */
export const MAX_TAG_PATH = 500

/** The actor's, by path. */
export async function listTags(db: Database, actor: Actor): Promise<TagView[]> {
  const rows = await db
    .selectFrom('tag')
    .selectAll()
    .where('owner_id', '=', actor.userId)
    .orderBy('value')
    .execute()
  return rows.map(describeTag)
}

/** @throws AppError invalid without access */
export async function getTag(db: Database, actor: Actor, id: string): Promise<TagView> {
  const row = await db
    .selectFrom('tag')
    .selectAll()
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .executeTakeFirst()
  if (row === undefined) throw noAccess('tag.read')
  return describeTag(row)
}

/**
 * @throws AppError invalid: a parent that is not the actor's, a path that is taken or too long, or a name
 * with a `/`
 */
export async function createTag(
  db: Database,
  actor: Actor,
  wish: { name: string; parentId: string | null; color: string | null },
): Promise<TagView> {
  if (wish.name.includes('/')) {
    throw new AppError('invalid', 'name: it may hold no "/"; PUT /api/tags makes whole paths')
  }
  const parent = wish.parentId === null ? null : await getTag(db, actor, wish.parentId)
  const value = parent === null ? wish.name : `${parent.value}/${wish.name}`
  requireShortPath(value)
  // The parent may be deleted meanwhile: then nothing is inserted.
  const { rows } = await sql<{ id: string }>`
    insert into tag (owner_id, parent_id, value, color)
    select ${actor.userId}::uuid, parent.id, ${value}, ${wish.color}
    from (select 1) as always left join (
      select id from tag where id = ${wish.parentId}::uuid for key share) as parent on true
    where ${wish.parentId}::uuid is null or parent.id is not null
    on conflict (owner_id, value) do nothing returning id`.execute(db)
  const [made] = rows
  if (made === undefined) throw new AppError('invalid', 'A tag with that name already exists')
  return getTag(db, actor, made.id)
}

/**
 * Makes those of the paths that are missing, with what lies above them; empty parts don't count. Answers the
 * tag of each different path. @throws AppError invalid for a path that is too long
 */
export async function upsertTags(db: Database, actor: Actor, paths: readonly string[]): Promise<TagView[]> {
  const chains = new Map<string, string[]>()
  for (const path of paths) {
    const parts = path.split('/').flatMap((part) => part.trim() || [])
    if (parts.length > 0) chains.set(parts.join('/'), parts)
  }
  for (const value of chains.keys()) requireShortPath(value)
  await db.transaction().execute(async (tx) => {
    const depth = Math.max(0, ...[...chains.values()].map((parts) => parts.length))
    for (let level = 1; level <= depth; level += 1) {
      const values = [...chains.values()].flatMap((parts) =>
        parts.length < level ? [] : parts.slice(0, level).join('/'),
      )
      await insertLevel(tx, actor, [...new Set(values)].toSorted())
    }
  })
  const rows = await db
    .selectFrom('tag')
    .selectAll()
    .where('owner_id', '=', actor.userId)
    .where(sql<boolean>`value = any(${[...chains.keys()]}::text[])`)
    .execute()
  const byValue = new Map(rows.map((row) => [row.value, describeTag(row)]))
  return [...chains.keys()].flatMap((value) => byValue.get(value) ?? [])
}

/** Always in the same order, level by level: two that make the same paths don't wait for each other. */
async function insertLevel(tx: Tx, actor: Actor, values: readonly string[]): Promise<void> {
  const parents = values.map((value) => value.slice(0, Math.max(0, value.lastIndexOf('/'))))
  await sql`
    insert into tag (owner_id, parent_id, value)
    select ${actor.userId}::uuid, parent.id, wanted.value
    from unnest(${values as string[]}::text[], ${parents}::text[]) with ordinality as wanted (value, parent, place)
    left join tag parent on parent.owner_id = ${actor.userId}::uuid and parent.value = wanted.parent
    order by wanted.place
    on conflict (owner_id, value) do update set parent_id = excluded.parent_id, updated_at = now()
      where tag.parent_id is distinct from excluded.parent_id`.execute(tx)
}

/** Only the colour changes; null: none. @throws AppError invalid without access */
export async function updateTag(
  db: Database,
  actor: Actor,
  id: string,
  { color }: { color?: string | null | undefined },
): Promise<TagView> {
  await requireOwned(db, actor, 'tag', [id], 'tag.update')
  if (color !== undefined) {
    await db
      .updateTable('tag')
      .set({ color, updated_at: sql`now()` })
      .where('id', '=', id)
      .where('owner_id', '=', actor.userId)
      .execute()
  }
  return getTag(db, actor, id)
}

/** With those below it. @throws AppError invalid without access */
export async function deleteTag(db: Database, actor: Actor, id: string): Promise<void> {
  const gone = await db
    .deleteFrom('tag')
    .where('id', '=', id)
    .where('owner_id', '=', actor.userId)
    .returning('id')
    .executeTakeFirst()
  if (gone === undefined) throw noAccess('tag.delete')
}

function requireShortPath(value: string): void {
  if (value.length <= MAX_TAG_PATH) return
  throw new AppError('invalid', `tags: "${value.slice(0, 40)}..." has more than ${MAX_TAG_PATH} characters`)
}
