/**
 * After an older backup was restored, those that came after it are the only ledger of what it does not know:
 * no backup of the restored database stands for them, and they tell nothing about those.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { noteRestored } from '../../../src/database/backups/installation.ts'
import { DEFAULT_KEEP } from '../../../src/placement/backup-settings.ts'
import { adoptBackup } from '../../../src/placement/backups/adopt-backup.ts'
import { knownBackups, ownBackups } from '../../../src/placement/backups/backup-rows.ts'
import { backupStatus } from '../../../src/placement/backups/backup-status.ts'
import { isBackupDue } from '../../../src/placement/backups/due.ts'
import { findBackups } from '../../../src/placement/backups/found-backups.ts'
import { backUpDatabase } from '../../../src/placement/backups/make-backup.ts'
import { applyRetention } from '../../../src/placement/backups/retention.ts'
import { timeInKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import { purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import type { ObjectKey } from '../../../src/storage/backend.ts'
import { testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const HOUR_MS = 3_600_000
type Made = { key: string; takenAt: Date }

async function open(t: TestContext) {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-lines-'))
  const pools: pg.Pool[] = []
  const backups = {
    pool: database.pool,
    keyFile: join(folder, 'backup-key.txt'),
    everyMs: 24 * HOUR_MS,
    keep: DEFAULT_KEEP,
  }
  const placed = await testPlacement(database.db, { backupsAt: ['s3'], backups })
  t.after(async () => {
    await placed.close()
    for (const pool of pools) await pool.end()
    await rm(folder, { recursive: true })
    await database.drop()
  })
  const { placement } = placed
  const s3 = placement.locations.get('s3')!
  const keys = async () => (await findBackups(s3)).map(({ key }) => key as string).sort()
  return {
    ...database,
    placement,
    /** Made and copied while PostgreSQL's clock, as the backup reads it, differs by so much. */
    async back(shift: string): Promise<Made> {
      const pool = new pg.Pool({
        connectionString: database.url,
        options: '-c search_path=public,pg_catalog',
      })
      pools.push(pool)
      await database.pool.query(
        `create or replace function public.now() returns timestamptz language sql stable
         as $$ select pg_catalog.now() + interval '${shift}' $$`,
      )
      ;(placement.backups as { pool: pg.Pool }).pool = pool
      const before = await keys()
      const objectId = await backUpDatabase(placement)
      await replicateObject(placement, { objectId, to: 's3' })
      const { takenAt } = (await knownBackups(database.db)).find((one) => one.objectId === objectId)!
      return { key: (await keys()).find((key) => !before.includes(key))!, takenAt }
    },
    /** As a restore of this one, with the adoption that follows, in the order of keys. */
    async restored({ takenAt }: Made) {
      await database.pool.query(
        'begin; set local session_replication_role = replica; delete from database_backup; delete from replica; delete from stored_object; commit',
      )
      await noteRestored(database.pool, takenAt)
      for (const { key, size } of (await findBackups(s3)).sort((a, b) => (a.key < b.key ? -1 : 1)))
        assert.ok(
          await adoptBackup(placement, s3, { key, size, etag: null, lastModified: new Date() }, undefined),
        )
    },
    async retain() {
      await applyRetention(placement)
      const { rows } = await database.pool.query<{ id: string }>(
        "select id from stored_object where state = 'purging'",
      )
      for (const { id } of rows) await purgeObject(placement, { objectId: id })
      return keys()
    },
  }
}

test('the last backup from before the fire is not given up for one of an older state', async (t) => {
  const { db, placement, back, restored, retain } = await open(t)
  const chosen = await back('-1 day')
  // On the same day as what follows the restore.
  const last = await back('-3 seconds')
  await restored(chosen)
  assert.deepEqual(
    (await knownBackups(db)).map(({ takenAt, isOfAnotherLine }) => [takenAt, isOfAnotherLine]),
    [
      [chosen.takenAt, false],
      [last.takenAt, true],
    ],
  )
  for (let count = 0; count < 3; count += 1) await back(`${count} seconds`)
  const left = await retain()
  assert.ok(left.includes(last.key), 'the only ledger of what came since')
  assert.equal(left.length, 3, 'of the own ones, the newest of each day')
  const status = (await backupStatus(placement))!
  assert.deepEqual([status.count, status.ofAnotherLine], [2, 1])
})

test('what was found tells nothing about when a backup is due, or late, whatever its time', async (t) => {
  const { db, placement, back, restored, retain } = await open(t)
  const ahead = await back('2 years')
  const chosen = await back('-3 days')
  const last = await back('-3 seconds')
  await restored(chosen)
  // Three days have passed since the one that it was restored from.
  assert.equal(await isBackupDue(placement), true)
  assert.equal((await backupStatus(placement))!.isLate, true)
  assert.equal((await backupStatus(placement))!.newest!.takenAt, chosen.takenAt.toISOString())
  const next = await back('0 seconds')
  assert.equal(await isBackupDue(placement), false)
  assert.equal((await backupStatus(placement))!.isLate, false)
  assert.deepEqual(await retain(), [ahead, chosen, last, next].map(({ key }) => key).sort())
  assert.deepEqual(
    (await ownBackups(db)).map(({ takenAt }) => takenAt),
    [next.takenAt, chosen.takenAt],
  )
})

test('the restored one is older than what was made before it was found', async (t) => {
  const { db, pool, placement, back } = await open(t)
  const chosen = await back('-1 day')
  await pool.query(
    'begin; set local session_replication_role = replica; delete from database_backup; delete from replica; delete from stored_object; commit',
  )
  await noteRestored(pool, chosen.takenAt)
  // Said once more, as after a restore of an older database.
  await noteRestored(pool, chosen.takenAt)
  const next = await back('0 seconds')
  const s3 = placement.locations.get('s3')!
  const found = (await findBackups(s3)).find(({ key }) => key === chosen.key)!
  const listed = { key: found.key, size: found.size, etag: null, lastModified: new Date() }
  assert.ok(await adoptBackup(placement, s3, listed, undefined))
  assert.deepEqual(
    (await ownBackups(db)).map(({ takenAt }) => takenAt),
    [next.takenAt, chosen.takenAt],
  )
})

test('a backup whose removal was asked for is found under a key that no late deletion concerns', async (t) => {
  const { db, placement, back, restored } = await open(t)
  const chosen = await back('-1 day')
  const key = chosen.key as ObjectKey
  await noteKeyToClear(db, { objectId: randomUUID(), locationId: 's3', key }, 60_000)
  await restored(chosen)
  const { rows } = await sql<{ key: string; state: string }>`
    select key, state from replica where location_id = 's3'`.execute(db)
  assert.deepEqual(
    rows.map(({ state }) => state),
    ['verified'],
  )
  assert.notEqual(rows[0]!.key, key)
  assert.deepEqual(
    (await knownBackups(db)).map(({ takenAt }) => takenAt),
    [chosen.takenAt],
  )
  const named = (await findBackups(placement.locations.get('s3')!)).map((one) => [
    one.key,
    timeInKey(one.takenAt),
  ])
  assert.deepEqual(
    named.find(([name]) => name === rows[0]!.key),
    [rows[0]!.key, timeInKey(chosen.takenAt)],
  )
})
