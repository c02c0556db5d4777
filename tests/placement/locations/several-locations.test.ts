/**
 * Originals at two buckets and a folder, by configuration: strict S3 servers, real files, a real worker. What
 * one place loses is made anew from the others.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { type App, buildApp } from '../../../src/app.ts'
import { loadConfig } from '../../../src/config.ts'
import { jobHandlers } from '../../../src/jobs/index.ts'
import { safetyOf } from '../../../src/library/server/words/safety.ts'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { checkListing } from '../../../src/placement/listing/check-listing.ts'
import { rebalance, rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { startWorker } from '../../../src/queue/worker/worker.ts'
import { eventually } from '../../support/eventually.ts'
import { ingestBytes, placesOf } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const credentials = { accessKeyId: 'test', secretAccessKey: 'test-secret' }
const KEYS = `accessKeyId: ${credentials.accessKeyId}, secretAccessKey: ${credentials.secretAccessKey}`

/** Two servers and a folder; `run` starts the parts and a worker with these lists of locations. */
async function startPlaces(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-several-'))
  const database = await testDatabase()
  const start = () => startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
  const [first, second] = [await start(), await start()]
  const nas = join(folder, 'nas')
  await mkdir(nas)
  t.after(async () => {
    await database.drop()
    await Promise.all([first.close(), second.close()])
    await rm(folder, { recursive: true })
  })
  const bucket = ({ endpoint }: StrictS3) => `{ endpoint: "${endpoint}", bucket: photos, ${KEYS} }`
  const file = join(folder, 'glassine.yaml')

  async function run(lists: string, use: (app: App) => Promise<void>): Promise<void> {
    await writeFile(
      file,
      `database: { url: "${database.url}" }
storage:
  s3: ${bucket(first)}
  buckets: { second: ${bucket(second)} }
  folders: { nas: { path: "${nas}" } }
  removal: { waitSeconds: 0, lateRequestMinutes: 0 }
  outage: { coolDownMs: 500 }
  upload: { retryAttempts: 0 }
${lists}`,
    )
    const config = loadConfig({ GLASSINE_DATA: join(folder, 'data'), GLASSINE_CONFIG: file })
    const app = await buildApp(config, silentLog)
    const worker = await startWorker({
      pool: app.pool,
      db: app.db,
      handlers: jobHandlers(app),
      concurrency: { processing: 1, video: 1, storage: 4 },
      backOff: { quickTries: 3, quickDelayMs: 50 },
      log: silentLog,
      pollMs: 200,
      recurring: [],
    })
    try {
      await use(app)
    } finally {
      await worker.stop(10_000)
      await app.close()
    }
  }
  return { run, nas, first, second }
}

const areAt = ({ db }: App, objectId: string, places: string[]) =>
  eventually(async () =>
    assert.deepEqual(
      await placesOf(db, objectId),
      places.map((place) => `${place} verified`),
    ),
  )

