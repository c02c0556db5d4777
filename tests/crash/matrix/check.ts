/** What must hold of every case: everything acknowledged is there, and nothing is left halfway. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { sql } from 'kysely'
import type { StrictS3 } from 'strict-s3'
import type { Database } from '../../../src/database/connect.ts'
import { wantedPlaces } from '../../../src/placement/belonging.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import type { Acknowledged } from './manifest.ts'
import { BUCKET, type Site } from './site.ts'

/** Of bytes that somebody has, wherever they lie. */
const OURS = /^(users|backups)\//

/** SHA-256 by `location key`, of all files of ours on the disk and in the bucket, without any ledger. */
export async function heldBytes(mediaLocation: string, bucket: StrictS3): Promise<Map<string, string>> {
  const held = new Map<string, string>()
  const digest = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
  for (const { key } of await bucket.stored.objects())
    if (OURS.test(key)) held.set(`${BUCKET} ${key}`, digest(await bucket.stored.bytes(key)))
  for (const entry of await readdir(mediaLocation, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const key = relative(mediaLocation, path)
    if (entry.isFile() && OURS.test(key)) held.set(`local ${key}`, digest(await readFile(path)))
  }
  return held
}

/** At the moment of the kill, before anything is opened again: no acknowledged bytes are gone. */
export function checkNothingGone(held: Map<string, string>, manifest: readonly Acknowledged[]): void {
  const digests = new Set(held.values())
  const going = new Set(manifest.flatMap((one) => (one.what === 'deleting' ? [one.id] : [])))
  for (const one of manifest) {
    if ((one.what !== 'asset' && one.what !== 'object') || going.has(one.id)) continue
    assert.ok(digests.has(one.sha256), `the bytes of ${one.what} ${one.id} are nowhere after the kill`)
  }
}

/** After the recovery. `mayServe`: whether a replica can be served in this scenario. */
export async function checkAll(
  site: Site,
  bucket: StrictS3,
  manifest: readonly Acknowledged[],
): Promise<void> {
  assert.deepEqual(await pendingIn(site.db), [], 'nothing is stuck')
  await checkManifest(site, manifest)
  const held = await heldBytes(site.mediaLocation, bucket)
  await checkReplicas(site, held)
  await checkHomes(site)
  const unfinished = (await bucket.stored.unfinishedUploads()).filter(({ key }) => OURS.test(key))
  assert.deepEqual(unfinished, [], 'no parts are left to be paid for')
  assert.deepEqual(await leftIn(join(site.mediaLocation, 'staging')), [], 'nothing stays staged')
}

async function checkManifest(site: Site, manifest: readonly Acknowledged[]): Promise<void> {
  const { db } = site
  const going = new Set(manifest.flatMap((one) => (one.what === 'deleting' ? [one.id] : [])))
  for (const one of manifest) {
    switch (one.what) {
      case 'asset':
        if (going.has(one.id) && (await findOriginal(db, one.id)) === null) break
        await checkServed(site, await originalOf(db, one.id), one.sha256)
        assert.ok(!(await isInTrash(db, one.id)), `acknowledged asset ${one.id} is not in the trash`)
        break
      case 'object':
        await checkServed(site, one.id, one.sha256)
        break
      case 'direct-upload': {
        const upload = await db
          .selectFrom('direct_upload')
          .select(['state', 'asset_id', 'reason'])
          .where('id', '=', one.id)
          .executeTakeFirst()
        assert.ok(upload, `direct upload ${one.id} is known`)
        const told = `direct upload ${one.id} is ${upload.state}: ${upload.reason}`
        assert.ok(['done', 'duplicate'].includes(upload.state), told)
        await checkServed(site, await originalOf(db, upload.asset_id), one.sha256)
        break
      }
      case 'deleting':
        break
      case 'deleted': {
        assert.equal(await findOriginal(db, one.id), null, `deleted asset ${one.id} is gone`)
        const { rows } = await sql`select from stored_object where id = ${one.objectId}`.execute(db)
        assert.equal(rows.length, 0, `the object of deleted asset ${one.id} is gone`)
      }
    }
  }
}

async function findOriginal(db: Database, assetId: string): Promise<string | null> {
  const row = await db
    .selectFrom('asset')
    .select('original_object_id')
    .where('id', '=', assetId)
    .executeTakeFirst()
  return row?.original_object_id ?? null
}

async function isInTrash(db: Database, assetId: string): Promise<boolean> {
  const { rows } = await sql`select from asset where id = ${assetId} and deleted_at is not null`.execute(db)
  return rows.length > 0
}

async function originalOf(db: Database, assetId: string): Promise<string> {
  const found = await findOriginal(db, assetId)
  assert.ok(found, `acknowledged asset ${assetId} is there`)
  return found
}

/** Read as a download reads it, with no cache and no recalled copy to help. */
async function checkServed(site: Site, objectId: string, sha256: string): Promise<void> {
  const hash = createHash('sha256')
  const servable = await findServable(site.placement, objectId)
  for await (const piece of await servable.open()) hash.update(piece as Buffer)
  assert.equal(hash.digest('hex'), sha256, `the bytes of object ${objectId}`)
}

/** Each verified replica is there with its object's bytes, and nothing is there without a replica. */
async function checkReplicas({ db }: Site, held: Map<string, string>): Promise<void> {
  const { rows } = await sql<{ place: string; sha256: string }>`
    select location_id || ' ' || key as place, encode(sha256, 'hex') as sha256
    from replica join stored_object on id = object_id where replica.state = 'verified'`.execute(db)
  const known = rows.map(({ place, sha256 }) => `${place} ${sha256}`)
  const there = [...held].map(([place, sha256]) => `${place} ${sha256}`)
  assert.deepEqual(there.sort(), known.sort(), 'the places hold what the ledger says')
}

/** Every object is where the policy or a campaign wants it, and nowhere else. */
async function checkHomes({ db, placement }: Site): Promise<void> {
  const { rows } = await sql<{ id: string }>`select id from stored_object`.execute(db)
  for (const { id } of rows) {
    const { object, replicas } = (await loadObject(db, id))!
    const places = replicas.map(({ locationId }) => locationId).sort()
    const wanted = [...wantedPlaces(object, placement)].sort()
    assert.deepEqual(places, wanted, `${object.kind} ${id} is where it belongs`)
  }
}

/** What is not at its end, in words; empty: nothing is to do. */
export async function pendingIn(db: Database): Promise<string[]> {
  const { rows } = await sql<{ what: string }>`
    select 'replica ' || state || ' at ' || location_id as what from replica where state <> 'verified'
    union all select 'object ' || state || ' ' || kind from stored_object where state <> 'live'
    union all select 'class change to ' || to_class from class_change
    union all select 'unfinished upload ' || key from unfinished_upload
    union all select 'key to clear ' || location_id || ' ' || key from key_to_clear
    union all select 'direct upload ' || state from direct_upload where state in ('open', 'received')
    union all select 'asset ' || processing from asset where processing = 'pending'
    union all select 'lease ' || purpose from local_lease
    union all select 'decision about ' || key || ' ' || state from collection_item where state in ('held', 'removing')
    union all select 'object of a campaign ' || state from campaign_object
      where state in ('moving', 'reclaiming', 'returning')
    union all select 'adoption ' || state from adoption where state <> 'done'
    union all select 'job ' || task_identifier || ' ' || coalesce(last_error, '') from graphile_worker.jobs`.execute(
    db,
  )
  return rows.map(({ what }) => what)
}

async function leftIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
