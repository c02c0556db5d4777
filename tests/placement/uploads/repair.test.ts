import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { markForPurge } from '../../../src/placement/lifecycle/purge.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { ensureCopy } from '../../../src/placement/uploads/repair.ts'
import { findSafeObjects } from '../../../src/placement/uploads/safe-copies.ts'
import { type StagedFile, stageStream } from '../../../src/placement/uploads/stage.ts'
import { ingestBytes } from '../../support/placement.ts'
import { placementForEach } from '../../support/placement-for-each.ts'

const rig = placementForEach()
const bytes = randomBytes(50_000)
let id: string
let sent: StagedFile

beforeEach(async () => {
  id = await ingestBytes(rig.placement, bytes)
  sent = await stageStream(rig.placement, Readable.from([bytes]), { maxBytes: 1e6 })
})

const places = () => rig.places(id)
const localPath = async () => {
  const { replicas } = (await loadObject(rig.db, id))!
  return join(rig.mediaLocation, replicas.find(({ locationId }) => locationId === 'local')!.key)
}

/** The last copy is in the bucket, and lost there. */
async function loseInBucket(): Promise<void> {
  await sql`insert into replica (object_id, location_id, key, state, actor, lease_expires_at)
    values (${id}, 's3', 'users/lost', 'writing', 'test', now())`.execute(rig.db)
  await sql`update replica set state = 'verified', proof_level = 3, verified_at = now() where location_id = 's3'`.execute(
    rig.db,
  )
  await rm(await localPath())
  await sql`update replica set state = 'evicting', removal = 'other-copy' where location_id = 'local'`.execute(
    rig.db,
  )
  await sql`delete from replica where location_id = 'local'`.execute(rig.db)
  await sql`update replica set state = 'suspect' where location_id = 's3'`.execute(rig.db)
}

async function spoilHere(): Promise<void> {
  await writeFile(await localPath(), randomBytes(bytes.length))
  await sql`update replica set state = 'suspect'`.execute(rig.db)
}

async function repairAndDie(dies: string): Promise<void> {
  const given = {
    databaseUrl: rig.databaseUrl,
    mediaLocation: rig.mediaLocation,
    objectId: id,
    path: sent.path,
    dies,
  }
  const child = spawn(
    process.execPath,
    [new URL('repair-process.ts', import.meta.url).pathname, JSON.stringify(given)],
    { stdio: 'inherit' },
  )
  const [, signal] = (await once(child, 'exit')) as [number, string]
  assert.equal(signal, 'SIGKILL')
  assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set(), 'nothing counts before the commit')
  // As if the writer had been dead for long.
  await sql`update replica set lease_expires_at = now() - interval '1 second' where state = 'writing'`.execute(
    rig.db,
  )
}

for (const [where, lose] of [
  ['before the bytes', loseInBucket],
  ['after the bytes', loseInBucket],
  ['before the bytes', spoilHere],
  ['after the bytes', spoilHere],
] as const) {
  test(`A3: a repair that is killed ${where} (${lose.name}) is done by the next upload, and leaves nothing`, async () => {
    await lose()
    await repairAndDie(where)
    // What a dead writer left is looked at: its bytes are right, and kept.
    const isLeft = where === 'after the bytes' && lose === loseInBucket
    assert.equal(await ensureCopy(rig.placement, id, sent), isLeft ? 'held' : 'repaired')
    assert.deepEqual(await readFile(await localPath()), bytes)
    assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set([id]))
    assert.equal(await ensureCopy(rig.placement, id, sent), 'held')
  })
}

test('A3: a killed repair that had put the right bytes is found good without another upload', async () => {
  await spoilHere()
  await repairAndDie('after the bytes')
  assert.deepEqual(await places(), ['local suspect'])
  await sql`update key_to_clear set clear_at = now(), retry_at = null`.execute(rig.db)
  await sweepPlacement(rig.placement)
  assert.deepEqual(await places(), ['local verified'])
  assert.deepEqual(await readFile(await localPath()), bytes)
})

test('A3: repairs at the same moment by several uploads make one copy; each says so only when it is there', async () => {
  for (const lose of [spoilHere, loseInBucket]) {
    await lose()
    const all = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const mine = await stageStream(rig.placement, Readable.from([bytes]), { maxBytes: 1e6 })
        const ensured = await ensureCopy(rig.placement, id, mine)
        assert.deepEqual(await findSafeObjects(rig.placement, [id]), new Set([id]))
        await mine.discard()
        return ensured
      }),
    )
    assert.equal(all.filter((ensured) => ensured === 'repaired').length, 1)
    assert.deepEqual(await readFile(await localPath()), bytes)
  }
  assert.deepEqual(await places(), ['local verified', 's3 suspect'])
})

test('A3: an object that is being purged is not repaired, and other bytes never are taken for its own', async () => {
  await spoilHere()
  const other = await stageStream(rig.placement, Readable.from([randomBytes(10)]), { maxBytes: 1e6 })
  await assert.rejects(ensureCopy(rig.placement, id, other), { code: 'conflict' })
  await markForPurge(rig.db, [id], 'user')
  assert.equal(await ensureCopy(rig.placement, id, sent), 'gone')
})