async function read({ placement }: App, objectId: string): Promise<Buffer> {
  const served = await findServable(placement, objectId)
  const chunks: Buffer[] = []
  for await (const chunk of await served.open()) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const originals = async ({ stored }: StrictS3) =>
  (await stored.objects()).filter(({ key }) => key.startsWith('users/'))
const files = async (folder: string) =>
  (await readdir(folder, { recursive: true, withFileTypes: true })).filter(
    (entry) => entry.isFile() && entry.name.startsWith('original.'),
  )

test('three locations: each gets a proven copy, the local one goes, and what is wiped by hand heals by itself', async (t) => {
  const { run, nas, second } = await startPlaces(t)
  await run('  default: [s3, second, nas]', async (app) => {
    const { placement } = app
    const photos = Array.from({ length: 5 }, () => randomBytes(40_000))
    const ids = await Promise.all(photos.map((bytes) => ingestBytes(placement, bytes)))
    for (const id of ids) await areAt(app, id, ['nas', 's3', 'second'])
    const levels = (await loadObject(app.db, ids[0]!))!.replicas.map(({ proofLevel }) => proofLevel)
    assert.ok(levels.every((level) => level !== null && level >= 3))
    const status = await storageStatus(placement)
    assert.deepEqual(status.copies, {
      wanted: 3,
      required: 3,
      byNumber: [{ copies: 3, count: 5, bytes: 200_000 }],
      late: { count: 0, bytes: 0, since: null },
    })
    assert.equal(safetyOf(status, new Date()).text, 'All 5 originals are proven in 3 places.')

    await rm(join(nas, 'users'), { recursive: true })
    for (const { key } of await originals(second)) await second.stored.vanish(key)
    for (const [index, id] of ids.entries()) assert.ok((await read(app, id)).equals(photos[index]!))
    for (const place of ['nas', 'second']) await checkListing(placement, place, { isNow: true })
    for (const id of ids) await areAt(app, id, ['nas', 's3', 'second'])
    assert.equal((await files(nas)).length, 5)
    const sums = async (place: string) => {
      const found = await Promise.all(ids.map(async (id) => (await loadObject(app.db, id))!.replicas))
      const backend = placement.locations.get(place)!.backend
      return Promise.all(
        found.map(async (replicas) => {
          const { key } = replicas.find(({ locationId }) => locationId === place)!
          const hash = createHash('sha256')
          for await (const chunk of (await backend.get(key)).stream) hash.update(chunk as Buffer)
          return hash.digest('hex')
        }),
      )
    }
    const expected = photos.map((bytes) => createHash('sha256').update(bytes).digest('hex'))
    for (const place of ['nas', 's3', 'second']) assert.deepEqual(await sums(place), expected, place)
  })
})

test('a folder that is not mounted: nothing is written beside it, and it gets what it missed', async (t) => {
  const { run, nas } = await startPlaces(t)
  await run('  default: [s3, nas]\n  minCopies: { originals: 1 }', async (app) => {
    const before = await ingestBytes(app.placement, randomBytes(10_000))
    await areAt(app, before, ['nas', 's3'])
    await rename(nas, `${nas}.away`)
    const during = await ingestBytes(app.placement, randomBytes(10_000))
    // Whether a write to it was begun is open; the local file stays for it.
    await eventually(async () => assert.ok((await placesOf(app.db, during)).includes('s3 verified')))
    await mkdir(nas)
    await app.pool.query(
      `update graphile_worker._private_jobs set run_at = now() where key like 'replicate-object%'`,
    )
    await eventually(async () => {
      const { rows } = await app.pool.query(
        `select from graphile_worker.jobs where key like '%' || $1 || '%' and attempts > 0 and locked_at is null`,
        [during],
      )
      assert.ok(rows.length > 0, 'it was tried')
    })
    assert.deepEqual(
      (await placesOf(app.db, during)).filter((place) => place !== 'nas writing'),
      ['local verified', 's3 verified'],
    )
    assert.deepEqual(await readdir(nas), [], 'nothing is written beside the mount')
    await rm(nas, { recursive: true })
    await rename(`${nas}.away`, nas)
    await app.pool.query(
      `update graphile_worker._private_jobs set run_at = now() where key like 'replicate-object%'`,
    )
    await areAt(app, during, ['nas', 's3'])
    await areAt(app, before, ['nas', 's3'])
  })
})

test('leaving a location: its files go when the others have them, and the status says when nothing is left', async (t) => {
  const { run, nas, second } = await startPlaces(t)
  let ids: string[] = []
  await run('  default: [second]', async (app) => {
    ids = await Promise.all([1, 2, 3].map(() => ingestBytes(app.placement, randomBytes(20_000))))
    for (const id of ids) await areAt(app, id, ['second'])
  })
  await run('  default: [s3, nas]', async (app) => {
    const before = (await storageStatus(app.placement)).locations.find(({ id }) => id === 'second')!
    assert.deepEqual(
      [before.isUsed, before.leaving, before.objects],
      [false, { count: 3, bytes: 60_000 }, { count: 3, bytes: 60_000 }],
    )
    rebalanceAnew(app.placement)
    await rebalance(app.placement)
    for (const id of ids) await areAt(app, id, ['nas', 's3'])
    const after = (await storageStatus(app.placement)).locations.find(({ id }) => id === 'second')!
    assert.deepEqual([after.isUsed, after.leaving.count, after.objects.count], [false, 0, 0])
  })
  assert.equal((await files(nas)).length, 3)
  assert.deepEqual(await originals(second), [])
})

test('a wrong copy is made anew although fewer others are left than copies are asked for', async (t) => {
  const { run, nas } = await startPlaces(t)
  await run('  default: [s3, nas]', async (app) => {
    const bytes = randomBytes(30_000)
    const id = await ingestBytes(app.placement, bytes)
    await areAt(app, id, ['nas', 's3'])
    const key = (await loadObject(app.db, id))!.replicas.find(({ locationId }) => locationId === 'nas')!.key
    await writeFile(join(nas, key), randomBytes(30_000))
    assert.ok((await read(app, id)).equals(bytes), 'the other copy is read')
    await eventually(async () => {
      const now = (await loadObject(app.db, id))!.replicas.find(({ locationId }) => locationId === 'nas')
      assert.equal(now?.state, 'verified')
      assert.notEqual(now?.key, key)
    })
    assert.ok((await read(app, id)).equals(bytes))
  })
})

test('somebody who has stopped reading a film keeps nobody from the other files of a folder', async (t) => {
  const { run, nas } = await startPlaces(t)
  await run('  default: [nas]', async (app) => {
    const [film, photo] = [randomBytes(20_000_000), randomBytes(1_000)]
    const [filmId, photoId] = [
      await ingestBytes(app.placement, film),
      await ingestBytes(app.placement, photo),
    ]
    for (const id of [filmId, photoId]) await areAt(app, id, ['nas'])
    const paused = await (await findServable(app.placement, filmId)).open({
      range: { start: 0, end: 19_999_998 },
    })
    paused.once('readable', () => paused.read(1))
    assert.ok((await read(app, photoId)).equals(photo))
    paused.destroy()
    assert.equal((await files(nas)).length, 2)
  })
})
