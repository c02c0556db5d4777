import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/connect.ts'
import { publish } from '../database/events.ts'
import { AppError, isAppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { enqueue } from '../queue/enqueue.ts'
import { type Clock, systemClock } from '../storage/moment.ts'
import type { BackupSettings } from './backup-settings.ts'
import { closeCache, openCache } from './cache/open.ts'
import { type Delivery, PROXY_EVERYTHING } from './delivery-rules.ts'
import { recordConfigured } from './ledger/belonging-rows.ts'
import { forgetPendingMoves, recordPolicy } from './ledger/pending-moves.ts'
import type { Location } from './location.ts'
import { identifyHolder } from './locations/counter/moved-installation.ts'
import { applyDrains, forgetDrains } from './locations/drains.ts'
import { applyDrills } from './locations/drill.ts'
import { isAway } from './locations/health.ts'
import { locationsWithReplicas, onlyThere } from './locations/known-locations.ts'
import { confirmLocation, lookAtLocation, probeLocation, recordHealth } from './locations/locations.ts'
import { makeMediaFolder } from './locations/media-folder.ts'
import { forgetRetired } from './locations/retire.ts'
import { rebalanceAnew } from './maintenance/rebalance.ts'
import { proposeCampaigns } from './migration/propose-changes.ts'
import { DEFAULT_SETTINGS, type Placement, type PlacementSettings } from './placement.ts'
import { everyLocation, type MinCopies, type Policy } from './policy.ts'
import { closeRechecks } from './replica-io/recheck-replica.ts'
import type { ClassPolicy } from './storage-classes.ts'
import { type PriceList, SHIPPED_PRICES } from './storage-prices.ts'

/** How long a start waits for the locations other than this disk. */
const CONFIRM_PATIENCE_MS = 1_000

export type PlacementParts = {
  db: Database
  log: Log
  /** All locations that are configured or still hold replicas; `localId` names one of kind `disk`. */
  locations: readonly Location[]
  localId: string
  mediaLocation: string
  policy: Policy
  /** Absent: every location of the policy. */
  minCopies?: MinCopies
  /** Absent: everything stays in the ordinary class. */
  classes?: ClassPolicy
  /** Absent: the list that comes with Glassine. */
  prices?: PriceList
  settings?: Partial<PlacementSettings>
  /** Default: every byte goes through us. */
  delivery?: Delivery
  /** Absent: no backups are made. */
  backups?: BackupSettings
  isAwaited: Placement['isAwaited']
  now?: () => Date
  clock?: Clock
}

/**
 * Wires placement and confirms the media volume: refuses (`conflict`) a media location whose mount is
 * missing, instead of writing beside it. A bucket that can't be reached does not stop the start; it is
 * confirmed before the first write to it.
 */
export async function openPlacement(parts: PlacementParts): Promise<Placement> {
  const locations = new Map(parts.locations.map((location) => [location.id, location]))
  const local = locations.get(parts.localId)
  if (!local) throw new AppError('invalid', `unknown location "${parts.localId}"`)
  for (const [kind, ids] of Object.entries(parts.policy)) {
    for (const id of ids) {
      if (!locations.has(id))
        throw new AppError('invalid', `${kind} belongs at "${id}", which is not configured`)
    }
  }
  const minCopies = parts.minCopies ?? everyLocation(parts.policy)
  const placement: Placement = {
    db: parts.db,
    log: parts.log,
    locations,
    local,
    mediaLocation: parts.mediaLocation,
    policy: parts.policy,
    minCopies,
    configured: { policy: parts.policy, minCopies },
    belonging: { kinds: {}, drained: [] },
    classes: parts.classes ?? {},
    prices: parts.prices ?? SHIPPED_PRICES,
    settings: { ...DEFAULT_SETTINGS, ...parts.settings },
    delivery: parts.delivery ?? PROXY_EVERYTHING,
    recallFolder: join(
      parts.mediaLocation,
      'recall',
      `${hostname()}.${process.pid}.${randomBytes(4).toString('hex')}`,
    ),
    cache: null,
    backups: parts.backups ?? null,
    isAwaited: parts.isAwaited,
    now: parts.now ?? (() => new Date()),
    clock: parts.clock ?? systemClock,
  }
  await applyDrills(placement)
  await confirmLocation(placement, local).catch((error: unknown) => {
    // People must be able to look at photos, and an administrator to decide. Every write there is refused.
    if (!isAppError(error, 'conflict') || error.details?.ledger === undefined) throw error
    parts.log.error({ location: local.id }, error.message)
  })
  await identifyHolder(placement)
  await recordConfigured(parts.db, parts.policy, asking(placement))
  // What is held since that change may name them.
  await forgetRetired(placement)
  await applyDrains(placement)
  await recordPolicy(placement)
  await proposeCampaigns(placement)
  await removeDeadRecallFolders(placement)
  const looked = openCacheFolder(placement)
  const confirming = [...locations.values()]
    .filter((location) => location !== local)
    .map((location) =>
      (location.isReadOnly ? lookAtLocation : confirmLocation)(placement, location).catch((error: Error) =>
        noteUnusable(placement, location, error),
      ),
    )
  // One that hangs must not keep the server from starting; it goes on in the background.
  await Promise.race([
    Promise.all([...confirming, looked]),
    sleep(CONFIRM_PATIENCE_MS, undefined, { ref: false }),
  ])
  return placement
}

/** With campaigns, files that are there already don't move before somebody has agreed. */
function asking({ settings }: Pick<Placement, 'settings'>): { asksFirst: boolean } {
  return { asksFirst: settings.campaigns }
}

/** How long a reload waits for locations that it has opened. */
const RELOAD_PATIENCE_MS = 10_000

export type Reconfiguration = Pick<Placement, 'policy' | 'minCopies' | 'classes' | 'delivery'> & {
  /** All of them; those that stay are the same objects. */
  locations: readonly Location[]
  settings: Partial<PlacementSettings>
}
export type Reconfigured = {
  added: Location[]
  changed: Location[]
  /** As they were, the changed ones included: to be closed when nobody uses them any more. */
  left: Location[]
  troubles: { location: string; problem: string }[]
}

/**
 * Goes on with other locations and rules, from one moment to the next: whoever has a location in hand ends
 * there what was begun. Confirms and probes what is new.
 * @throws AppError conflict, before anything is changed, where a location would be left that still holds
 *   something, or has become another place; what the database throws: then the locations and rules are those
 *   of before, and whoever opened the new ones may close them
 */
export async function reconfigurePlacement(
  placement: Placement,
  { locations: given, settings, ...rules }: Reconfiguration,
): Promise<Reconfigured> {
  const before = placement.locations
  const locations = new Map(given.map((location) => [location.id, location]))
  const added = given.filter(({ id }) => !before.has(id))
  const changed = given.filter((location) => before.has(location.id) && before.get(location.id) !== location)
  const left = [...before.values()].filter((location) => locations.get(location.id) !== location)
  await assertNothingLeft(
    placement,
    left.filter(({ id }) => !locations.has(id)),
  )
  for (const location of [...added, ...changed]) await assertSamePlace(placement, location)
  // Before this process works by it: it may fail.
  const asks = asking({ settings: { ...placement.settings, ...settings } })
  await recordConfigured(placement.db, rules.policy, asks)
  await recordPolicy({ db: placement.db, policy: rules.policy, minCopies: rules.minCopies })
  const { policy, minCopies } = rules
  const former = { ...placement }
  Object.assign(placement, {
    ...rules,
    configured: { policy, minCopies },
    locations,
    settings: { ...placement.settings, ...settings },
  })
  forgetDrains(placement)
  try {
    return { added, changed, left, troubles: await beginWith(placement, [...added, ...changed]) }
  } catch (error) {
    await goBackTo(placement, former)
    throw error
  }
}

/** What follows from other locations and rules. @returns what is not usable of those that are `anew` */
async function beginWith(placement: Placement, anew: readonly Location[]): Promise<Reconfigured['troubles']> {
  await applyDrains(placement)
  await proposeCampaigns(placement)
  await applyDrills(placement)
  const patience = sleep(RELOAD_PATIENCE_MS, 'late' as const, { ref: false })
  const looks = anew.map(async ({ id }) => {
    const problem = await Promise.race([whyNotUsable(placement, id), patience])
    return problem === null ? [] : [{ location: id, problem: problem === 'late' ? 'no answer yet' : problem }]
  })
  const troubles = (await Promise.all(looks)).flat()
  rebalanceAnew(placement)
  forgetPendingMoves(placement)
  await enqueue(placement.db, 'sweep-placement', {})
  await publish(placement.db, { type: 'storage-changed' })
  // Last, for it can't be taken back.
  await forgetRetired(placement)
  return troubles
}

/** Never throws: its caller has an error to tell. */
async function goBackTo(
  placement: Placement,
  { policy, minCopies, classes, delivery, configured, locations, settings }: Placement,
): Promise<void> {
  Object.assign(placement, { policy, minCopies, classes, delivery, configured, locations, settings })
  forgetDrains(placement)
  forgetPendingMoves(placement)
  rebalanceAnew(placement)
  const { db } = placement
  const record = async () => {
    await recordConfigured(db, configured.policy, asking(placement))
    await recordPolicy(placement)
    await proposeCampaigns(placement)
  }
  await record().catch((error: Error) =>
    // The database keeps rules that nobody works by, until the next reload or start.
    placement.log.error({ error: error.message }, 'the former places of files could not be written down'),
  )
}

async function assertNothingLeft({ db }: Placement, left: readonly Location[]): Promise<void> {
  const holding = await locationsWithReplicas(db)
  const named = left.map(({ id }) => id).filter((id) => holding.has(id))
  if (named.length === 0) return
  const { count } = await onlyThere(db, named)
  throw new AppError(
    'conflict',
    `${named.join(', ')} still ${named.length === 1 ? 'holds' : 'hold'} files, ${count} of which have no verified copy elsewhere: ` +
      'leave the description in the file until they have moved (a restart would go on without it, and could not read them)',
  )
}

/** Another address under a known name would be taken for the same place, were it not for the marker. */
async function assertSamePlace({ db }: Placement, { id, identity }: Location): Promise<void> {
  const row = await db
    .selectFrom('location')
    .select(['identity', 'marker', 'origin'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row?.marker == null || row.origin !== null || row.identity === identity) return
  throw new AppError(
    'conflict',
    `location "${id}" was ${row.identity} and is now described as ${identity}; give another place another name`,
  )
}

/** Confirms a location, and probes one that never was. Never throws: it may be well later. */
async function whyNotUsable(placement: Placement, id: string): Promise<string | null> {
  const location = placement.locations.get(id)
  if (location === undefined) return null
  try {
    await (location.isReadOnly ? lookAtLocation : confirmLocation)(placement, location)
    const row = await placement.db
      .selectFrom('location')
      .select('probed_at')
      .where('id', '=', id)
      .executeTakeFirst()
    if (location.isReadOnly || row?.probed_at != null) return null
    const { findings } = await probeLocation(placement, id)
    const worst = findings.find(({ ok, critical }) => !ok && critical)
    return worst ? [worst.detail, worst.remedy].filter(Boolean).join(' ') : null
  } catch (error) {
    await noteUnusable(placement, location, error as Error)
    return (error as Error).message
  }
}

/**
 * Writes one line to the log, once, and tells the person who starts the server. Never throws: nothing waits
 * for it.
 */
async function noteUnusable(placement: Placement, { id, breaker }: Location, error: Error): Promise<void> {
  // The row of the drill says what it blocks.
  if (breaker?.blockedFor != null) return
  try {
    if (isAway(error)) return void (await recordHealth(placement, id, error.message, { isAway: true }))
  } catch (failure) {
    placement.log.debug(
      { location: id, error: (failure as Error).message },
      'its health could not be recorded',
    )
  }
  placement.log.warn({ location: id, error: error.message }, 'a location is not usable yet')
}

/** Resolves when the contents of the cache are known; they may be served before. */
async function openCacheFolder(placement: Placement): Promise<void> {
  const {
    cacheMaxBytes: maxBytes,
    cacheWholeBytes: wholeBytes,
    cacheChunkBytes: chunkBytes,
  } = placement.settings
  const folder = join(placement.mediaLocation, 'cache')
  if (maxBytes === 0) {
    // The cache is switched off: its old files only take space.
    await rm(folder, { recursive: true, force: true }).catch((error: Error) => {
      placement.log.warn({ folder, error: error.message }, 'the former cache could not be removed')
    })
    return
  }
  placement.cache = openCache({
    folder,
    maxBytes,
    wholeBytes,
    chunkBytes,
    log: placement.log,
    makeFolder: (path) => makeMediaFolder(placement, path),
    space: async () =>
      (await placement.local.backend.localFiles?.space()) ?? {
        freeBytes: Number.POSITIVE_INFINITY,
        totalBytes: 0,
      },
  })
  await placement.cache.scan.isRunning
}

/** Recalled copies belong to a process; a process that was killed leaves its folder behind. */
async function removeDeadRecallFolders(placement: Placement): Promise<void> {
  const parent = join(placement.mediaLocation, 'recall')
  await mkdir(parent, { recursive: true })
  for (const name of await readdir(parent)) {
    const parts = name.split('.')
    const pid = Number(parts.at(-2))
    if (parts.slice(0, -2).join('.') !== hostname() || !Number.isInteger(pid) || isAlive(pid)) continue
    await rm(join(parent, name), { recursive: true, force: true })
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Gives back what this process holds on the media volume and closes the backends. */
export async function closePlacement(placement: Placement): Promise<void> {
  await rm(placement.recallFolder, { recursive: true, force: true })
  await closeRechecks(placement)
  if (placement.cache) await closeCache(placement.cache)
  for (const location of placement.locations.values()) await location.backend.close()
}
