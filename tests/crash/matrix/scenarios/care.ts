/** What is looked after: rot is found and healed, and what killed processes left is collected. */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdir, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { sql } from 'kysely'
import { collectDue } from '../../../../src/placement/collect/collect-due.ts'
import { decideCollection } from '../../../../src/placement/collect/decide.ts'
import { planCollection } from '../../../../src/placement/collect/plan.ts'
import { freshKey, knownKey, partsOfKey } from '../../../../src/placement/keys.ts'
import { checkListing } from '../../../../src/placement/listing/check-listing.ts'
import { sweepPlacement } from '../../../../src/placement/maintenance/sweep.ts'
import { scrubLocation } from '../../../../src/placement/scrub/scrub-location.ts'
import type { Around, Scenario } from '../scenario.ts'
import { BUCKET, openSite } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { acknowledgedObject, keyAt, rotOnDisk, SMALL_BYTES } from './files.ts'

const start: Scenario = {
  name: 'start',
  role: 'server',
  async prepare(around) {
    await acknowledgedObject(around, SMALL_BYTES)
    return {}
  },
  async runAlone({ setup }) {
    await openSite(setup)
  },
}

/** One object has rotted on the disk, another one in the bucket. */
const scrubAndHeal: Scenario = {
  name: 'scrub-and-heal',
  role: 'worker',
  options: { originals: ['local', BUCKET] },
  async prepare(around) {
    const { site, bucket, mediaTools } = around
    const onDisk = await acknowledgedObject(around, SMALL_BYTES)
    const inBucket = await acknowledgedObject(around, SMALL_BYTES)
    await workOffWell(site, mediaTools, { names: ['replicate-object'] })
    await rotOnDisk(site, onDisk.id)
    await bucket.stored.tamper(await keyAt(site, inBucket.id))
    return {}
  },
  async run(site, { mediaTools }) {
    for (const at of ['local', BUCKET]) await scrubLocation(site.placement, at, { isUnlimited: true })
    await workOffWell(site, mediaTools, { names: ['replicate-object'], isTimeOver: true })
    await workOffWell(site, mediaTools, { names: ['replicate-object'], isTimeOver: true })
  },
}

/** A listing compares both places with the ledger: one file is missing, and one is nobody's. */
const listing: Scenario = {
  name: 'listing',
  role: 'worker',
  options: { originals: ['local', BUCKET] },
  async prepare(around) {
    const { site, bucket, mediaTools } = around
    await acknowledgedObject(around, SMALL_BYTES)
    const missing = await acknowledgedObject(around, SMALL_BYTES)
    await workOffWell(site, mediaTools, { names: ['replicate-object'] })
    await bucket.stored.vanish(await keyAt(site, missing.id))
    return {}
  },
  async run(site, { mediaTools }) {
    for (const at of ['local', BUCKET]) await checkListing(site.placement, at, { isNow: true })
    await workOffWell(site, mediaTools, { names: ['replicate-object'], isTimeOver: true })
  },
}

/** What processes that were killed at several other points left, all at once. */
const collect: Scenario = {
  name: 'collect',
  role: 'worker',
  options: { aheadMs: 2 * 24 * 3_600_000 },
  async prepare(around) {
    const { site } = around
    const { db, setup, mediaLocation } = site
    const past = sql`now() - interval '2 days'`
    // A copy that was whole, of which no commit says so.
    const whole = await acknowledgedObject(around, SMALL_BYTES)
    const wholeKey = await putInBucket(around, whole.id, whole.bytes)
    await writingRow(around, whole.id, wholeKey)
    // One of other bytes.
    const wrong = await acknowledgedObject(around, SMALL_BYTES)
    await writingRow(around, wrong.id, await putInBucket(around, wrong.id, randomBytes(SMALL_BYTES)))
    // The bytes of a key that no replica names, beside a verified copy.
    const late = await acknowledgedObject(around, SMALL_BYTES)
    const lateKey = await putInBucket(around, late.id, late.bytes)
    await sql`insert into key_to_clear (location_id, key, writable_until, clear_at, object_id)
      values (${BUCKET}, ${lateKey}, ${past}, ${past}, ${late.id})`.execute(db)
    // An upload that never became an asset.
    const unlinked = randomUUID()
    await sql`insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
      values (${unlinked}, ${setup.actor.userId}, 'original', 9, sha256('unlinked'), 'image/jpeg', 'jpg')`.execute(
      db,
    )
    await sql`update stored_object set created_at = ${past} where id = ${unlinked}`.execute(db)
    await writingRow(around, unlinked, await putInBucket(around, unlinked, randomBytes(9)))
    // An upload in parts that a killed writer began.
    const partsKey = freshOf(around, randomUUID())
    const { uploadId } = await site.placement.locations.get(BUCKET)!.backend.multipart!.begin(partsKey)
    await sql`insert into unfinished_upload (location_id, key, upload_id, lease_expires_at)
      values (${BUCKET}, ${partsKey}, ${uploadId}, ${past})`.execute(db)
    const staging = join(mediaLocation, 'staging')
    await mkdir(staging, { recursive: true })
    await writeFile(join(staging, 'left'), 'half of it')
    await utimes(join(staging, 'left'), 0, 0)
    return {}
  },
  async run(site, { mediaTools }) {
    await sweepPlacement(site.placement)
    await workOffWell(site, mediaTools, {
      names: ['purge-object', 'replicate-object', 'evict-replica'],
      isTimeOver: true,
    })
  },
}

