/** Linked objects that nothing in the library refers to. What refers to an object is the library's to say. */
import { type RawBuilder, sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ObjectKind } from '../../database/schema.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'

/** What refers to it may be committed a moment after it. */
const GRACE = sql`interval '1 day'`

type Wanted = {
  kinds: readonly ObjectKind[]
  /** True in a statement for an object that something refers to. */
  isReferredTo: (objectId: RawBuilder<string>) => RawBuilder<boolean>
  limit: number
}

/** Live ones of these kinds that are older than a day, not counting time that nobody has seen pass. */
export async function findUnreferenced(db: Queryable, wanted: Wanted): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from stored_object object
    where ${isUnreferenced(wanted)}
    limit ${wanted.limit}`.execute(db)
  return rows.map(({ id }) => id)
}

/**
 * Locks what was found until the transaction is over, and returns those that nothing refers to even now: what
 * refers to an object locks it, too, and may have been committed since it was found.
 */
export async function holdUnreferenced(
  tx: Queryable,
  found: readonly string[],
  wanted: Wanted,
): Promise<string[]> {
  const ids = uuidArray(found)
  await sql`select from stored_object where id = any(${ids}::uuid[]) order by id for update`.execute(tx)
  const { rows } = await sql<{ id: string }>`
    select id from stored_object object where id = any(${ids}::uuid[]) and ${isUnreferenced(wanted)}`.execute(
    tx,
  )
  return rows.map(({ id }) => id)
}

/** Those whose bytes the same person has as another live object of the same kind, which is referred to. */
export async function findUnreferencedTwins(db: Queryable, wanted: Wanted): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from stored_object object
    where ${isUnreferenced(wanted)}
      and exists (
        select from stored_object twin
        where twin.sha256 = object.sha256 and twin.size = object.size and twin.owner_id = object.owner_id
          and twin.kind = object.kind and twin.id <> object.id and twin.state = 'live'
          and ${wanted.isReferredTo(sql.ref('twin.id'))})
    limit ${wanted.limit}`.execute(db)
  return rows.map(({ id }) => id)
}

function isUnreferenced({ kinds, isReferredTo }: Wanted): RawBuilder<boolean> {
  const someKinds = sql.join(kinds.map((kind) => sql.lit(kind)))
  return sql<boolean>`state = 'live' and is_linked and kind in (${someKinds})
    and created_at < now() - ${GRACE} and lived_since(created_at) > ${GRACE}
    and not ${isReferredTo(sql.ref('object.id'))}`
}
