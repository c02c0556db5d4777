/** What a dead machine would take along, and which originals have waited too long for their copies. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { sql } from 'kysely'
import { confirmKey, loadInstallation } from '../../../src/database/backups/installation.ts'
import type { Database } from '../../../src/database/connect.ts'
import { backUpDatabase } from '../../../src/placement/backups/make-backup.ts'
import { loadObject, noteDoubt, suspectReplica } from '../../../src/placement/ledger/replicas.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { ingestBytes, locationOfBackend, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const HOUR_MS = 3_600_000

async function open(t: TestContext) {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-loss-'))
  const usb = { ...locationOfBackend('usb', 'disk', openMemoryBackend()) }
  const nas = { ...locationOfBackend('nas', 'disk', openMemoryBackend()), isOnAnotherMachine: true }
  const placed = await testPlacement(database.db, {
    originals: ['s3', 'usb', 'nas'],
    extra: [usb, nas],
    backupsAt: ['s3'],
    backups: {
      pool: database.pool,
      keyFile: join(folder, 'backup-key.txt'),
      everyMs: 24 * HOUR_MS,
      keep: { daily: 2, weekly: 0, monthly: 0 },
    },
  })
  t.after(async () => {
    await placed.close()
    await rm(folder, { recursive: true })
    await database.drop()
  })
  const { db } = database
  return {
    ...placed,
    db,
    loss: async () => (await storageStatus(placed.placement)).machineLoss,
    late: async () => (await storageStatus(placed.placement)).copies.late,
    copy: (objectId: string, to: string) => replicateObject(placed.placement, { objectId, to }),
    /** As if the policy and the uploads were of then. */
    age: async (hours: number, objectId?: string) => {
      await sql`update home set since = now() - interval '30 days'`.execute(db)
      await sql`update stored_object set created_at = now() - ${hours} * interval '1 hour'
        where ${objectId ?? null}::uuid is null or id = ${objectId ?? null}::uuid`.execute(db)
    },
  }
}

const replicaAt = async (db: Database, objectId: string, at: string) =>
  (await loadObject(db, objectId))!.replicas.find(({ locationId }) => locationId === at)!

test('a copy counts that is in a bucket or on a disk of another machine, verified and not doubted', async (t) => {
  const { placement, db, loss, copy } = await open(t)
  const [first, second] = [
    await ingestBytes(placement, randomBytes(1_000)),
    await ingestBytes(placement, randomBytes(2_000)),
  ]
  assert.deepEqual((await loss()).originals, { count: 2, bytes: 3_000 })
  await copy(first!, 'usb')
  assert.equal((await loss()).originals.count, 2, 'another disk of this machine dies with it')
  await copy(first!, 'nas')
  await copy(second!, 's3')
  assert.equal((await loss()).originals.count, 0)
  const nas = placement.locations.get('nas')!
  nas.isReadOnly = true
  assert.equal((await loss()).originals.count, 1, 'what belongs to another installation is not relied on')
  nas.isReadOnly = false
  assert.equal(await noteDoubt(db, await replicaAt(db, second!, 's3'), 'another ETag'), true)
  assert.deepEqual((await loss()).originals, { count: 1, bytes: 2_000 })
})

test('the newest backup that is away, what it does not know, and whether anybody could open it', async (t) => {
  const { placement, db, loss, copy, age } = await open(t)
  const known = await ingestBytes(placement, randomBytes(1_000))
  await copy(known, 's3')
  await age(1, known)
  assert.deepEqual(await loss(), {
    originals: { count: 0, bytes: 0 },
    unlisted: { count: 1, bytes: 1_000 },
    backup: { takenAt: null, isKeyWrittenDown: false },
  })
  const backup = await backUpDatabase(placement, new AbortController().signal)
  assert.equal((await loss()).backup!.takenAt, null, 'on this disk only')
  await copy(backup, 's3')
  await confirmKey(db, (await loadInstallation(db)).recipient!)
  const { backup: standing, unlisted } = await loss()
  assert.notEqual(standing!.takenAt, null)
  assert.deepEqual([standing!.isKeyWrittenDown, unlisted.count], [true, 0])
  await copy(await ingestBytes(placement, randomBytes(3_000)), 's3')
  assert.deepEqual((await loss()).unlisted, { count: 1, bytes: 3_000 })
})

test('fewer copies than asked for are late a day after the upload, the loss, or the new policy', async (t) => {
  const { placement, db, late, copy, age } = await open(t)
  const id = await ingestBytes(placement, randomBytes(1_000))
  for (const to of ['s3', 'usb', 'nas']) {
    await age(23)
    assert.equal((await late()).count, 0, `younger than a day, ${to} missing`)
    await age(25)
    assert.deepEqual([(await late()).count, (await late()).bytes], [1, 1_000], `${to} missing`)
    await copy(id, to)
  }
  assert.deepEqual(await late(), { count: 0, bytes: 0, since: null })

  await suspectReplica(db, await replicaAt(db, id, 'nas'), 'test', 'wrong bytes')
  assert.equal((await late()).count, 0, 'lost just now')
  await sql`alter table placement_event disable trigger user`.execute(db)
  await sql`update placement_event set at = now() - interval '25 hours'`.execute(db)
  assert.equal((await late()).count, 1, 'lost a day ago')
  await sql`update home set since = now() - interval '1 hour'`.execute(db)
  assert.equal((await late()).count, 0, 'the configuration asks for more since an hour')
})
