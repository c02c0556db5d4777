/** Which replicas the class rules move, and what the whole store looks like by class. */
import { sql } from 'kysely'
import type { ObjectKind } from '../../database/schema.ts'
import { enqueueMany } from '../../queue/enqueue.ts'
import type { Proof } from '../ledger/objects.ts'
import { isReadableNowSql } from '../ledger/replicas.ts'
import { classesAt } from '../location.ts'
import type { Placement } from '../placement.ts'
import { type ClassStep, classStep } from '../storage-classes.ts'
import { type NoCopy, whyNoCopy } from './change-class.ts'

const PAGE = 1_000
/** As many changes as one day asks for; the next day goes on where it stopped. */
const MAX_JOBS_A_RUN = 20_000

export type Planned = {
  objectId: string
  locationId: string
  kind: ObjectKind
  size: number
  from: string | null
  /** `refused`: it was tried in vain not long ago. */
  step: ClassStep | { do: 'wait'; to: string; why: NoCopy | 'refused' }
}

type Position = { objectId: string; locationId: string }
const START: Position = { objectId: '00000000-0000-0000-0000-000000000000', locationId: '' }

type Row = {
  objectId: string
  locationId: string
  kind: ObjectKind
  size: number
  createdAt: Date
  storageClass: string | null
  classSince: Date
  proof: Proof | null
  isReadable: boolean
  /** The class that it is not to be brought into for now. */
  refusedClass: string | null
}

/**
 * What the rules make of every verified replica in object storage that has a rule, page after page, by their
 * ids.
 */
export async function* planClasses(
  placement: Placement,
  { from = START, signal }: { from?: Position; signal?: AbortSignal | undefined } = {},
): AsyncGenerator<Planned> {
  const places = [...placement.locations.values()]
    .filter(({ kind, isReadOnly }) => kind !== 'disk' && !isReadOnly)
    .map(({ id }) => id)
  const kinds = [...new Set(places.flatMap((id) => Object.keys(classesAt(placement, id))))]
  if (kinds.length === 0 || places.length === 0) return
  let after = from
  for (;;) {
    signal?.throwIfAborted()
    const { rows } = await sql<Row>`
      select r.object_id as "objectId", r.location_id as "locationId", o.kind, o.size, o.created_at as "createdAt",
        r.storage_class as "storageClass", r.class_since as "classSince", r.proof, ${isReadableNowSql} as "isReadable",
        f.to_class as "refusedClass"
      from replica r join stored_object o on o.id = r.object_id
        left join replica_restore a on a.object_id = r.object_id and a.location_id = r.location_id
        left join class_refusal f on f.object_id = r.object_id and f.location_id = r.location_id and f.refused_until > now()
      where (r.object_id, r.location_id) > (${after.objectId}::uuid, ${after.locationId})
        and r.state = 'verified' and r.location_id = any(${places}::text[])
        and o.state = 'live' and o.is_linked and o.kind = any(${kinds}::text[])
      order by r.object_id, r.location_id limit ${PAGE}`.execute(placement.db)
    for (const row of rows) yield planOne(placement, row)
    const last = rows.at(-1)
    if (!last || rows.length < PAGE) return
    after = last
  }
}

function planOne(placement: Placement, row: Row): Planned {
  const { objectId, locationId, kind, size, storageClass: from } = row
  const step = classStep(classesAt(placement, locationId)[kind], row, row, placement.now())
  const planned = { objectId, locationId, kind, size, from, step }
  if (step.do !== 'change') return planned
  const { backend } = placement.locations.get(locationId)!
  const why = whyNoCopy(backend, row, step.to) ?? (row.refusedClass === step.to ? 'refused' : null)
  return why === null ? planned : { ...planned, step: { do: 'wait', to: step.to, why } }
}

/**
 * Enqueues the changes that the rules ask for: once a day, at most so many, stopping where the worker stops.
 * A day that reached the most is followed by one that begins behind it, so that what fails day after day
 * keeps nothing else from its turn. What was left out, or asked for twice, harms nothing: a job looks at how
 * things stand when it runs.
 */
export async function sweepClasses(placement: Placement, signal?: AbortSignal): Promise<number> {
  const stoppedAt = await readPosition(placement)
  let batch: { payload: { objectId: string; at: string } }[] = []
  let count = 0
  let last: Position | null = null
  const flush = async () => {
    await enqueueMany(placement.db, 'change-class', batch)
    batch = []
  }
  for await (const { objectId, locationId, step } of planRound(placement, stoppedAt, signal)) {
    if (step.do !== 'change') continue
    batch.push({ payload: { objectId, at: locationId } })
    count += 1
    if (batch.length === PAGE) await flush()
    if (count < MAX_JOBS_A_RUN) continue
    last = { objectId, locationId }
    break
  }
  await flush()
  await notePosition(placement, last)
  return count
}

/** Everything once: from there to the end, then from the start to there. */
async function* planRound(
  placement: Placement,
  from: Position,
  signal: AbortSignal | undefined,
): AsyncGenerator<Planned> {
  yield* planClasses(placement, { from, signal })
  if (from === START) return
  for await (const planned of planClasses(placement, { signal })) {
    if (isBehind(planned, from)) return
    yield planned
  }
}

function isBehind(one: Position, other: Position): boolean {
  if (one.objectId !== other.objectId) return one.objectId > other.objectId
  return one.locationId > other.locationId
}

async function readPosition(placement: Placement): Promise<Position> {
  const row = await placement.db
    .selectFrom('class_sweep')
    .select(['after_object as objectId', 'after_location as locationId'])
    .executeTakeFirst()
  return row ?? START
}

/** Null: the next sweep begins at the start. */
async function notePosition(placement: Placement, position: Position | null): Promise<void> {
  if (position === null) {
    await placement.db.deleteFrom('class_sweep').execute()
    return
  }
  const row = { after_object: position.objectId, after_location: position.locationId }
  await placement.db
    .insertInto('class_sweep')
    .values(row)
    .onConflict((conflict) => conflict.column('is_only').doUpdateSet(row))
    .execute()
}
