/**
 * Two real servers with one bucket: an installation and a copy of it, which nobody has told that it is one.
 * Both take uploads all the time and both are killed now and then. Whatever one of them has acknowledged is
 * right in the end, and nothing that one of them knows was removed by the other.
 *
 * Three ways of making the copy: the whole data folder, PostgreSQL included, of a server that was stopped for
 * it; database and files while uploads are under way; and the same as a clone of the volume would be, which
 * names itself as the original does, so that nothing but the counter tells the two apart.
 */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { restoreSnapshot, takeSnapshot } from '../support/database/ledger-snapshot.ts'
import { eventually } from '../support/eventually.ts'
import {
  checkProvenKeys,
  conflictOf,
  countEvicted,
  type LoadedSite,
  openLoadedSite,
  readManifest,
} from '../support/loaded-site.ts'
import { testDatabase } from '../support/postgres.ts'
import { probed } from '../support/server-with-bucket.ts'

/** Of load, for all three together. */
const SECONDS = Number(process.env.TWO_LEDGERS_SECONDS ?? 25)
const LOAD_MS = (SECONDS * 1_000) / 3
const KILLS = Math.max(2, Math.round(LOAD_MS / 25_000))
/** The check of every minute, twice, and a start. */
const NOTICED_WITHIN_MS = 180_000
const CREDENTIALS = { accessKeyId: 'ledgers', secretAccessKey: 'ledgers-secret' }

type Rig = { folder: string; bucket: StrictS3; storage: object }

async function openRig(t: TestContext): Promise<Rig> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-ledgers-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }))
  const bucket = await startStrictS3({
    store: { kind: 'folder', path: join(folder, 'bucket'), sync: false },
    credentials: CREDENTIALS,
    buckets: ['photos'],
  })
  t.after(() => bucket.close())
  const s3 = { endpoint: bucket.endpoint, bucket: 'photos', region: 'us-east-1', ...CREDENTIALS }
  // As everybody has it: the wait before removals is what keeps the promise until the other one has noticed.
  const removal = { waitSeconds: 120, lateRequestMinutes: 60 }
  return { folder, bucket, storage: { s3, removal, upload: { writeLeaseSeconds: 8 } } }
}

async function openSite(
  t: TestContext,
  { folder, storage }: Rig,
  name: string,
  databaseUrl: string | null,
): Promise<LoadedSite> {
  const dataDir = join(folder, name, 'data')
  await mkdir(dataDir, { recursive: true })
  const site = await openLoadedSite({ dataDir, storage, databaseUrl })
  t.after(() => site.close())
  return site
}

/** Both under load, and one after the other killed and started again. */
async function loadBoth(original: LoadedSite, copy: LoadedSite): Promise<void> {
  original.startLoad()
  copy.startLoad()
  for (let kill = 0; kill < KILLS; kill += 1) {
    await sleep(LOAD_MS / (KILLS + 1))
    const victim = kill % 2 === 0 ? copy : original
    await victim.kill9()
    await victim.start()
  }
  await sleep(LOAD_MS / (KILLS + 1))
  await Promise.all([original.stopLoad(), copy.stopLoad()])
}

/** One of them, which says so to whoever looks at it, has nothing to write there any more. */
async function noticed(site: LoadedSite): Promise<void> {
  await eventually(async () => {
    const { noted, shown } = await conflictOf(site)
    assert.equal(noted, 'another-ledger')
    assert.match(shown ?? '', /used by another database/)
  }, NOTICED_WITHIN_MS)
}

async function checkAll(
  t: TestContext,
  { bucket }: Rig,
  { original, copy, before }: { original: LoadedSite; copy: LoadedSite; before: number },
): Promise<void> {
  const counts = {
    acknowledged: await readManifest(original, 'the original'),
    acknowledgedBeforeTheCopy: before,
    acknowledgedByTheCopy: await readManifest(copy, 'the copy'),
    cut: [original.cut, copy.cut],
    provenByTheOriginal: await checkProvenKeys(original, bucket, 'the original'),
    provenByTheCopy: await checkProvenKeys(copy, bucket, 'the copy'),
    givenUpLocally: [await countEvicted(original), await countEvicted(copy)],
    removals: bucket.counts.of('DeleteObject') + bucket.counts.of('DeleteObjects'),
  }
  t.diagnostic(JSON.stringify(counts))
  assert.ok(counts.acknowledged > before, 'the original took uploads beside its copy')
  assert.ok(counts.acknowledgedByTheCopy > 0, 'the copy took uploads')
  assert.ok(counts.givenUpLocally[0]! > 0, 'the original relied on the bucket')
}

