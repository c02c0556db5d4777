/**
 * Files whose place was changed in the configuration: to a real (strict) S3 server, back, and back in the
 * middle.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { sql } from 'kysely'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import type { ObjectKind } from '../../../src/database/schema.ts'
import { jobHandlers } from '../../../src/jobs/index.ts'
import { silentLog } from '../../../src/log.ts'
import { openMediaTools } from '../../../src/media/processes/tools.ts'
import {
  forgetPendingMoves,
  pendingMoves,
  recordPolicy,
} from '../../../src/placement/ledger/pending-moves.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { rebalanceAnew } from '../../../src/placement/maintenance/rebalance.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import type { Placement } from '../../../src/placement/placement.ts'
import { findServable } from '../../../src/placement/reads/serve.ts'
import { storageStatus } from '../../../src/placement/reports/status.ts'
import { enqueue } from '../../../src/queue/enqueue.ts'
import { startWorker } from '../../../src/queue/worker/worker.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { ingestBytes, locationOfBackend, policyOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const CREDENTIALS = { accessKeyId: 'moving', secretAccessKey: 'moving-secret' }
const KINDS: ObjectKind[] = ['original', 'thumbnail', 'preview', 'sidecar', 'profile-image']
const FILES = 40
const BATCH = 7
const JOBS = 10
const LOCAL = policyOf(['local'], ['local'])
const BUCKET = policyOf(['s3'], ['s3'])

let database: Awaited<ReturnType<typeof testDatabase>>
let server: StrictS3
let rig: Awaited<ReturnType<typeof testPlacement>>
let placement: Placement
const files = new Map<string, Buffer>()

beforeEach(async () => {
  files.clear()
  database = await testDatabase()
  server = await startStrictS3({ store: { kind: 'memory' }, credentials: CREDENTIALS, buckets: ['photos'] })
  const backend = openS3Backend(
    s3TestSettings(
      { endpoint: server.endpoint, ...CREDENTIALS, bucket: 'photos' },
      { prefix: '', requestTimeoutMs: 5_000 },
    ),
    silentLog,
  )
  // As a probe finds a good service; without, each copy would be read back.
  backend.useFeatures({
    ...backend.features,
    conditionalPut: true,
    enforcedDigests: ['md5', 'sha256'],
    attestedDigests: ['md5'],
  })
  rig = await testPlacement(database.db, {
    remotes: [],
    originals: ['local'],
    extra: [locationOfBackend('s3', 's3', backend)],
    settings: { rebalanceBatch: BATCH, rebalanceJobs: JOBS },
  })
  placement = rig.placement
  for (let index = 0; index < FILES; index += 1) {
    const bytes = randomBytes(1_000 + index)
    files.set(await ingestBytes(placement, bytes, { kind: KINDS[index % KINDS.length]! }), bytes)
  }
  server.counts.reset()
})

afterEach(async () => {
  await rig.close()
  await server.close()
  await database.drop()
})

/** A restart with another configuration. */
async function configure(policy: Placement['policy']): Promise<void> {
  placement.policy = policy
  await recordPolicy(placement)
  rebalanceAnew(placement)
  forgetPendingMoves(placement)
}

async function countMoving() {
  forgetPendingMoves(placement)
  return pendingMoves(placement)
}

async function jobCount(): Promise<number> {
  const { rows } = await sql<{
    count: number
  }>`select count(*)::int as count from graphile_worker.jobs`.execute(database.db)
  return rows[0]!.count
}

/** Runs the sweep as a job, and a worker, until `isOver`. */
async function work(isOver: () => Promise<boolean>): Promise<void> {
  const mediaTools = openMediaTools({ log: silentLog, threads: 1 })
  await enqueue(database.db, 'sweep-placement', {})
  const worker = await startWorker({
    pool: database.pool,
    db: database.db,
    handlers: jobHandlers({
      config: { media: { thumbnailPx: 250, previewPx: 1440 } },
      log: silentLog,
      db: database.db,
      placement,
      mediaTools,
    }),
    concurrency: { processing: 1, video: 1, storage: 3 },
    backOff: { quickTries: 3, quickDelayMs: 50 },
    log: silentLog,
    pollMs: 50,
    recurring: [],
  })
  try {
    while (!(await isOver())) {
      const waiting = await jobCount()
      assert.ok(waiting <= JOBS + 2 * BATCH + 1, `${waiting} jobs at a time`)
    }
  } finally {
    await worker.stop(10_000)
    await mediaTools.close()
  }
}

