/** A placement with a bucket, and files in it that nothing names. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import type { StrictProfile } from 'strict-s3/profiles'
import type { Database } from '../../../src/database/connect.ts'
import type { ObjectKind } from '../../../src/database/schema.ts'
import { collectDue } from '../../../src/placement/collect/collect-due.ts'
import { collectionStatuses } from '../../../src/placement/collect/collections.ts'
import { decideCollection } from '../../../src/placement/collect/decide.ts'
import { planCollection } from '../../../src/placement/collect/plan.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import type { Location } from '../../../src/placement/location.ts'
import type { Placement, PlacementSettings } from '../../../src/placement/placement.ts'
import type { Body, ObjectKey, StorageBackend } from '../../../src/storage/backend.ts'
import type { Clock } from '../../../src/storage/moment.ts'
import { ingestBytes, placesOf, testPlacement } from '../placement.ts'
import { testDatabase } from '../postgres.ts'
import { startClassBucket } from './class-bucket.ts'

export const DAY_MS = 24 * 3_600_000

export async function startStrayRig(
  t: TestContext,
  {
    profile = {},
    settings = {},
    remotes = [],
    originals = ['s3'],
    clock,
  }: {
    profile?: Partial<StrictProfile>
    settings?: Partial<PlacementSettings>
    /** Further places, in memory. */
    remotes?: string[]
    /** Where originals belong. */
    originals?: string[]
    clock?: Clock
  } = {},
) {
  const database = await testDatabase()
  const bucket = await startClassBucket(profile, 's3')
  const rig = await testPlacement(database.db, {
    ...{ remotes, originals },
    extra: [bucket.location],
    settings: { collectAgeMs: 0, ...settings },
    ...(clock && { clock }),
  })
  t.after(async () => {
    await rig.close()
    await bucket.close()
    await database.drop()
  })
  const { placement } = rig
  const { db } = database
  return {
    ...{ db, placement, bucket, server: bucket.server, mediaLocation: rig.mediaLocation },
    remotes: rig.remotes,
    places: (id: string) => placesOf(db, id),
    plan: (id = 's3') => planOf(placement, id),
    list: (id = 's3', on = placement) => checkListing(on, id, { isNow: true }),
    /** Two listings, a day apart. */
    async seeTwice(id = 's3') {
      await checkListing(placement, id, { isNow: true })
      await passDays(db, 1)
      await checkListing(placement, id, { isNow: true })
    },
    /** Decides what the plan of now offers, and waits until its time has come. */
    async decide({ isDue = true, id = 's3' } = {}) {
      const { collect } = await planOf(placement, id)
      if (collect === null) throw new Error('there is nothing to collect')
      const { planId, confirm } = collect
      const decided = await decideCollection(placement, id, { planId, confirm, actor: 'test' })
      if (isDue) await passDays(db, 8)
      return decided
    },
    collect: (on = placement) => collectDue(on),
    status: async () => (await collectionStatuses(placement))[0]!,
    /** Bytes that nothing names. */
    async stray(bytes = randomBytes(500), what: { kind?: ObjectKind; backend?: StorageBackend } = {}) {
      const key = strayKey(what.kind)
      await (what.backend ?? bucket.location.backend).put(key, bytesBody(bytes))
      return key
    },
    /** A file of the library, at one place only. */
    async offloaded(bytes = randomBytes(2_000), to = originals[0]!) {
      const id = await ingestBytes(placement, bytes)
      await replicateObject(placement, { objectId: id, to })
      await evictReplica(placement, { objectId: id, from: 'local' })
      return id
    },
    held: async () =>
      (await bucket.server.stored.objects()).map(({ key }) => key).filter((key) => !key.startsWith('.')),
  }
}

export function strayKey(kind: ObjectKind = 'original'): ObjectKey {
  return freshKey({ ownerId: randomUUID(), assetId: randomUUID(), kind, extension: 'jpg' })
}

export function bytesBody(bytes: Buffer): Body {
  const value = createHash('sha256').update(bytes).digest('hex')
  return {
    size: bytes.length,
    digests: [{ algorithm: 'sha256', value }],
    open: ({ start, end } = { start: 0 }) =>
      Readable.from([bytes.subarray(start, end === undefined ? undefined : end + 1)], { objectMode: false }),
  }
}

export const planOf = (placement: Placement, id: string) =>
  planCollection(placement, placement.locations.get(id)!)

/** As if all that is known of strays and decisions were older by so many days. */
export async function passDays(db: Database, days: number): Promise<void> {
  const by = sql`${days} * interval '1 day'`
  await sql`update stray set first_seen_at = first_seen_at - ${by}, last_seen_at = last_seen_at - ${by}`.execute(
    db,
  )
  await sql`update collection set decided_at = decided_at - ${by}, collect_after = collect_after - ${by}`.execute(
    db,
  )
  await sql`update collection_item set not_before = not_before - ${by}, lease_expires_at = lease_expires_at - ${by}`.execute(
    db,
  )
}

/** The same placement, with another backend at a location. */
export function withBackend(
  placement: Placement,
  id: string,
  change: (backend: StorageBackend) => Partial<StorageBackend>,
): Placement {
  const location = placement.locations.get(id)!
  const backend = Object.create(location.backend) as StorageBackend
  for (const [name, value] of Object.entries(change(location.backend)))
    Object.defineProperty(backend, name, { value })
  const changed: Location = { ...location, backend }
  return { ...placement, locations: new Map([...placement.locations, [id, changed]]) }
}
