/** Probes as the ledger keeps them: the last report, and what it found different from the one before. */
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import type { ProbeReport } from '../../storage/probe-report.ts'
import { compareTraits, TRAITS, type Trait, type Traits } from '../../storage/traits.ts'
import type { Placement } from '../placement.ts'

/** Of one location. */
const MAX_KEPT = 200

/**
 * `what` is the trait in words; `before` and `after` answer it. `isWeaker`: proofs or uploads rest on less
 * now.
 */
export type ProbeChange = {
  id: number
  trait: string
  what: string
  before: boolean
  after: boolean
  isWeaker: boolean
  foundAt: string
}

/**
 * Replaces the stored report, except for what browsers found, which is not the server's to know. Traits that
 * this probe could not find out keep their last known answer, so that a change behind an outage is still
 * seen. A probe that is fine and finds nothing new settles what is open.
 */
export async function storeProbe(
  placement: Pick<Placement, 'db' | 'log'>,
  locationId: string,
  report: ProbeReport,
): Promise<void> {
  const changes = await placement.db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('location')
      .select('probe')
      .where('id', '=', locationId)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return []
    const before = row.probe as Pick<ProbeReport, 'traits' | 'browserReach' | 'encryption'> | null
    // With another encryption a place does other things, and has not changed.
    const known: Traits = before?.encryption === report.encryption ? (before?.traits ?? {}) : {}
    const found = compareTraits(known, report.traits ?? {})
    const stored: ProbeReport = {
      ...report,
      traits: { ...known, ...report.traits },
      browserReach: before?.browserReach ?? [],
    }
    await tx
      .updateTable('location')
      .set({ probed_at: report.at, probe: JSON.stringify(stored) })
      .where('id', '=', locationId)
      .execute()
    if (found.length > 0) {
      const rows = found.map(({ trait, before, after, isWeaker }) => ({
        location_id: locationId,
        trait,
        before,
        after,
        is_weaker: isWeaker,
        found_at: report.at,
      }))
      await tx.insertInto('probe_change').values(rows).execute()
      await forgetOld(tx, locationId)
    } else if (report.ok) {
      await resolveChanges(tx, locationId, 'probe', report.at)
    }
    return found
  })
  for (const { trait, before, after, isWeaker } of changes) {
    placement.log.error(
      {
        location: locationId,
        trait,
        before,
        after,
        isWeaker,
        error: `${TRAITS[trait].words}: was ${yesOrNo(before)}, is ${yesOrNo(after)}`,
      },
      'the provider changed its behaviour',
    )
  }
}

const yesOrNo = (value: boolean) => (value ? 'yes' : 'no')

/** Somebody has seen them. Returns whether there were any. */
export async function acknowledgeChanges(
  placement: Pick<Placement, 'db' | 'now'>,
  locationId: string,
  userId: string,
): Promise<boolean> {
  return resolveChanges(placement.db, locationId, userId, placement.now())
}

async function resolveChanges(db: Queryable, locationId: string, by: string, at: Date): Promise<boolean> {
  const settled = await db
    .updateTable('probe_change')
    .set({ settled_at: at, settled_by: by })
    .where('location_id', '=', locationId)
    .where('settled_at', 'is', null)
    .returning('id')
    .execute()
  return settled.length > 0
}

async function forgetOld(db: Queryable, locationId: string): Promise<void> {
  await sql`
    delete from probe_change where location_id = ${locationId} and id <= (
      select id from probe_change where location_id = ${locationId} order by id desc offset ${MAX_KEPT} limit 1
    )`.execute(db)
}

/** What is neither acknowledged nor settled, oldest first, by location. */
export async function openChanges(db: Queryable): Promise<Map<string, ProbeChange[]>> {
  const rows = await db
    .selectFrom('probe_change')
    .selectAll()
    .where('settled_at', 'is', null)
    .orderBy('id')
    .execute()
  const byLocation = new Map<string, ProbeChange[]>()
  for (const row of rows) {
    const list = byLocation.get(row.location_id) ?? []
    list.push({
      id: row.id,
      trait: row.trait,
      what: TRAITS[row.trait as Trait]?.words ?? row.trait,
      before: row.before,
      after: row.after,
      isWeaker: row.is_weaker,
      foundAt: row.found_at.toISOString(),
    })
    byLocation.set(row.location_id, list)
  }
  return byLocation
}
