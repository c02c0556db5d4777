/**
 * Whether the people's browsers reach a location with presigned URLs. Only a page can find that out: the
 * server hands it URLs for one key of the probe's own, looks itself at what arrived, removes it, and stores
 * what came of it with the location's report. Nothing is proven by it; it decides whether pages are sent to
 * the bucket at all.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Queryable } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { BrowserProbe, BrowserReach, ProbeReport } from '../../storage/probe-report.ts'
import type { Location } from '../location.ts'
import type { Placement } from '../placement.ts'
import { ttlCache } from '../ttl-cache.ts'

const BYTES = 1024
/** A key is looked after for so long: twice the life of its URLs. */
const LIFE_MS = 10 * 60_000
/** Of one location at a time. */
const MAX_UNDER_WAY = 32
/** Results of so many origins are kept, the newest. */
const MAX_ORIGINS = 8
/** What was found longer ago is found out anew before files are sent that way. */
const UPLOADS_TRUST_MS = 24 * 3_600_000

/** What a page is to try. `body` is in base64. */
export type BrowserProbeOffer = {
  id: string
  locationId: string
  label: string
  body: string
  put: { url: string; headers: Record<string, string> }
  get: { url: string }
}

/**
 * What a page says. `why` null: all of it worked, the ETag was to be seen. `canUpload`: at least the put did.
 */
export type BrowserProbeResult = { why: BrowserReach['why']; canUpload: boolean; detail: string }

/**
 * One offer for each location that can sign; locations that cannot have none. `conflict` when too many are
 * under way.
 */
export async function beginBrowserProbes(placement: Placement, origin: string): Promise<BrowserProbeOffer[]> {
  await removeLateBrowserProbes(placement)
  const offers: BrowserProbeOffer[] = []
  for (const location of placement.locations.values()) {
    if (location.openBrowserProbe) offers.push(await begin(placement, location, origin))
  }
  return offers
}

/** One offer, for a location that can sign. */
export async function beginBrowserProbe(
  placement: Placement,
  location: Location,
  origin: string,
): Promise<BrowserProbeOffer> {
  await removeLateBrowserProbes(placement)
  return begin(placement, location, origin)
}

async function begin(
  placement: Pick<Placement, 'db' | 'now'>,
  location: Location,
  origin: string,
): Promise<BrowserProbeOffer> {
  const id = randomUUID()
  const key = `.glassine-probe/browser-${randomBytes(16).toString('hex')}`
  await placement.db.transaction().execute(async (tx) => {
    // The row of the location serialises, so that the limit holds.
    const known = await tx
      .selectFrom('location')
      .select('id')
      .where('id', '=', location.id)
      .forUpdate()
      .executeTakeFirst()
    if (!known) throw new AppError('unavailable', `${location.label} was never reached; probe it first`)
    const { underWay } = await tx
      .selectFrom('browser_probe')
      .select(({ fn }) => fn.countAll<number>().as('underWay'))
      .where('location_id', '=', location.id)
      .executeTakeFirstOrThrow()
    if (Number(underWay) >= MAX_UNDER_WAY) {
      throw new AppError('conflict', 'too many browser probes are under way; try again in ten minutes')
    }
    const expiresAt = new Date(placement.now().getTime() + LIFE_MS)
    const row = { id, location_id: location.id, key, origin, expires_at: expiresAt }
    await tx.insertInto('browser_probe').values(row).execute()
  })
  const body = bodyOf(key)
  return withProbe(location, async (probe) => {
    const onlyIfAbsent = location.backend.features.conditionalPut === true
    const { put, get } = await probe.sign(key, body, { onlyIfAbsent })
    return { id, locationId: location.id, label: location.label, body: body.toString('base64'), put, get }
  })
}

/**
 * Told once for each offer. Removes what the page put, and stores and returns the result. `isAdmins` false:
 * one person's browser that is kept out does not take back what was found out before; others may be
 * elsewhere.
 * `not-found`: unknown, told before, or late.
 */
export async function finishBrowserProbe(
  placement: Placement,
  id: string,
  result: BrowserProbeResult,
  { isAdmins }: { isAdmins: boolean },
): Promise<BrowserReach> {
  const row = await placement.db
    .updateTable('browser_probe')
    .set({ finished_at: placement.now() })
    .where('id', '=', id)
    .where('finished_at', 'is', null)
    .where('expires_at', '>', placement.now())
    .returning(['location_id', 'key', 'origin'])
    .executeTakeFirst()
  const location = row && placement.locations.get(row.location_id)
  if (!location) throw new AppError('not-found', 'this browser probe is over; begin another')
  return withProbe(location, async (probe) => {
    const held = await probe.read(row.key)
    await probe.remove(row.key)
    const hasArrived = held?.equals(bodyOf(row.key)) === true
    const told: BrowserProbeResult =
      (result.why === null || result.canUpload) && !hasArrived
        ? {
            why: 'incomplete',
            canUpload: false,
            detail: 'the page says that it put a file, but it did not arrive',
          }
        : result
    const reach: BrowserReach = {
      origin: row.origin,
      at: placement.now().toISOString(),
      reach: told.why === null ? 'reachable' : 'blocked',
      ...told,
      ...(told.why !== null && (await probe.explain(row.origin, told.why))),
    }
    await storeReach(placement, location.id, reach, { isAdmins })
    return reach
  })
}

