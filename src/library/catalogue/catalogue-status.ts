/** How the catalogue stands, for people. */
import { sql } from 'kysely'
import { batchStatus } from '../../placement/catalogue/batch-status.ts'
import type { Placement } from '../../placement/placement.ts'

/** Times are ISO 8601. */
export type CatalogueStatus = {
  /** How old a change may be that no batch holds yet. */
  everyMinutes: number
  /** The newest batch that is verified wherever the catalogue belongs. */
  newest: { madeAt: string; locations: string[] } | null
  /** Since when something waits that no such batch holds; null: nothing. */
  waitingSince: string | null
  /** It has waited for longer than writing and copying explain. */
  isLate: boolean
  /** Batches that are kept, and texts of months. */
  batches: number
  texts: number
}

/** For the copy to a bucket that is slow; one that is away for longer is worth a word. */
const COPY_MS = 30 * 60_000

/** Null where no catalogue is kept. */
export async function catalogueStatus(placement: Placement): Promise<CatalogueStatus | null> {
  const everyMs = placement.settings.catalogueEveryMs
  if (everyMs === 0) return null
  const [batches, { rows }] = await Promise.all([
    batchStatus(placement),
    sql<{ changedAt: Date | null; texts: number }>`
      select (select min(at) from catalogue_change) as "changedAt",
        (select count(*)::float8 from catalogue_text where object_id is not null) as texts`.execute(
      placement.db,
    ),
  ])
  const { changedAt, texts } = rows[0]!
  const waiting = [changedAt, batches.waitingSince].filter((at) => at !== null).map((at) => at.getTime())
  const since = waiting.length === 0 ? null : Math.min(...waiting)
  return {
    everyMinutes: everyMs / 60_000,
    newest: batches.newestAt && {
      madeAt: batches.newestAt.toISOString(),
      locations: [...placement.policy.catalogue],
    },
    waitingSince: since === null ? null : new Date(since).toISOString(),
    isLate: since !== null && placement.now().getTime() - since > everyMs + COPY_MS,
    batches: batches.count,
    texts,
  }
}