test('A2: the folder of a stopped installation is copied, and both are started: the original goes on', {
  timeout: 900_000,
}, async (t) => {
  const rig = await openRig(t)
  const original = await openSite(t, rig, 'original', null)
  await original.start()
  original.startLoad()
  await uploadedSome(original, 5)
  await original.stopLoad()
  await original.stop()
  const before = original.manifest.size

  const copy = await openSite(t, rig, 'copy', null)
  await cp(original.dataDir, copy.dataDir, { recursive: true, preserveTimestamps: true })
  // The copy comes first, and the counter is as it knows it.
  await copy.start()
  await original.start()
  await loadBoth(original, copy)
  await noticed(copy)
  assert.equal((await conflictOf(original)).noted, null, 'the original is not blocked by its copy')
  await checkAll(t, rig, { original, copy, before })
})

test('A2: database and files are copied while uploads are under way: the original goes on', {
  timeout: 900_000,
}, async (t) => {
  const rig = await openRig(t)
  const { original, copy, before } = await copyUnderWay(t, rig)
  await copy.start()
  await loadBoth(original, copy)
  await noticed(copy)
  assert.equal((await conflictOf(original)).noted, null, 'the original is not blocked by its copy')
  await checkAll(t, rig, { original, copy, before })
})

test('A2: a clone of the volume takes the bucket over: one of the two stops, and neither loses anything', {
  timeout: 900_000,
}, async (t) => {
  const rig = await openRig(t)
  const { original, copy, copyPool, before } = await copyUnderWay(t, rig)
  const { ino, birthtimeMs } = await stat(join(copy.dataDir, 'media', '.glassine-location'))
  await copyPool.query('update location_counter set holder = $1', [`${ino}:${Math.round(birthtimeMs)}`])
  await copy.start()
  await loadBoth(original, copy)
  await eventually(async () => {
    const conflicts = [(await conflictOf(original)).noted, (await conflictOf(copy)).noted]
    assert.equal(conflicts.filter((one) => one === 'another-ledger').length, 1, conflicts.join())
  }, NOTICED_WITHIN_MS)
  const isTaken = (await conflictOf(original)).noted !== null
  t.diagnostic(isTaken ? 'the clone took the bucket over' : 'the original was first')
  await noticed(isTaken ? original : copy)
  await checkAll(t, rig, { original, copy, before })
})

async function copyUnderWay(t: TestContext, rig: Rig) {
  const [first, second] = [await testDatabase(), await testDatabase()]
  const original = await openSite(t, rig, 'original', first.url)
  const copy = await openSite(t, rig, 'copy', second.url)
  t.after(() => Promise.all([first.drop(), second.drop()]))
  await original.start()
  original.startLoad()
  await uploadedSome(original, 5)
  // Its worker has begun as well: what follows is a minute in which nothing is compared.
  await probed(original.client)
  await copyConsistently(first.pool, second.pool, { from: original.dataDir, to: copy.dataDir })
  const before = original.manifest.size
  await original.stopLoad()
  return { original, copy, copyPool: second.pool, before }
}

/**
 * As a backup of the database, and of the files after it. Where the counter of the disk was advanced in
 * between, the copy would be in conflict with its own folder, and take no uploads: then both are made again.
 */
async function copyConsistently(
  from: pg.Pool,
  to: pg.Pool,
  folders: { from: string; to: string },
): Promise<void> {
  const target = join(folders.to, 'media')
  for (;;) {
    const snapshot = await takeSnapshot(from)
    await rm(target, { recursive: true, force: true })
    await copyLive(join(folders.from, 'media'), target)
    const held = JSON.parse(await readFile(join(target, '.glassine-counter'), 'utf8')) as { token: string }
    const rows = JSON.parse(snapshot.get('location_counter')!) as { location_id: string; token: string }[]
    if (rows.find((row) => row.location_id === 'local')?.token !== held.token) continue
    await restoreSnapshot(to, snapshot)
    return
  }
}

/**
 * Files come and go meanwhile; one that goes between being listed and being copied is left out, as by any
 * program that copies folders.
 */
async function copyLive(from: string, to: string): Promise<void> {
  for (;;) {
    try {
      return await cp(from, to, { recursive: true, preserveTimestamps: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

async function uploadedSome(site: LoadedSite, count: number): Promise<void> {
  await eventually(() => assert.ok(site.manifest.size >= count), 60_000)
}