/**
 * What nothing names goes by a decision that is due: a file, parts of an upload, and the bytes of a photo
 * that has lost its copy, which become that copy.
 */
const collectStrays: Scenario = {
  name: 'collect-strays',
  role: 'worker',
  options: { originals: ['local', BUCKET] },
  async prepare(around) {
    const { site, bucket, mediaTools } = around
    const { db, placement } = site
    const lost = await acknowledgedObject(around, SMALL_BYTES)
    await acknowledgedObject(around, SMALL_BYTES)
    await workOffWell(site, mediaTools, { names: ['replicate-object'] })
    const key = await keyAt(site, lost.id)
    await bucket.stored.vanish(key)
    await putInBucket(around, lost.id, lost.bytes, partsOfKey(key)!.assetId!)
    await putInBucket(around, randomUUID(), randomBytes(SMALL_BYTES + 1))
    await placement.locations.get(BUCKET)!.backend.multipart!.begin(freshOf(around, randomUUID()))
    const day = sql`interval '1 day'`
    for (let listings = 0; listings < 2; listings += 1) {
      await sql`update stray set first_seen_at = first_seen_at - ${day}, last_seen_at = last_seen_at - ${day}`.execute(
        db,
      )
      await checkListing(placement, BUCKET, { isNow: true })
    }
    const { collect } = await planCollection(placement, placement.locations.get(BUCKET)!)
    if (collect?.files !== 2 || collect.uploads !== 1) throw new Error('there is another plan than expected')
    await decideCollection(placement, BUCKET, { ...collect, actor: 'matrix' })
    await sql`update collection set decided_at = decided_at - 8 * ${day}, collect_after = collect_after - 8 * ${day}`.execute(
      db,
    )
    return {}
  },
  async run(site, { mediaTools }) {
    await collectDue(site.placement)
    await workOffWell(site, mediaTools, { names: ['replicate-object'], isTimeOver: true })
  },
}

function freshOf({ site }: Around, objectId: string, assetId: string = randomUUID()) {
  return freshKey({
    id: objectId,
    kind: 'original',
    ownerId: site.setup.actor.userId,
    assetId,
    extension: 'jpg',
  } as Parameters<typeof freshKey>[0])
}

async function putInBucket(
  around: Around,
  objectId: string,
  bytes: Buffer,
  assetId?: string,
): Promise<string> {
  const key = freshOf(around, objectId, assetId)
  await around.site.placement.locations.get(BUCKET)!.backend.put(key, {
    size: bytes.length,
    digests: [{ algorithm: 'sha256', value: createHash('sha256').update(bytes).digest('hex') }],
    open: () => Readable.from([bytes]),
  })
  return key
}

async function writingRow({ site }: Around, objectId: string, key: string): Promise<void> {
  await sql`insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    values (${objectId}, ${BUCKET}, ${knownKey(key)}, 'writing', 'killed', now() - interval '2 days')`.execute(
    site.db,
  )
}

export const CARE: Scenario[] = [start, scrubAndHeal, listing, collect, collectStrays]
