import { ackedId, ackLine, type Part, type Sync, uuidSql } from './parts.ts'

/** Of one album that the user came to later than to others. */
export type Backfill = {
  albumId: string
  /** Conditions of an id in SQL: those that the client, which is further on in other albums, will not be sent. */
  isOlder(id: string): string
  /** An SQL expression of what the row is acknowledged by, behind the type. */
  ack(id: string): string
}

/**
 * Rows of albums that the user joined after other rows had been acknowledged. Those whose id is beyond that come as
 * ordinary ones. `backfill`: the type of these lines; `ordinary`: that of the others.
 */
export async function* backfills(
  sync: Sync,
  { backfill, ordinary, select }: { backfill: string; ordinary: string; select(one: Backfill): string },
): AsyncGenerator<Part> {
  const reached = sync.checkpoints.get(ordinary)
  const begun = sync.checkpoints.get(backfill)
  const since = begun === undefined ? '' : ` and create_id >= ${uuidSql(begun.id)}`
  const memberships = await sync.query<{ albumId: string; createId: string }>(
    `select album_id as "albumId", create_id as "createId" from album_user
     where user_id = ${uuidSql(sync.userId)}${since} order by create_id`,
  )
  const last = memberships.at(-1)
  if (last === undefined) return
  if (reached === undefined) {
    // Without a lower bound the ordinary rows are all there are.
    const id = ackedId(sync, last.createId)
    if (begun?.id !== id || begun.extra !== 'complete') await sync.store(backfill, id, 'complete')
    return
  }
  for (const { albumId, createId } of memberships) {
    const from = createId === begun?.id ? begun.extra : null
    if (from === 'complete') continue
    const source = ackedId(sync, createId)
    yield {
      select: select({
        albumId,
        isOlder: (id) =>
          `${id} <= ${uuidSql(reached.id)}${from === null ? '' : ` and ${id} > ${uuidSql(from)}`}`,
        ack: (id) => `'${source}|' || ${id}`,
      }),
    }
    yield { line: ackLine(`${backfill}|${source}|complete`) }
  }
}
