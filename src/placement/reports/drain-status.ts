/** How far the emptying of locations has come. */
import { sql } from 'kysely'
import { failureGroups } from '../../queue/failures.ts'
import type { Amount } from '../ledger/objects.ts'
import { kindsThatNeed } from '../locations/drains.ts'
import type { Placement } from '../placement.ts'

export type DrainStatus = {
  /** ISO 8601. */
  begunAt: string
  /** What it held then. */
  begun: Amount
  /** What it holds now, in any state. */
  left: Amount
  /** On average since it began; null: nothing has gone yet. */
  bytesPerSecond: number | null
  /** At that rate; null: not known. */
  secondsLeft: number | null
  /** Kinds of files that can't leave: too few other locations are configured for them. */
  waitingKinds: string[]
  /** Work that fails: evictions there, and copies to other locations. */
  failures: { job: string; error: string; count: number }[]
  /** ISO 8601; null: it is not retired. */
  retiredAt: string | null
}

type Row = {
  id: string
  begunAt: Date
  seconds: number
  files: number
  bytes: number
  leftFiles: number
  leftBytes: number
  retiredAt: Date | null
}

/** By location. Costs one small query where nothing is drained. */
export async function drainStatuses(placement: Placement): Promise<Map<string, DrainStatus>> {
  const { rows } = await sql<Row>`
    select l.id, l.drain_begun_at as "begunAt", extract(epoch from now() - l.drain_begun_at)::float8 as seconds,
      l.drain_files::float8 as files, l.drain_bytes::float8 as bytes, held.count as "leftFiles", held.bytes as "leftBytes",
      l.retired_at as "retiredAt"
    from location l, lateral (
      select count(*)::float8 as count, coalesce(sum(o.size), 0)::float8 as bytes
      from replica r join stored_object o on o.id = r.object_id where r.location_id = l.id) held
    where l.drain_begun_at is not null`.execute(placement.db)
  if (rows.length === 0) return new Map()
  const groups = await failureGroups(placement.db)
  return new Map(
    rows.map((row) => {
      const failures = groups
        .filter(
          ({ job, location }) =>
            (job === 'evict-replica' && location === row.id) ||
            (job === 'replicate-object' && location !== row.id),
        )
        .map(({ job, error, count }) => ({ job, error, count }))
      const waitingKinds = kindsThatNeed(placement, row.id)
      return [row.id, { ...describe(row), waitingKinds, failures }]
    }),
  )
}

function describe(row: Row): Omit<DrainStatus, 'waitingKinds' | 'failures'> {
  const goneBytes = Math.max(0, row.bytes - row.leftBytes)
  const rate = goneBytes > 0 && row.seconds > 0 ? goneBytes / row.seconds : null
  return {
    begunAt: row.begunAt.toISOString(),
    begun: { count: row.files, bytes: row.bytes },
    left: { count: row.leftFiles, bytes: row.leftBytes },
    bytesPerSecond: rate === null ? null : Math.round(rate),
    secondsLeft: rate === null ? null : Math.ceil(row.leftBytes / rate),
    retiredAt: row.retiredAt?.toISOString() ?? null,
  }
}