/** The newest result of each origin, beside the report of the server's own probe. */
async function storeReach(
  placement: Placement,
  locationId: string,
  reach: BrowserReach,
  { isAdmins }: { isAdmins: boolean },
): Promise<void> {
  await placement.db.transaction().execute(async (tx) => {
    const row = await tx
      .selectFrom('location')
      .select('probe')
      .where('id', '=', locationId)
      .forUpdate()
      .executeTakeFirstOrThrow()
    const known = reachesIn(row.probe).find(({ origin }) => origin === reach.origin)
    if (!isAdmins && !reach.canUpload && known !== undefined && isTrusted(placement, known)) return
    const others = reachesIn(row.probe).filter(({ origin }) => origin !== reach.origin)
    const all = JSON.stringify([reach, ...others].slice(0, MAX_ORIGINS))
    await tx
      .updateTable('location')
      .set({
        probe: sql<string>`jsonb_set(coalesce(probe, '{}'::jsonb), '{browserReach}', ${all}::jsonb)`,
      })
      .where('id', '=', locationId)
      .execute()
  })
}

/**
 * What a page at that origin found out about the location; null: no page has tried. Code that redirects
 * browsers to the bucket asks this first.
 */
export async function browserReachOf(
  db: Queryable,
  locationId: string,
  origin: string,
): Promise<BrowserReach | null> {
  const row = await db.selectFrom('location').select('probe').where('id', '=', locationId).executeTakeFirst()
  return reachesIn(row?.probe ?? null).find((reach) => reach.origin === origin) ?? null
}

/** What a page at that origin may count on when it uploads; null: it is to try for itself. */
export async function uploadReachOf(
  placement: Placement,
  locationId: string,
  origin: string,
): Promise<BrowserReach | null> {
  const reach = await browserReachOf(placement.db, locationId, origin)
  return reach !== null && isTrusted(placement, reach) ? reach : null
}

function isTrusted(placement: Pick<Placement, 'now'>, reach: BrowserReach): boolean {
  return reach.canUpload && placement.now().getTime() - Date.parse(reach.at) < UPLOADS_TRUST_MS
}

const lately = ttlCache<Placement, BrowserReach | null>()

/**
 * Whether browsers at that origin are known not to get to the location at all. CORS rules don't count:
 * pictures, films and links need none. Looked up in the database every few seconds.
 */
export async function isOutOfReach(
  placement: Placement,
  locationId: string,
  origin: string,
): Promise<boolean> {
  const reach = await lately(placement, `${locationId} ${origin}`, () =>
    browserReachOf(placement.db, locationId, origin),
  )
  const why = reach?.why ?? null
  return why === 'unreachable' || why === 'mixed'
}

/** Origins from which pages have tried: their CORS rules are part of the weekly probe. */
export async function knownOrigins(placement: Pick<Placement, 'db'>, locationId: string): Promise<string[]> {
  const row = await placement.db
    .selectFrom('location')
    .select('probe')
    .where('id', '=', locationId)
    .executeTakeFirst()
  return reachesIn(row?.probe ?? null).map(({ origin }) => origin)
}

export function reachesIn(probe: object | null): BrowserReach[] {
  return (probe as Partial<ProbeReport> | null)?.browserReach ?? []
}

/**
 * Removes what pages put under keys whose URLs have run out, also of pages that never told a result: until
 * then anybody who holds the URL could put once more.
 */
export async function removeLateBrowserProbes(placement: Placement): Promise<void> {
  const late = await placement.db
    .selectFrom('browser_probe')
    .select(['id', 'location_id', 'key'])
    .where('expires_at', '<=', placement.now())
    .execute()
  for (const { id, location_id, key } of late) {
    const location = placement.locations.get(location_id)
    if (!location?.openBrowserProbe) continue
    try {
      await withProbe(location, (probe) => probe.remove(key))
      await placement.db.deleteFrom('browser_probe').where('id', '=', id).execute()
    } catch (error) {
      // A place that is away must not keep others from being probed; its row stays for the next time.
      placement.log.warn(
        { location: location_id, error: (error as Error).message },
        'a late probe was not removed',
      )
    }
  }
}

/** Bytes that nobody else knows, made from the key so that they need not be kept. */
function bodyOf(key: string): Buffer {
  const blocks = Array.from({ length: BYTES / 64 }, (_, n) =>
    createHash('sha512').update(`${n} ${key}`).digest(),
  )
  return Buffer.concat(blocks)
}

async function withProbe<T>(location: Location, use: (probe: BrowserProbe) => Promise<T>): Promise<T> {
  const probe = await location.openBrowserProbe!()
  try {
    return await use(probe)
  } finally {
    probe.close()
  }
}
