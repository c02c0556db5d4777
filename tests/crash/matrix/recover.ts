/** What the product does by itself after a restart, with the time passed that dead processes are given. */
import { sql } from 'kysely'
import type { Database } from '../../../src/database/connect.ts'
import { sweepLibrary } from '../../../src/library/server/sweep.ts'
import { silentLog } from '../../../src/log.ts'
import type { MediaTools } from '../../../src/media/processes/tools.ts'
import { collectDue } from '../../../src/placement/collect/collect-due.ts'
import { rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { scrubLocation } from '../../../src/placement/scrub/scrub-location.ts'
import { HEARTBEAT_TIMES, startHeartbeat } from '../../../src/queue/worker/heartbeat.ts'
import { makeWorkerId } from '../../../src/queue/worker/worker-id.ts'
import { pendingIn } from './check.ts'
import type { Site } from './site.ts'
import { workOff } from './work-off.ts'

/** A purge after a sweep after a purge; more of them would be something that never ends. */
const MAX_ROUNDS = 6

/** Until nothing is to do; the errors of jobs and sweeps of the last round, where something still is. */
export async function recover(site: Site, mediaTools: MediaTools): Promise<string[]> {
  const { db, placement } = site
  // Gives back what the killed worker had claimed.
  const beat = await startHeartbeat(
    db,
    await makeWorkerId(),
    HEARTBEAT_TIMES,
    silentLog,
    async () => undefined,
  )
  await beat.stop()
  let errors: string[] = []
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    await passTime(db)
    errors = (await workOff(site, mediaTools, { isTimeOver: true })).errors
    rebalanceAnew(placement)
    const sweeps = [
      () => sweepPlacement(placement),
      () => collectDue(placement),
      () => sweepLibrary({ db, placement, log: silentLog }),
      ...[...placement.locations.keys()].map(
        (at) => () => scrubLocation(placement, at, { isUnlimited: true }),
      ),
    ]
    for (const sweep of sweeps) await sweep().catch((error: Error) => errors.push(`sweep: ${error.message}`))
    errors.push(...(await workOff(site, mediaTools, { isTimeOver: true })).errors)
    if ((await pendingIn(db)).length === 0) return []
  }
  return errors
}

/** As if every lease, URL and wait were over: nobody who was killed is still at work. */
async function passTime(db: Database): Promise<void> {
  const past = sql`now() - interval '2 days'`
  await sql`update replica set lease_expires_at = ${past} where state in ('writing', 'evicting')`.execute(db)
  await sql`update replica set writable_until = ${past} where writable_until is not null`.execute(db)
  await sql`update class_change set lease_expires_at = ${past},
    clear_after = least(clear_after, case when doomed_key is not null then ${past} end)`.execute(db)
  await sql`update unfinished_upload set lease_expires_at = ${past}`.execute(db)
  await sql`update key_to_clear set clear_at = ${past}, writable_until = ${past}, retry_at = null`.execute(db)
  await sql`update location_scrub set lease_expires_at = ${past} where holder is not null`.execute(db)
  await sql`update location_listing set lease_expires_at = ${past} where holder is not null`.execute(db)
  await sql`update collection_item set lease_expires_at = ${past} where state = 'removing'`.execute(db)
  await sql`update collection_item set not_before = ${past} where not_before is not null`.execute(db)
  await sql`update campaign_object set not_before = null, lease_expires_at = ${past}
    where state in ('moving', 'reclaiming', 'returning')`.execute(db)
  await sql`update local_lease set expires_at = ${past} where purpose <> 'processing'`.execute(db)
  await sql`update direct_upload set expires_at = ${past} where state = 'open'`.execute(db)
  await sql`update stored_object set created_at = created_at - interval '2 days' where not is_linked`.execute(
    db,
  )
}
