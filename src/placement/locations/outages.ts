/**
 * What this process does about places that can't be reached: tells the ledger when a breaker opens or closes,
 * learns from the ledger what other processes found, heeds drills and drains, and tries again what is away so
 * that nobody's request has to.
 */
import { publish } from '../../database/events.ts'
import { isStorageError } from '../../storage/backend.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { applyDrains } from './drains.ts'
import { applyDrills } from './drill.ts'
import { enqueueLocationCheck, recordHealth, wakeWaitingJobs } from './locations.ts'

/** How soon every process heeds a drill and what others found; one small query each. */
const LOOK_INTERVAL_MS = 2_000
/** What others found longer ago is not worth a cool-down here: they have tried again since. */
const NEWS_MS = 30_000

/** Watches until it is closed; never throws, the database may be away as well. */
export function watchOutages(
  placement: Placement,
  { lookIntervalMs = LOOK_INTERVAL_MS }: { lookIntervalMs?: number } = {},
): { close(): Promise<void> } {
  const guarded = [...placement.locations.values()].filter(({ breaker }) => breaker !== undefined)
  // From the start: a drill may end before the first look.
  const blocked = new Set(guarded.filter(({ breaker }) => breaker?.blockedFor != null).map(({ id }) => id))
  /** By location, since when others say it is away; said once, it is heard once. */
  const heard = new Map<string, number>()
  /** What has to be told to the ledger, in order. */
  let telling: Promise<void> = Promise.resolve()
  let isHearing = false
  let isClosed = false
  let timer: NodeJS.Timeout | undefined

  function tell(location: Location, act: () => Promise<void>): void {
    telling = telling.then(act).catch((error: Error) => {
      placement.log.warn({ location: location.id, error: error.message }, 'an outage could not be recorded')
    })
  }

  for (const location of guarded) {
    location.breaker?.onChange((change) => {
      if (isClosed) return
      if (change.state === 'closed') {
        placement.log.debug({ location: location.id }, 'a location answers again')
        tell(location, () => noteBack(placement, location))
        return
      }
      placement.log.debug({ location: location.id, error: change.reason }, 'a location is left alone for now')
      if (!isHearing) tell(location, () => noteAway(placement, location, change.reason))
    })
  }

  async function look(): Promise<void> {
    await applyDrills(placement)
    await applyDrains(placement)
    for (const location of guarded) {
      const isBlocked = location.breaker?.blockedFor != null
      if (!isBlocked && blocked.delete(location.id)) tell(location, () => noteBack(placement, location))
      else if (isBlocked && !blocked.has(location.id)) {
        blocked.add(location.id)
        placement.log.info(
          { location: location.id },
          `a drill begins: ${location.label} (${location.breaker?.blockedFor})`,
        )
      }
    }
    await readOtherProcesses()
    for (const { breaker, backend } of guarded) {
      // Through the breaker, whose trial it becomes; the change reports the result.
      if (breaker?.isTrialDue()) backend.readMarker().catch(() => undefined)
    }
  }

  async function readOtherProcesses(): Promise<void> {
    const rows = await placement.db
      .selectFrom('location')
      .select(['id', 'away_since', 'health_error'])
      .where('away_since', 'is not', null)
      .execute()
    for (const { id, breaker } of guarded) {
      const row = rows.find((one) => one.id === id)
      const awaySinceMs = row?.away_since?.getTime()
      if (row === undefined || awaySinceMs === undefined || heard.get(id) === awaySinceMs) continue
      heard.set(id, awaySinceMs)
      if (placement.now().getTime() - awaySinceMs > NEWS_MS) {
        void lookAtOldNews(id, row.health_error)
        continue
      }
      isHearing = true
      breaker?.open(row.health_error ?? 'another process could not reach it')
      isHearing = false
    }
  }

  /**
   * A process that starts in the middle of an outage: its first callers must not be the ones who find out,
   * least of all where they are only sent there. Not waited for, since drills are not to wait for a place
   * that hangs.
   */
  async function lookAtOldNews(id: string, problem: string | null): Promise<void> {
    const location = placement.locations.get(id)
    try {
      await location?.backend.readMarker()
    } catch (error) {
      // It answers: a check of the locations says what is wrong.
      if (!isStorageError(error, 'unavailable')) return
      isHearing = true
      location?.breaker?.open(problem ?? error.message)
      isHearing = false
    }
  }

  async function lookAgainAndAgain(): Promise<void> {
    try {
      await look()
    } catch (error) {
      placement.log.debug({ error: (error as Error).message }, 'outages could not be looked at')
    }
    if (!isClosed) timer = setTimeout(lookAgain, lookIntervalMs).unref()
  }
  let looking = Promise.resolve()
  const lookAgain = () => {
    looking = lookAgainAndAgain()
  }
  lookAgain()

  return {
    async close() {
      isClosed = true
      clearTimeout(timer)
      await looking
      await telling
    },
  }
}

async function noteAway(placement: Placement, { id }: Location, reason: string): Promise<void> {
  await recordHealth(placement, id, `it can't be reached: ${reason}`, { isAway: true })
  await publish(placement.db, { type: 'storage-changed' })
}

/**
 * That it answers does not prove that it works: a probe decides, which the check makes. Our own jobs can go
 * on at any rate.
 */
async function noteBack(placement: Pick<Placement, 'db'>, { id }: Location): Promise<void> {
  const row = await placement.db
    .updateTable('location')
    .set({ away_since: null })
    .where('id', '=', id)
    .returning('is_healthy')
    .executeTakeFirst()
  if (row?.is_healthy === true) await wakeWaitingJobs(placement.db)
  else await enqueueLocationCheck(placement.db)
}
