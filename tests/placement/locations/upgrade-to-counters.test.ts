/** A database from before the counters, with rows in all states, is migrated and works on. */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { migrate, readMigrations } from '../../../src/database/migrate.ts'
import { isOfUnendedUpload } from '../../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../../src/log.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { closePlacement, openPlacement } from '../../../src/placement/open.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend, placesOf, policyOf } from '../../support/placement.ts'
import { emptyDatabase } from '../../support/postgres.ts'

test('a database of migration 0008 with rows in all states is migrated, and two processes work on with it', async (t) => {
  const database = await emptyDatabase(t)
  const { db, pool } = database
  const all = await readMigrations()
  await migrate(
    pool,
    silentLog,
    all.filter(({ name }) => name < '0009'),
  )
  const folder = await mkdtemp(join(tmpdir(), 'glassine-upgrade-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const bucket = openMemoryBackend()
  const markers = { local: randomUUID(), s3: randomUUID() }
  await writeFile(join(folder, '.glassine-location'), `${markers.local}\n`)
  await bucket.writeMarker(markers.s3)
  await pool.query(
    `insert into location (id, kind, identity, marker) values ('local', 'disk', 'test local', $1), ('s3', 'memory', 'test s3', $2)`,
    [markers.local, markers.s3],
  )
  const ownerId = randomUUID()

  async function put(locationId: string, key: string, bytes: Buffer): Promise<void> {
    if (locationId === 's3') bucket.held.set(key, { bytes, modifiedAt: new Date() })
    else {
      await mkdir(dirname(join(folder, key)), { recursive: true })
      await writeFile(join(folder, key), bytes)
    }
  }
  type At = { state: 'writing' | 'verified' | 'suspect' | 'evicting'; holds?: boolean; wrong?: boolean }
  async function object(
    places: Record<string, At>,
    { isLinked = true, isPurging = false } = {},
  ): Promise<{ id: string; keys: Record<string, string> }> {
    const id = randomUUID()
    const bytes = randomBytes(1_000)
    const assetId = randomUUID()
    await pool.query(
      `insert into stored_object (id, owner_id, asset_id, kind, size, sha256, content_type, extension, is_linked, created_at)
       values ($1, $2, $3, 'original', 1000, $4, 'image/jpeg', 'jpg', $5, now() - interval '2 days')`,
      [id, ownerId, assetId, createHash('sha256').update(bytes).digest(), isLinked],
    )
    const keys: Record<string, string> = {}
    for (const [locationId, { state, holds = true, wrong = false }] of Object.entries(places)) {
      const key = freshKey({ ownerId, assetId, kind: 'original', extension: 'jpg' })
      keys[locationId] = key
      if (holds) await put(locationId, key, wrong ? randomBytes(1_000) : bytes)
      await pool.query(
        `insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
         values ($1, $2, $3, 'writing', 'test', now() - interval '1 hour')`,
        [id, locationId, key],
      )
      if (state !== 'writing')
        await pool.query(
          `update replica set state = 'verified', proof_level = 3, proof = '{"method":"attested"}', verified_at = now() - interval '1 day', lease_expires_at = null
           where object_id = $1 and location_id = $2`,
          [id, locationId],
        )
    }
    for (const [locationId, { state }] of Object.entries(places))
      if (state === 'suspect' || state === 'evicting')
        await pool.query(`update replica set state = $3 where object_id = $1 and location_id = $2`, [
          id,
          locationId,
          state,
        ])
    if (isPurging) await pool.query(`update stored_object set state = 'purging' where id = $1`, [id])
    return { id, keys }
  }
  const objects = {
    both: await object({ local: { state: 'verified' }, s3: { state: 'verified' } }),
    writing: await object({ local: { state: 'verified' }, s3: { state: 'writing' } }),
    empty: await object({ local: { state: 'verified' }, s3: { state: 'writing', holds: false } }),
    evicting: await object({ local: { state: 'evicting' }, s3: { state: 'verified' } }),
    halfGone: await object({ local: { state: 'evicting', holds: false }, s3: { state: 'verified' } }),
    suspect: await object({ local: { state: 'verified' }, s3: { state: 'suspect', wrong: true } }),
    purging: await object({ local: { state: 'verified' }, s3: { state: 'verified' } }, { isPurging: true }),
    unlinked: await object({ local: { state: 'writing' } }, { isLinked: false }),
  }
  const late = freshKey({ ownerId, assetId: randomUUID(), kind: 'original', extension: 'jpg' })
  const strange = freshKey({ ownerId, assetId: randomUUID(), kind: 'original', extension: 'jpg' })
  await pool.query(
    `insert into placement_event (object_id, location_id, key, from_state, to_state, actor) values ($1, 's3', $2, 'evicting', null, 'test')`,
    [objects.both.id, late],
  )
  for (const key of [late, strange])
    await pool.query(
      `insert into key_to_clear (location_id, key, writable_until, clear_at) values ('s3', $1, now() - interval '1 hour', now())`,
      [key],
    )
  await put('s3', late, randomBytes(1_000))
  await put('s3', strange, randomBytes(1_000))

  await migrate(pool, silentLog)
  const open = () =>
    openPlacement({
      db,
      log: silentLog,
      locations: [
        locationOfBackend('local', 'disk', openDiskBackend({ root: folder, log: silentLog })),
        locationOfBackend('s3', 'memory', bucket),
      ],
      localId: 'local',
      mediaLocation: folder,
      policy: policyOf(['s3']),
      isAwaited: isOfUnendedUpload,
      settings: { removalWaitMs: 0, lateRequestMs: 0 },
    })
  const opened = await Promise.all([open(), open(), open()])
  for (const placement of opened) t.after(() => closePlacement(placement))
  const placement = opened[0]
  await sweepPlacement(placement)
  const conflicts = await pool.query('select location_id from location_counter where conflict is not null')
  assert.deepEqual(conflicts.rows, [])
  await evictReplica(placement, { objectId: objects.evicting.id, from: 'local' })
  await evictReplica(placement, { objectId: objects.halfGone.id, from: 'local' })
  await purgeObject(placement, { objectId: objects.purging.id })
  await sweepPlacement(placement)
  const { rows: jobs } = await pool.query('select key from graphile_worker.jobs order by key')
  assert.ok(jobs.length > 0)
  const states = Object.fromEntries(
    await Promise.all(
      Object.entries(objects).map(async ([name, { id }]) => [
        name,
        (await loadObject(db, id)) === null ? 'gone' : (await placesOf(db, id)).join(),
      ]),
    ),
  )
  assert.deepEqual(states, {
    both: 'local verified,s3 verified',
    writing: 'local verified,s3 verified',
    empty: 'local verified',
    evicting: 's3 verified',
    halfGone: 's3 verified',
    suspect: 'local verified,s3 suspect',
    purging: 'gone',
    unlinked: 'local verified',
  })
  assert.ok(!bucket.held.has(late), 'wrong bytes beside a verified copy go')
  assert.ok(bucket.held.has(strange), 'of a key without a history nothing is known')
})
