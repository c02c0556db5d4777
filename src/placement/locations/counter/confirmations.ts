/** What this process knows of its locations from its last looks at them. */
import { sql } from 'kysely'
import type { Queryable } from '../../../database/connect.ts'
import { before, longestBetween, type Moment } from '../../../storage/moment.ts'
import { readLastEventId } from '../../ledger/history.ts'
import type { Location } from '../../location.ts'
import type { Placement } from '../../placement.ts'
import { processState } from '../../process-state.ts'

/** When it was found to be the one that the ledger knows; or that somebody is looking. */
export type Look = { at: Moment } | { confirming: Promise<unknown> }

/**
 * Since when this process has owned a location's counter without a doubt, by `performance.now()`, which
 * leaves out the time in which the machine slept: a wait is not over sooner for it. `lastEventId`: the
 * ledger's history as far as it went then, which tells what is newer than that by no clock. `adoption`: the
 * last one of the location, as it stood then.
 */
type Owning = { since: number; lastEventId: string; adoption: string | null }

/**
 * By what the configuration described, not by its id: after a reload the same id may name another folder, and
 * a look at the first one that ends later says nothing of that.
 */
type State = {
  looks: WeakMap<Location, Look>
  owned: WeakMap<Location, Owning>
  /** The token of each location's counter in the ledger, and when this process first saw it there. */
  tokens: Map<string, { token: string | null; at: Moment }>
}
const stateOf = processState<State>(() => ({ looks: new WeakMap(), owned: new WeakMap(), tokens: new Map() }))

/** Undefined: this process has not looked yet, or what it saw is not good any more. */
export function lookOf(placement: Placement, location: Location): Look | undefined {
  return stateOf(placement).looks.get(location)
}

export function noteLook(placement: Placement, location: Location, look: Look): void {
  stateOf(placement).looks.set(location, look)
}

const LONG_AGO: Moment = {
  steadyMs: Number.NEGATIVE_INFINITY,
  bootMs: Number.NEGATIVE_INFINITY,
  wallMs: Number.NEGATIVE_INFINITY,
}

/** A look that was good is so no more; the process has looked, though. One that is under way goes on. */
export function endLook(placement: Placement, location: Location): void {
  const look = lookOf(placement, location)
  if (look && 'at' in look) noteLook(placement, location, { at: LONG_AGO })
}

/** The next one who needs the location confirmed looks anew. */
export function forgetLook(placement: Placement, location: Location): void {
  stateOf(placement).looks.delete(location)
}

/** As `forgetLook`, of all locations. */
export function forgetLooks(placement: Placement): void {
  for (const location of placement.locations.values()) forgetLook(placement, location)
}

/** As if all looks had been made `ms` earlier. */
export function ageLooks(placement: Placement, ms: number): void {
  for (const location of placement.locations.values()) {
    const look = lookOf(placement, location)
    if (look && 'at' in look) noteLook(placement, location, { at: before(look.at, ms) })
  }
}

/**
 * From now on the location is this ledger's. Where that was known before nothing changes, unless an adoption
 * has begun or ended since, in whichever process: until then another ledger used the location.
 * `since`, for tests: by `performance.now()`.
 */
export async function beginOwning(placement: Placement, location: Location, since?: number): Promise<void> {
  const { owned } = stateOf(placement)
  // In this order: what comes into the history after this look at it is younger than that adoption.
  const adoption = await readAdoption(placement.db, location.id)
  if (owned.get(location)?.adoption === adoption) return
  const lastEventId = await readLastEventId(placement.db)
  if (owned.get(location)?.adoption === adoption) return
  owned.set(location, { since: since ?? performance.now(), lastEventId, adoption })
}

export function endOwning(placement: Placement, location: Location): void {
  stateOf(placement).owned.delete(location)
}

/** As `owningOf`, for those to whom it does not matter since when. Asks nobody. */
export function isOwned(placement: Placement, locationId: string): boolean {
  const location = placement.locations.get(locationId)
  return location !== undefined && stateOf(placement).owned.has(location)
}

/**
 * Null: this process does not own the location, or not without a doubt, or it is not configured. Asks the
 * ledger whether an adoption has begun the owning anew.
 */
export async function owningOf(
  placement: Placement,
  locationId: string,
): Promise<{ forMs: number; lastEventId: string } | null> {
  const { owned } = stateOf(placement)
  const location = placement.locations.get(locationId)
  const known = location && owned.get(location)
  if (location === undefined || known === undefined) return null
  const adoption = await readAdoption(placement.db, locationId)
  if (known.adoption !== adoption) {
    const lastEventId = await readLastEventId(placement.db)
    // Only what is still owned: a conflict may have ended it meanwhile.
    if (owned.get(location) === known)
      owned.set(location, { since: performance.now(), lastEventId, adoption })
  }
  const owning = owned.get(location)
  return owning ? { forMs: performance.now() - owning.since, lastEventId: owning.lastEventId } : null
}

/** A name of the location's last adoption and of how it stands, to compare; null: there was none. */
async function readAdoption(db: Queryable, locationId: string): Promise<string | null> {
  const { rows } = await sql<{ name: string }>`
    select state || ' ' || extract(epoch from started_at) as name
    from adoption where location_id = ${locationId}`.execute(db)
  return rows[0]?.name ?? null
}

/** The ledger holds this token of the location's counter now; where that was known, nothing changes. */
export function noteToken(placement: Placement, locationId: string, token: string | null): void {
  const { tokens } = stateOf(placement)
  if (tokens.get(locationId)?.token !== token) tokens.set(locationId, { token, at: placement.clock() })
}

/**
 * For how many milliseconds at least the ledger has held this token of the location's counter: since this
 * process first saw it. The age by the database's clock is less where that was set back.
 */
export function tokenHeldForMs(placement: Placement, locationId: string, token: string | null): number {
  noteToken(placement, locationId, token)
  return longestBetween(stateOf(placement).tokens.get(locationId)!.at, placement.clock())
}
