/**
 * Lays what the catalogues say beside the database: one row for each thing, that of the batch which knows
 * most. Of two batches of which neither knew the other, one that still has the thing counts, and else the one
 * that was made later.
 */
import { sql } from 'kysely'
import type { Database, Queryable, Tx } from '../../../database/connect.ts'
import {
  assertReading,
  beginReading,
  isCatalogueComplete,
} from '../../../placement/catalogue/adoption-state.ts'
import {
  type FoundBatch,
  type FoundBatches,
  findBatches,
  readAgain,
  type UnusableBatch,
} from '../../../placement/catalogue/find-batches.ts'
import { knownBatches, unreadBatches } from '../../../placement/catalogue/write-batch.ts'
import type { Location } from '../../../placement/location.ts'
import { type ReadEntry, readEntry } from '../entries.ts'
import { layLeftOver } from './left-over.ts'

const STRETCH = 500
const MAX_EXAMPLES = 20

/**
 * `hasAll`: a batch that holds everything has come after all that the database knew, and all of it was read:
 * what it leaves out was deleted. `isLater`: whether that one has; none, where the database has not written
 * down all that it knew.
 */
export type Found = {
  batches: number
  unusable: UnusableBatch[]
  refused: { count: number; examples: string[] }
  heads: string[]
  /** The SHA-256 of those that others name and that are not found, and no snapshot stands for. */
  missing: string[]
  hasAll: boolean
  /** For `assertReading`. */
  reading: string
  isLater(batch: string): boolean
}

/**
 * Reads the catalogues of an installation at these locations into `catalogue_found`, which it empties first.
 * `heads`: what the database itself has written last. @throws what a location throws
 */
export async function loadFound(
  db: Database,
  locations: readonly Location[],
  {
    what,
    installation,
    heads,
    signal,
    onProgress,
  }: {
    what: 'plan' | 'adoption'
    installation: string
    heads: readonly string[]
    signal?: AbortSignal | undefined
    onProgress?: ((text: string) => void) | undefined
  },
): Promise<Found> {
  const unread = await unreadBatches(db)
  const found = await findBatches(locations, installation, {
    ...{ signal, unread },
    onRead: (count) => onProgress?.(`reading the catalogue: ${count} files`),
  })
  const isComplete = await isCatalogueComplete(db)
  const reading = await db.transaction().execute(async (tx) => {
    const begun = await beginReading(tx, what)
    await sql`truncate catalogue_found`.execute(tx)
    return begun
  })
  // By all of their names: the newest may be missing at the locations.
  const isAmongKnown = found.among([...heads, ...(await knownBatches(db))])
  const isKnown = (sha256: string) => isAmongKnown(sha256) && !unread.includes(sha256)
  const refused = { count: 0, examples: [] as string[] }
  const madeAt = new Map(found.batches.map(({ sha256, header }) => [sha256, Date.parse(header.madeAt)]))
  for (const batch of found.batches) {
    signal?.throwIfAborted()
    // Nothing of it counts before its end was read.
    await db.transaction().execute(async (tx) => {
      await assertReading(tx, reading)
      await loadBatch(tx, batch, { found, madeAt, isKnown: isKnown(batch.sha256), refused, signal })
    })
  }
  await db.transaction().execute(async (tx) => {
    await assertReading(tx, reading)
    await layLeftOver(tx)
  })
  const { unusable } = found
  const isAllRead = isComplete && refused.count === 0 && unusable.length === 0
  const hasAll =
    isAllRead &&
    found.snapshots.some(
      (snapshot) => !isKnown(snapshot) && heads.every((head) => found.isBefore(head, snapshot)),
    )
  // What people changed here since may be forgotten where that is in no batch yet.
  const isLater = (batch: string) => isComplete && heads.every((head) => found.isBefore(head, batch))
  return {
    ...{ batches: found.batches.length, unusable, refused, heads: found.heads },
    ...{ missing: found.missing, hasAll, isLater, reading },
  }
}

type Loading = {
  found: FoundBatches
  /** Milliseconds, by the clock of each batch's database. */
  madeAt: ReadonlyMap<string, number>
  isKnown: boolean
  refused: { count: number; examples: string[] }
  signal: AbortSignal | undefined
}

async function loadBatch(tx: Tx, batch: FoundBatch, loading: Loading): Promise<void> {
  let stretch: ReadEntry[] = []
  for await (const part of readAgain(batch, loading.signal)) {
    if (!('entry' in part) && !('refused' in part)) continue
    const entry = 'refused' in part ? part : readEntry(part.entry)
    if ('refused' in entry) {
      loading.refused.count += 1
      if (loading.refused.examples.length < MAX_EXAMPLES)
        loading.refused.examples.push(`${batch.at.key}: ${entry.refused}`)
      continue
    }
    stretch.push(entry)
    if (stretch.length < STRETCH) continue
    await lay(tx, batch, stretch, loading)
    stretch = []
  }
  await lay(tx, batch, stretch, loading)
}

type Row = { kind: string; id: string; batch: string; isGone: boolean }

async function lay(
  tx: Queryable,
  { sha256 }: FoundBatch,
  stretch: readonly ReadEntry[],
  { found, madeAt, isKnown }: Loading,
): Promise<void> {
  // The last of one batch that is of one thing.
  const entries = [...new Map(stretch.map((one) => [`${one.kind} ${one.id}`, one])).values()]
  if (entries.length === 0) return
  const kinds = entries.map(({ kind }) => kind)
  const ids = entries.map(({ id }) => id)
  const { rows } = await sql<Row>`
    select kind, id, batch, is_gone as "isGone" from catalogue_found
    where (kind, id) in (select * from unnest(${kinds}::text[], ${ids}::uuid[]))`.execute(tx)
  const there = new Map(rows.map((row) => [`${row.kind} ${row.id}`, row]))
  const counts = entries.filter((entry) => {
    const other = there.get(`${entry.kind} ${entry.id}`)
    if (other === undefined || other.batch === sha256) return true
    if (found.isBefore(other.batch, sha256)) return true
    if (other.isGone !== entry.isGone) return other.isGone
    return madeAt.get(sha256)! > (madeAt.get(other.batch) ?? 0)
  })
  await sql`
    insert into catalogue_found (kind, id, batch, is_known, is_gone, entry)
    select kind, id, ${sha256}, ${isKnown}, is_gone, entry
    from jsonb_to_recordset(${JSON.stringify(
      counts.map(({ kind, id, isGone, value }) => ({ kind, id, is_gone: isGone, entry: value })),
    )}::jsonb) as one (kind text, id uuid, is_gone boolean, entry jsonb)
    on conflict (kind, id) do update set batch = excluded.batch, is_known = excluded.is_known,
      is_gone = excluded.is_gone, entry = excluded.entry`.execute(tx)
}
