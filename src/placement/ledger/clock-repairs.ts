import { sql } from 'kysely'
import { bringBack, type ClockRepair } from '../../database/clock.ts'
import type { Placement } from '../placement.ts'

const NOW = sql`now()`

/**
 * What placement wrote while the clock was ahead, brought back when it went back: a lease that holds for days
 * keeps everybody from the replica for days. Nothing is removed sooner for it than it is ever: each time
 * becomes the longest that it could be now.
 */
export function placementClockRepairs({ settings, delivery }: Placement): ClockRepair[] {
  const inMs = (ms: number) => sql`now() + ${ms} * interval '1 millisecond'`
  const writeLease = inMs(settings.writeLeaseMs)
  return [
    // A client's upload holds its lease for as long as it may take.
    async (tx) => {
      await sql`update replica set lease_expires_at = ${writeLease}
        where state = 'writing' and writable_until is null and lease_expires_at > ${writeLease}`.execute(tx)
    },
    async (tx) => {
      await sql`update replica set verified_at = now() where verified_at > now()`.execute(tx)
    },
    bringBack('unfinished_upload', 'lease_expires_at', writeLease),
    bringBack('class_change', 'lease_expires_at', writeLease),
    // The bytes of a class change stay for an hour, or for as long as a URL holds (change-class.ts).
    bringBack('class_change', 'clear_after', inMs(Math.max(3_600_000, 2 * delivery.windowMs))),
    bringBack('local_lease', 'expires_at', sql`now() + interval '7 days'`),
    bringBack('key_to_clear', 'clear_at', NOW),
    bringBack('key_to_clear', 'retry_at', NOW),
    bringBack('adoption', 'finished_at', NOW),
    // A listing of the future would keep any other one from being due, and everything at its place from ever
    // being too long unseen.
    bringBack('location_listing', 'begun_at', NOW),
    bringBack('location_listing', 'finished_at', NOW),
    // Who is at one notes its progress before that (listing-runs.ts), or is dead.
    bringBack('location_listing', 'lease_expires_at', inMs(5 * 60_000)),
    // From then on the time between two sightings is counted, and the one for which a decision is held.
    bringBack('stray_sighting', 'seen_at', NOW),
    bringBack('stray', 'first_seen_at', NOW),
    bringBack('stray', 'last_seen_at', NOW),
    // The time for which a decision is held begins anew.
    async (tx) => {
      await sql`update collection set decided_at = now(), collect_after = now() + (collect_after - decided_at)
        where decided_at > now()`.execute(tx)
    },
    bringBack('collection_item', 'not_before', sql`now() + interval '7 days'`),
    bringBack('collection_item', 'lease_expires_at', inMs(2 * settings.writeLeaseMs)),
    // From then on the days are counted that a class is paid for at least.
    bringBack('replica', 'class_since', NOW),
    bringBack('class_refusal', 'refused_until', sql`now() + interval '180 days'`),
    // Three at a time (browser-reach.ts).
    bringBack('browser_probe', 'expires_at', inMs(10 * 60_000)),
    bringBack('stored_object', 'kept_since', NOW),
    // Before the changes of the configuration: what came before one of them stays before it.
    async (tx) => {
      const broughtBack = (at: string, change: string) => {
        const [own, of] = [sql.ref(`o.${at}`), sql.ref(`home.${change}`)]
        return sql`case when ${own} > now() then
          case when ${own} < ${of} then now() - interval '1 millisecond' else now() end else ${own} end`
      }
      await sql`update stored_object o set created_at = ${broughtBack('created_at', 'held_before')},
          assigned_at = ${broughtBack('assigned_at', 'configured_since')}
        from home where home.kind = o.kind and (o.created_at > now() or o.assigned_at > now())`.execute(tx)
    },
    bringBack('home', 'held_before', NOW),
    bringBack('home', 'configured_since', NOW),
    bringBack('replica_restore', 'check_at', NOW),
    // A drill blocks a location for what is left of it: of one that begins in the future, nothing.
    async (tx) => {
      await sql`update drill set ends_at = now() where started_at > now()`.execute(tx)
    },
    bringBack('location', 'probed_at', NOW),
    bringBack('location', 'health_changed_at', NOW),
    bringBack('location', 'away_since', NOW),
    bringBack('location', 'drain_begun_at', NOW),
    bringBack('outage', 'began_at', NOW),
    bringBack('outage', 'ended_at', NOW),
  ]
}
