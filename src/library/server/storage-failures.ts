/**
 * What still fails, grouped by cause; which files can't be read; when places were away. For administrators.
 */
import { sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import { type Outage, recentOutages } from '../../placement/locations/outage-log.ts'
import { type FailureGroup, failureGroups } from '../../queue/failures.ts'

/** A photo or video that a failure is about. */
export type FailureExample = { assetId: string; fileName: string }

/** One cause. Times are ISO 8601. */
export type Failure = Omit<FailureGroup, 'samples' | 'firstAt' | 'at' | 'nextAt'> & {
  firstAt: string
  /** Of the last attempt. */
  at: string
  /** When the next of them is tried again; null: now, or never. */
  nextAt: string | null
  /** Nothing tries any of them again by itself. */
  isFinal: boolean
  /** A few of the files that it is about, as far as they are known. */
  examples: FailureExample[]
}

/** Files that are kept and served as they are, since nothing can be made of them. */
export type UnreadableGroup = { error: string; count: number; examples: FailureExample[] }

export type StorageFailures = {
  /** Work that failed and is not done yet, each piece once: the sum of `failures`. */
  total: number
  failures: Failure[]
  unreadable: { total: number; groups: UnreadableGroup[] }
  outages: Outage[]
}

const MOST_EXAMPLES = 5
const MOST_UNREADABLE_GROUPS = 50

/** Everything of it is gone from the answer when it is solved, but for the outages. */
export async function storageFailures(db: Database): Promise<StorageFailures> {
  const [groups, unreadable, outages] = await Promise.all([
    failureGroups(db),
    unreadableGroups(db),
    recentOutages(db),
  ])
  const examples = await examplesOf(db, groups)
  const failures = groups.map(({ samples, firstAt, at, nextAt, ...group }) => ({
    ...group,
    firstAt: firstAt.toISOString(),
    at: at.toISOString(),
    nextAt: nextAt?.toISOString() ?? null,
    isFinal: group.givenUp === group.count,
    examples: samples.flatMap((payload) => examples.get(subjectOf(payload)) ?? []),
  }))
  return {
    total: sumOf(failures),
    failures,
    unreadable: { total: sumOf(unreadable), groups: unreadable },
    outages,
  }
}

const sumOf = (groups: readonly { count: number }[]) => groups.reduce((sum, { count }) => sum + count, 0)

/** The asset's or the object's id; empty where a job is about neither. */
function subjectOf(payload: Record<string, unknown>): string {
  return String(payload.assetId ?? payload.objectId ?? '')
}

/** A job may be about neither, such as one that looks at a location. */
const isUuid = (id: string) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)

/** By the id of the asset, or of one of its objects. */
async function examplesOf(
  db: Database,
  groups: readonly FailureGroup[],
): Promise<Map<string, FailureExample>> {
  const ids = [...new Set(groups.flatMap(({ samples }) => samples.map(subjectOf)))].filter(isUuid)
  if (ids.length === 0) return new Map()
  const { rows } = await sql<FailureExample & { subject: string }>`
    select wanted.id as subject, asset.id as "assetId", asset.original_file_name as "fileName"
    from unnest(${ids}::uuid[]) as wanted (id) cross join lateral (
      select id, original_file_name from asset where id = wanted.id
      union all select id, original_file_name from asset where original_object_id = wanted.id
      union all select id, original_file_name from asset
        where id in (select asset_id from asset_file where object_id = wanted.id)
      limit 1
    ) as asset`.execute(db)
  return new Map(rows.map(({ subject, ...example }) => [subject, example]))
}

/**
 * Of films that could not be converted as well: their poster is there, their sound and picture may not play.
 */
async function unreadableGroups(db: Database): Promise<UnreadableGroup[]> {
  const { rows } = await sql<UnreadableGroup>`
    select processing_error as error, count(*)::int as count,
      to_jsonb((array_agg(jsonb_build_object('assetId', id, 'fileName', original_file_name)
        order by created_at desc))[1:${sql.lit(MOST_EXAMPLES)}]) as examples
    from asset where processing_error is not null and processing <> 'pending' and deleted_at is null
    group by processing_error order by count(*) desc, processing_error limit ${MOST_UNREADABLE_GROUPS}`.execute(
    db,
  )
  return rows
}
