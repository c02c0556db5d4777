/**
 * Backups as objects: where they go, what is kept of them, what a killed one leaves, and who finds them
 * again.
 */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { loadInstallation } from '../../../src/database/backups/installation.ts'
import { readKeyFile } from '../../../src/database/backups/key-file.ts'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { unseal } from '../../../src/database/backups/seal.ts'
import type { BackupSettings } from '../../../src/placement/backup-settings.ts'
import { adoptBackup } from '../../../src/placement/backups/adopt-backup.ts'
import { knownBackups } from '../../../src/placement/backups/backup-rows.ts'
import { backupStatus } from '../../../src/placement/backups/backup-status.ts'
import { isBackupDue } from '../../../src/placement/backups/due.ts'
import { findBackups, peekAt, readFound } from '../../../src/placement/backups/found-backups.ts'
import { backUpDatabase } from '../../../src/placement/backups/make-backup.ts'
import { replaceBackupKey } from '../../../src/placement/backups/recipient.ts'
import { applyRetention } from '../../../src/placement/backups/retention.ts'
import { knownKey, partsOfBackupKey } from '../../../src/placement/keys.ts'
import { suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { purgeObject } from '../../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'
import { eventually } from '../../support/eventually.ts'
import { placesOf, testPlacement } from '../../support/placement.ts'
import { emptyDatabase, testDatabase } from '../../support/postgres.ts'

const HOUR_MS = 3_600_000

async function open(t: TestContext, settings: Partial<BackupSettings> = {}) {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-backups-'))
  const keyFile = join(folder, 'backup-key.txt')
  let now: Date | null = null
  const placed = await testPlacement(database.db, {
    backupsAt: ['s3'],
    now: () => now ?? new Date(),
    backups: {
      pool: database.pool,
      keyFile,
      everyMs: 24 * HOUR_MS,
      keep: { daily: 2, weekly: 0, monthly: 0 },
      ...settings,
    },
  })
  t.after(async () => {
    await placed.close()
    await rm(folder, { recursive: true })
    await database.drop()
  })
  const { placement } = placed
  return {
    ...database,
    ...placed,
    keyFile,
    setNow(time: Date | null) {
      now = time
    },
    s3: placement.locations.get('s3')!,
    /** Made, and where it belongs. */
    async back(takenAt?: Date): Promise<string> {
      const objectId = await backUpDatabase(placement)
      await replicateObject(placement, { objectId, to: 's3' })
      await evictReplica(placement, { objectId, from: 'local' })
      if (takenAt)
        await database.pool.query('update database_backup set taken_at = $1 where object_id = $2', [
          takenAt,
          objectId,
        ])
      return objectId
    },
  }
}

async function staged(mediaLocation: string): Promise<string[]> {
  return readdir(join(mediaLocation, 'staging')).catch(() => [])
}

test('a backup goes where backups belong, and is found there without a ledger', async (t) => {
  const { placement, db, back, s3, keyFile, mediaLocation } = await open(t)
  const objectId = await back()
  assert.deepEqual(await placesOf(db, objectId), ['s3 verified'])
  assert.deepEqual(await staged(mediaLocation), [])
  assert.equal((await stat(keyFile)).mode & 0o777, 0o600)
  const identity = (await readKeyFile(keyFile))!
  const { id, recipient } = await loadInstallation(db)
  assert.ok(recipient?.startsWith('age1') && !recipient.includes(identity))

  const [found, ...others] = await findBackups(s3)
  assert.deepEqual(others, [])
  assert.equal(found!.installation, id)
  assert.match(found!.key, /^backups\/[0-9a-f-]{36}\/\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ\.[0-9a-f]{32}\.age$/)
  const header = await peekAt(s3, found!, identity)
  assert.equal(header.installation, id)
  const [known] = await knownBackups(db)
  assert.deepEqual(known!.takenAt.toISOString(), header.takenAt)
  assert.deepEqual(
    partsOfBackupKey(found!.key)!.takenAt.toISOString().slice(0, 19),
    header.takenAt.slice(0, 19),
  )

  const target = await emptyDatabase(t)
  await loadBackup(target.pool, unseal(readFound(s3, found!), identity), { sections: [JOBS_SECTION] })
  const { rows } = await target.pool.query<{ id: string }>('select id from installation')
  assert.equal(rows[0]!.id, id)

  // A listing knows it, and an unrelated file beside it is the only one that nobody knows.
  const listed = (await checkListing(placement, 's3', { isNow: true }))!
  assert.deepEqual([listed.found.listed.count, listed.found.unknown.count], [1, 0])
  const status = (await backupStatus(placement))!
  assert.deepEqual(
    status.newest?.at.map(({ location }) => location),
    ['s3'],
  )
  assert.deepEqual(status.key, { isMade: true, isConfirmed: false, file: 'right' })
  assert.ok(!JSON.stringify(status).includes('AGE-SECRET'))
})

test('retention purges what is one too many, and never the newest verified one', async (t) => {
  const { placement, db, back, s3, setNow } = await open(t)
  const days = [1, 2, 3, 4].map((day) => new Date(Date.UTC(2026, 4, day)))
  const ids: string[] = []
  for (const day of days) ids.push(await back(day))
  setNow(new Date('1990-01-01'))
  assert.equal(await applyRetention(placement), 2)
  for (const objectId of ids.slice(0, 2)) await purgeObject(placement, { objectId })
  assert.deepEqual(
    (await knownBackups(db)).map(({ objectId }) => objectId),
    [ids[3], ids[2]],
  )
  assert.equal((await findBackups(s3)).length, 2)
  assert.equal(await applyRetention(placement), 0)

  setNow(null)
  // The newest was found bad: it does not count, so the two before it are the two that are kept.
  const newest = await back(new Date(Date.UTC(2026, 4, 5)))
  const rows = await db.selectFrom('replica').select('key').where('object_id', '=', newest).execute()
  assert.ok(
    await suspectReplica(db, { objectId: newest, locationId: 's3', key: knownKey(rows[0]!.key) }, 'test'),
  )
  assert.equal(await applyRetention(placement), 0)
  assert.equal((await backupStatus(placement))!.count, 2)
})

test('nothing is removed while a place has another ledger, or hides the newest one', async (t) => {
  const { placement, pool, back, remotes } = await open(t)
  for (const day of [1, 2, 3]) await back(new Date(Date.UTC(2026, 4, day)))
  await pool.query(
    "update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'",
  )
  assert.equal(await applyRetention(placement), 0)
  await pool.query('update location_counter set conflict = null, conflict_since = null')
  const remote = remotes.get('s3')!
  const head = remote.backend.head
  remote.backend.head = async () => null
  assert.equal(await applyRetention(placement), 0)
  remote.backend.head = head
  assert.equal(await applyRetention(placement), 1)
})

test('one is due after the interval, soon after the first start, and when the clock came back', async (t) => {
  const { placement, db, back, setNow } = await open(t)
  const start = Date.now()
  // The databases of tests are copies of one, which may be older.
  await db
    .updateTable('installation')
    .set({ created_at: new Date(start) })
    .execute()
  assert.equal(await isBackupDue(placement), false)
  setNow(new Date(start + 11 * 60_000))
  assert.equal(await isBackupDue(placement), true)
  await back()
  assert.equal(await isBackupDue(placement), false)
  setNow(new Date(start + 24.1 * HOUR_MS))
  assert.equal(await isBackupDue(placement), true)
  assert.equal((await backupStatus(placement))!.isLate, false)
  setNow(new Date(start + 48.2 * HOUR_MS))
  assert.equal((await backupStatus(placement))!.isLate, true)
  setNow(new Date(start - HOUR_MS))
  assert.equal(await isBackupDue(placement), true)
})

test('a backup that fails leaves nothing, and one that is killed a staged file for the sweep', async (t) => {
  const { placement, db, pool, mediaLocation, setNow } = await open(t)
  const stop = new AbortController()
  stop.abort(new Error('the worker stops'))
  await assert.rejects(backUpDatabase(placement, stop.signal), /the worker stops/)
  assert.deepEqual(await staged(mediaLocation), [])
  assert.deepEqual(await knownBackups(db), [])
  await eventually(async () => {
    const { rows } = await pool.query(
      "select from pg_stat_activity where state like 'idle in%' and datname = current_database()",
    )
    assert.deepEqual(rows, [], 'no transaction stays open')
  }, 5_000)

  const left = join(mediaLocation, 'staging', `${randomUUID()}.part`)
  await writeFile(left, 'half of a backup')
  await utimes(left, new Date(), new Date(Date.now() - 25 * HOUR_MS))
  setNow(null)
  await sweepPlacement(placement)
  assert.deepEqual(await staged(mediaLocation), [])
})

test('backups that the ledger does not know are taken over, whole ones only', async (t) => {
  const { placement, db, pool, back, s3, keyFile } = await open(t)
  await back()
  const key = (await findBackups(s3))[0]!
  const sealed: Buffer[] = []
  for await (const piece of readFound(s3, key)) sealed.push(piece as Buffer)
  const bytes = Buffer.concat(sealed)
  const { id } = await loadInstallation(db)
  const put = async (name: string, content: Buffer) => {
    const at = knownKey(name)
    await s3.backend.put(at, {
      size: content.length,
      digests: [{ algorithm: 'sha256', value: createHash('sha256').update(content).digest('hex') }],
      open: () => Readable.from([content]),
    })
    return { key: at, size: content.length, etag: null, lastModified: new Date() }
  }
  const random = () => randomUUID().replaceAll('-', '')
  // As if this ledger had been restored from it: nothing is known of it.
  await pool.query(
    'begin; set local session_replication_role = replica; delete from database_backup; delete from replica; delete from stored_object; commit',
  )
  const listed = { key: key.key, size: key.size, etag: null, lastModified: new Date() }
  assert.ok(await adoptBackup(placement, s3, listed, undefined))
  const [known] = await knownBackups(db)
  assert.deepEqual(
    known?.at.map(({ locationId }) => locationId),
    ['s3'],
  )

  const time = key.key.split('/')[2]!.slice(0, 20)
  const foreign = await put(`backups/${randomUUID()}/${time}.${random()}.age`, bytes)
  const half = await put(`backups/${id}/${time}.${random()}.age`, bytes.subarray(0, bytes.length / 2))
  const renamed = await put(`backups/${id}/2020-01-01T00-00-00Z.${random()}.age`, bytes)
  for (const one of [foreign, half, renamed])
    assert.equal(await adoptBackup(placement, s3, one, undefined), false, one.key)
  await rm(keyFile)
  const unread = await put(`backups/${id}/${time}.${random()}.age`, bytes)
  assert.equal(await adoptBackup(placement, s3, unread, undefined), false)
  assert.equal((await findBackups(s3)).length, 5)
  // Without its file, backups go on for the recorded recipient; the key is not replaced in silence.
  await back()
  await assert.rejects(readFile(keyFile), /ENOENT/)
})

test('a backup that is on this disk only is none that is verified where it belongs', async (t) => {
  const { placement, pool, db } = await open(t)
  await db
    .updateTable('installation')
    .set({ created_at: new Date(Date.now() - 11 * 24 * HOUR_MS) })
    .execute()
  // For ten days the bucket has refused them (its quota): all lie on the disk that may burn.
  const ids: string[] = []
  for (const days of [10, 4, 3, 2, 1, 0.01]) {
    const objectId = await backUpDatabase(placement)
    ids.push(objectId)
    await pool.query(
      "update database_backup set taken_at = now() - $1 * interval '1 day' where object_id = $2",
      [days, objectId],
    )
  }
  const status = (await backupStatus(placement))!
  assert.deepEqual([status.newest, status.count, status.isLate], [null, 0, true])
  assert.deepEqual(
    { ...status.waiting, takenAt: null },
    { takenAt: null, at: ['local'], isLocalOnly: true, missingAt: ['s3'] },
  )
  // The disk would fill with them: a few are kept, while nothing is known of the bucket.
  assert.equal(await applyRetention(placement), 3)
  for (const objectId of ids.slice(0, 3)) await purgeObject(placement, { objectId })
  assert.deepEqual((await knownBackups(db)).map(({ objectId }) => objectId).reverse(), ids.slice(3))
  assert.equal(await applyRetention(placement), 0)
  await replicateObject(placement, { objectId: ids[5]!, to: 's3' })
  const now = (await backupStatus(placement))!
  assert.deepEqual(
    [now.newest?.at.map(({ location }) => location), now.waiting, now.count, now.isLate],
    [['local', 's3'], null, 1, false],
  )
})

test('one from a clock that was ahead does not hide that none is made', async (t) => {
  const { placement, back, setNow } = await open(t)
  await back(new Date(Date.now() + 700 * 24 * HOUR_MS))
  setNow(new Date(Date.now() + 300 * 24 * HOUR_MS))
  assert.equal((await backupStatus(placement))!.isLate, true)
})

test('the storage status answers when the key file can not be read', async (t) => {
  const { placement, keyFile } = await open(t)
  // As a file of another user's, which is no obstacle for root.
  await mkdir(keyFile)
  assert.equal((await storageStatus(placement)).backups!.key.file, 'unreadable')
})

test('a backup for a key that was replaced meanwhile is made again', async (t) => {
  const { placement, db, pool, keyFile, mediaLocation } = await open(t)
  const settings = placement.backups as { pool: BackupSettings['pool'] }
  settings.pool = {
    connect: async () => {
      await replaceBackupKey(db, keyFile, async () => undefined)
      return pool.connect()
    },
  } as never
  await assert.rejects(backUpDatabase(placement), /a new backup key was made meanwhile/)
  assert.deepEqual(await staged(mediaLocation), [])
  assert.deepEqual(await knownBackups(db), [])
  settings.pool = pool
  await backUpDatabase(placement)
})
