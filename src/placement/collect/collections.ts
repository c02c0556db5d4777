/** Decisions and how far they have come, for people. */
import { sql } from 'kysely'
import type { Placement } from '../placement.ts'
import type { KeptItemReason } from './items.ts'

/** The newest ones that are told of. */
const SHOWN = 20

/**
 * Times are ISO 8601. `waiting`: not removed yet. `kept`: stayed, by its reason. `postponed`: of what waits,
 * why some can't go now.
 */
export type CollectionStatus = {
  id: string
  locationId: string
  state: 'held' | 'running' | 'done' | 'undone'
  files: number
  uploads: number
  bytes: number
  decidedAt: string
  collectAfter: string
  undoneAt: string | null
  finishedAt: string | null
  waiting: number
  removed: number
  kept: { [Reason in KeptItemReason]?: number }
  postponed: { reason: string; count: number; until: string }[]
  error: string | null
}

export async function collectionStatuses(
  { db, now }: Pick<Placement, 'db' | 'now'>,
  locationId?: string,
): Promise<CollectionStatus[]> {
  let query = db.selectFrom('collection').selectAll().orderBy('decided_at', 'desc').limit(SHOWN)
  if (locationId !== undefined) query = query.where('location_id', '=', locationId)
  const rows = await query.execute()
  const { rows: items } = await sql<{
    collectionId: string
    state: string
    reason: string | null
    count: number
    until: Date | null
  }>`
    select collection_id as "collectionId", state, reason, count(*)::float8 as count, max(not_before) as until
    from collection_item where collection_id = any(${rows.map(({ id }) => id)}::uuid[])
    group by 1, 2, 3`.execute(db)
  return rows.map((row): CollectionStatus => {
    const own = items.filter(({ collectionId }) => collectionId === row.id)
    const sum = (...states: string[]) =>
      own.reduce((total, { state, count }) => total + (states.includes(state) ? count : 0), 0)
    const waiting = sum('held', 'removing')
    return {
      id: row.id,
      locationId: row.location_id,
      state: stateOf(row, now()),
      ...{ files: row.files, uploads: row.uploads, bytes: row.bytes },
      decidedAt: row.decided_at.toISOString(),
      collectAfter: row.collect_after.toISOString(),
      undoneAt: row.undone_at?.toISOString() ?? null,
      finishedAt: row.finished_at?.toISOString() ?? null,
      waiting,
      removed: sum('removed'),
      kept: Object.fromEntries(
        own.flatMap(({ state, reason, count }) =>
          state === 'kept' && reason !== null ? [[reason, count]] : [],
        ),
      ),
      postponed: own.flatMap(({ state, reason, count, until }) =>
        state === 'held' && reason !== null && until !== null && until > now()
          ? [{ reason, count, until: until.toISOString() }]
          : [],
      ),
      error: row.error,
    }
  })
}

function stateOf(
  row: { undone_at: Date | null; finished_at: Date | null; collect_after: Date },
  now: Date,
): CollectionStatus['state'] {
  if (row.undone_at !== null) return 'undone'
  if (row.finished_at !== null) return 'done'
  return row.collect_after > now ? 'held' : 'running'
}
