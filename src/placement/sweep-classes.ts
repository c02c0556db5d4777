/** Which replicas the class rules move, and what the whole store looks like by class. */
import { sql } from 'kysely'
import type { ObjectKind } from '../database/schema.ts'
import { enqueueMany } from '../queue/enqueue.ts'
import { whyNoCopy } from './change-class.ts'
import type { Placement } from './placement.ts'
import type { Proof } from './replicas.ts'
import { type ClassStep, classStep, isArchiveClass } from './storage-classes.ts'

const PAGE = 1_000
/** As many changes as one day asks for; the next day goes on. */
const MAX_JOBS_A_RUN = 20_000

export type Planned = {
  objectId: string
  locationId: string
  kind: ObjectKind
  size: number
  from: string | null
  step: ClassStep | { do: 'wait'; to: string; why: 'unprovable' }
}

type Row = {
  objectId: string
  locationId: string
  kind: ObjectKind
  size: number
  createdAt: Date
  storageClass: string | null
  classSince: Date
  proof: Proof | null
  availableUntil: Date | null
}

/** What the rules make of every verified replica in object storage that has a rule, page after page. */
export async function* planClasses(placement: Placement, signal?: AbortSignal): AsyncGenerator<Planned> {
  const kinds = Object.keys(placement.classes)
  const places = [...placement.locations.values()].filter(({ kind }) => kind !== 'disk').map(({ id }) => id)
  if (kinds.length === 0 || places.length === 0) return
  let after = { objectId: '00000000-0000-0000-0000-000000000000', locationId: '' }
  for (;;) {
    signal?.throwIfAborted()
    const { rows } = await sql<Row>`
      select r.object_id as "objectId", r.location_id as "locationId", o.kind, o.size, o.created_at as "createdAt",
        r.storage_class as "storageClass", r.class_since as "classSince", r.proof, a.available_until as "availableUntil"
      from replica r join stored_object o on o.id = r.object_id
        left join replica_restore a on a.object_id = r.object_id and a.location_id = r.location_id
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
  const now = placement.now()
  const isReadable =
    !isArchiveClass(row.storageClass) || (row.availableUntil !== null && row.availableUntil > now)
  const { objectId, locationId, kind, size, storageClass: from } = row
  const step = classStep(placement.classes[kind], row, { ...row, isReadable }, now)
  const { backend } = placement.locations.get(locationId)!
  if (step.do === 'change' && whyNoCopy(backend, row, step.to) !== null) {
    return { objectId, locationId, kind, size, from, step: { do: 'wait', to: step.to, why: 'unprovable' } }
  }
  return { objectId, locationId, kind, size, from, step }
}

/**
 * Enqueues the changes that the rules ask for: once a day, at most so many, stopping where the worker stops. What was left
 * out, or asked for twice, harms nothing: a job looks at how things stand when it runs.
 */
export async function sweepClasses(placement: Placement, signal?: AbortSignal): Promise<number> {
  let batch: { payload: { objectId: string; at: string }; key: string }[] = []
  let count = 0
  const flush = async () => {
    await enqueueMany(placement.db, 'change-class', batch)
    batch = []
  }
  for await (const { objectId, locationId, step } of planClasses(placement, signal)) {
    if (step.do !== 'change') continue
    batch.push({ payload: { objectId, at: locationId }, key: `class:${objectId}:${locationId}` })
    count += 1
    if (batch.length === PAGE) await flush()
    if (count === MAX_JOBS_A_RUN) break
  }
  await flush()
  return count
}
