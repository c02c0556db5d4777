import { ackedId, ackLine, type Part, type Sync, uuidSql } from './parts.ts'

/** Where rows are from: an album that the user is in, or somebody who shares with them. In SQL. */
const SOURCES = {
  album: { id: 'album_id', from: 'album_user where user_id' },
  partner: { id: 'shared_by_id', from: 'partner where shared_with_id' },
} as const

/** Of one album or partner that came later than others. */
export type Backfill = {
  /** Of the album, or of the partner. */
  sourceId: string
  /** Conditions of an id in SQL: those that the client, which is further on in others, will not be sent. */
  isOlder(id: string): string
  /** An SQL expression of what the row is acknowledged by, behind the type. */
  ack(id: string): string
}

/**
 * Rows of albums and partners that came after other rows had been acknowledged. Those whose id is beyond that
 * come as ordinary ones. `backfill`: the type of these lines; `ordinary`: that of the others.
 */
export async function* backfills(
  sync: Sync,
  {
    backfill,
    ordinary,
    of,
    select,
  }: { backfill: string; ordinary: string; of: keyof typeof SOURCES; select(one: Backfill): string },
): AsyncGenerator<Part> {
  const reached = sync.checkpoints.get(ordinary)
  const begun = sync.checkpoints.get(backfill)
  const since = begun === undefined ? '' : ` and create_id >= ${uuidSql(begun.id)}`
  const sources = await sync.query<{ sourceId: string; createId: string }>(
    `select ${SOURCES[of].id} as "sourceId", create_id as "createId"
     from ${SOURCES[of].from} = ${uuidSql(sync.userId)}${since} order by create_id`,
  )
  const last = sources.at(-1)
  if (last === undefined) return
  if (reached === undefined) {
    // Without a lower bound the ordinary rows are all there are.
    const id = ackedId(sync, last.createId)
    if (begun?.id !== id || begun.extra !== 'complete') await sync.store(backfill, id, 'complete')
    return
  }
  for (const { sourceId, createId } of sources) {
    const from = createId === begun?.id ? begun.extra : null
    if (from === 'complete') continue
    const source = ackedId(sync, createId)
    yield {
      select: select({
        sourceId,
        isOlder: (id) =>
          `${id} <= ${uuidSql(reached.id)}${from === null ? '' : ` and ${id} > ${uuidSql(from)}`}`,
        ack: (id) => `'${source}|' || ${id}`,
      }),
    }
    yield { line: ackLine(`${backfill}|${source}|complete`) }
  }
}