const isIdle = async () => (await jobCount()) === 0

async function places(): Promise<Record<string, number>> {
  const { rows } = await sql<{ at: string; count: number }>`
    select location_id || ' ' || state as at, count(*)::int as count from replica group by 1`.execute(
    database.db,
  )
  return Object.fromEntries(rows.map(({ at, count }) => [at, count]))
}

async function demandBytes(): Promise<void> {
  for (const [id, expected] of files) {
    const pieces: Buffer[] = []
    for await (const piece of await (await findServable(placement, id)).open()) pieces.push(piece as Buffer)
    assert.ok(Buffer.concat(pieces).equals(expected))
  }
}

test('a changed place moves what is there, in batches, and says how much is left', {
  timeout: 120_000,
}, async () => {
  assert.deepEqual(await pendingMoves(placement), [])
  await configure(BUCKET)
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0)
  assert.deepEqual(await countMoving(), [{ to: 's3', label: 's3', count: FILES, bytes }])

  await work(isIdle)
  assert.deepEqual(await places(), { 's3 verified': FILES })
  assert.deepEqual(await countMoving(), [])
  assert.equal(server.counts.of('PutObject'), FILES)
  assert.ok(server.counts.of('HeadObject') <= FILES, `${server.counts.of('HeadObject')} HEADs`)
  assert.equal(objectGets(), 0, 'nothing is read back')
  await demandBytes()

  await configure(LOCAL)
  server.counts.reset()
  await work(isIdle)
  assert.deepEqual(await places(), { 'local verified': FILES })
  assert.equal(server.counts.of('PutObject'), 0)
  assert.equal(objectGets(), FILES, 'each is fetched once')
  assert.deepEqual(await objectsInBucket(), [])
  await demandBytes()
})

test('uploads that wait for their first copy are not files on the move', async () => {
  await configure(BUCKET)
  const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0)
  for (let n = 0; n < 3; n += 1) {
    const fresh = randomBytes(2_000 + n)
    files.set(await ingestBytes(placement, fresh), fresh)
  }
  const moved = [{ to: 's3', label: 's3', count: FILES, bytes }]
  assert.deepEqual(await countMoving(), moved, 'the new ones are not counted')
  // A restart by the same configuration changes nothing.
  await recordPolicy(placement)
  assert.deepEqual(await countMoving(), moved)
  const { originals } = await storageStatus(placement)
  assert.equal(originals.localOnly.count, FILES / KINDS.length + 3, 'they are told of as originals')
  // Now that they belong somewhere else again they move, too: those that belong there and are there do not.
  await work(isIdle)
  assert.deepEqual(await countMoving(), [])
  await configure(LOCAL)
  assert.equal((await countMoving())[0]?.count, FILES + 3)
})

test('changed back in the middle: what has not been copied stays, what has been comes back', {
  timeout: 120_000,
}, async () => {
  await configure(BUCKET)
  const isHalfThere = async () => ((await places())['s3 verified'] ?? 0) >= FILES / 4
  await work(isHalfThere)
  const moved = (await places())['s3 verified']!
  const puts = server.counts.of('PutObject')
  assert.ok(moved < FILES, 'it was interrupted')
  await demandBytes()

  await configure(LOCAL)
  await work(isIdle)
  assert.deepEqual(await places(), { 'local verified': FILES })
  assert.equal(server.counts.of('PutObject'), puts, 'jobs of the old configuration copy nothing any more')
  assert.deepEqual(await objectsInBucket(), [])
  await demandBytes()
})

test('a sweep stops when it is told to, and the next one goes on', async () => {
  await configure(BUCKET)
  const stop = new AbortController()
  stop.abort()
  const interrupted = await sweepPlacement(placement, stop.signal)
  assert.equal(interrupted.rebalancedObjects, 0)
  assert.equal(interrupted.isMore, true)
  const first = await sweepPlacement(placement)
  assert.equal(first.isMore, true)
  assert.equal(first.rebalancedObjects, 2 * BATCH, 'enough jobs wait')
  assert.equal((await sweepPlacement(placement)).rebalancedObjects, 0)
})

test('a job for a place that nobody wants any more copies nothing', async () => {
  const [objectId] = [...files.keys()]
  await replicateObject(placement, { objectId: objectId!, to: 's3' })
  assert.equal(server.counts.of('PutObject'), 0)
})

const objectsInBucket = async () =>
  (await server.stored.objects('photos')).map(({ key }) => key).filter((key) => key.startsWith('users/'))
const objectGets = () => server.counts.of('GetObject')
