/**
 * kill -9 over uploads and offloads, by each upload strategy. A manifest holds every upload that was
 * acknowledged before a kill; at the end each of them must come back bit for bit out of the bucket, with
 * nothing left on the local disk to read it from. A round whose kill found nothing in flight proves nothing,
 * so the test fails itself when too few did. What s3-first has acknowledged is in the bucket at the moment of
 * the kill already: there it is looked for before anything is started again.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import sharp from 'sharp'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { buildApp } from '../../src/app.ts'
import { loadConfig } from '../../src/config.ts'
import { createLog } from '../../src/log.ts'
import { purgeObject } from '../../src/placement/lifecycle/purge.ts'
import { sweepPlacement } from '../../src/placement/maintenance/sweep.ts'
import { type Client, connectClient } from '../support/client.ts'
import { eventually, until } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { type SpawnedServer, spawnServer, WRITE_LEASE_SECONDS } from '../support/spawn-server.ts'

const STRATEGIES = ['local-first', 's3-first'] as const
type Strategy = (typeof STRATEGIES)[number]
/** Two parts and more, so that kills meet uploads of which a part is in the bucket. */
const LARGE_BYTES = 36 * 1024 * 1024
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 8)
const UPLOADERS = 4
const DRAIN_LIMIT_MS = 180_000

type Status = {
  originals: Record<'total' | 'localOnly' | 'both' | 'offloaded' | 'atRisk' | 'inFlight', { count: number }>
}

for (const strategy of STRATEGIES) {
  test(
    `${strategy}: every acknowledged upload survives kill -9 of the server and of PostgreSQL`,
    {
      timeout: 600_000,
    },
    () => killOverAndOver(strategy),
  )
}

async function killOverAndOver(strategy: Strategy): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-crash-'))
  const dataDir = join(folder, 'data')
  await mkdir(dataDir)
  const bucket = await startStrictS3({
    store: { kind: 'folder', path: join(folder, 'bucket') },
    credentials: { accessKeyId: 'crash', secretAccessKey: 'crash-secret' },
    buckets: ['photos'],
  })
  const config = `storage:
  s3:
    endpoint: ${bucket.endpoint}
    bucket: photos
    region: us-east-1
    accessKeyId: crash
    secretAccessKey: crash-secret
  upload: { strategy: ${strategy}, writeLeaseSeconds: ${WRITE_LEASE_SECONDS} }
`
  const port = await freePort()
  /** asset id -> SHA-256 of what was acknowledged */
  const manifest = new Map<string, string>()
  let uploadsCut = 0
  let offloadsCut = 0
  let largeCut = 0
  let server: SpawnedServer | null = null
  let client: Client | undefined
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      server = await spawnServer({ dataDir, config, port })
      client ??= await connectClient(server.url)
      const load = startLoad(client, manifest, strategy)
      await sleep(randomInt(300, 2_500))
      // However slow the machine is: each round has something to lose.
      await until('an upload of this round is acknowledged', () => manifest.size > round, 60_000)
      if (strategy === 's3-first' && round === 0) await someUploadStopsAfterItsFirstPart(bucket)
      const status = await client.json<Status>('/storage/status').catch(() => null)
      const writing = bucket.openConnections()
      const inFlight = load.inFlight()
      await server.kill9()
      if (strategy === 's3-first') {
        if ((await bucket.stored.unfinishedUploads()).some(({ parts }) => parts > 0)) largeCut += 1
        await load.stop()
        await checkBucketAlone(bucket, manifest)
      }
      if (round % 3 === 2) await killPostgres(dataDir)
      await load.stop()
      if (inFlight > 0) uploadsCut += 1
      if (writing > 0 || (status?.originals.inFlight.count ?? 0) > 0) offloadsCut += 1
    }
    assert.ok(uploadsCut >= ROUNDS / 2, `only ${uploadsCut} of ${ROUNDS} kills cut an upload`)
    assert.ok(offloadsCut >= 1, 'no kill cut a write to the bucket')
    if (strategy === 's3-first') assert.ok(largeCut >= 1, 'no kill cut an upload of which parts were there')

    server = await spawnServer({ dataDir, config, port })
    assert.ok(client)
    await drained(client, manifest.size)
    const left = (await originalsOnDisk(dataDir)).filter((path) => manifest.has(path.split('/').at(-2)!))
    assert.deepEqual(left, [], 'no acknowledged original is left on the local disk to be read from')
    for (const [assetId, sha256] of manifest) {
      assert.equal(await client.sha256OfOriginal(assetId), sha256, `asset ${assetId}`)
    }
    const { code } = await server.stop()
    server = null
    assert.equal(code, 0)
    await checkForOrphans(join(folder, `glassine-${port}.yaml`), dataDir, bucket)
  } finally {
    await server?.kill9()
    await killPostgres(dataDir)
    await bucket.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** However fast or slow the machine is: one kill finds parts of an upload that is not complete. */
async function someUploadStopsAfterItsFirstPart(bucket: StrictS3): Promise<void> {
  const stop = bucket.faults.add({ match: { operation: 'UploadPart' }, after: 1, fault: { kind: 'hang' } })
  await eventually(async () => {
    const unfinished = await bucket.stored.unfinishedUploads()
    assert.ok(unfinished.some(({ parts }) => parts > 0))
  }, 60_000)
  stop.remove()
}

/**
 * All that was acknowledged, with nothing but the bucket to look at: each asset's id is in the key of its
 * original.
 */
async function checkBucketAlone(bucket: StrictS3, manifest: Map<string, string>): Promise<void> {
  const keys = new Map<string, string[]>()
  for (const { key } of await bucket.stored.objects()) {
    const assetId = /^users\/[^/]+\/([^/]+)\/original\./.exec(key)?.[1]
    if (assetId !== undefined) keys.set(assetId, [...(keys.get(assetId) ?? []), key])
  }
  for (const [assetId, sha256] of manifest) {
    const held = keys.get(assetId) ?? []
    assert.equal(held.length, 1, `acknowledged asset ${assetId} is in the bucket`)
    const bytes = await bucket.stored.bytes(held[0]!)
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, `asset ${assetId} in the bucket`)
  }
}

/**
 * What the kills left behind is swept away: in the end every file and every object in the bucket has its row,
 * and the other way round.
 */
async function checkForOrphans(configFile: string, dataDir: string, bucket: StrictS3): Promise<void> {
  const app = await buildApp(
    loadConfig({ GLASSINE_DATA: dataDir, GLASSINE_CONFIG: configFile }),
    createLog('error'),
  )
  try {
    const tomorrow = { ...app.placement, now: () => new Date(Date.now() + 24 * 3_600_000) }
    // No writer is left: leases, which run by the database's clock, are over.
    const lease_expires_at = new Date(Date.now() - 3_600_000)
    await app.db.updateTable('unfinished_upload').set({ lease_expires_at }).execute()
    await app.db.updateTable('replica').set({ lease_expires_at }).where('state', '=', 'writing').execute()
    for (let round = 0; round < 3; round += 1) {
      await sweepPlacement(tomorrow)
      const purging = await app.db
        .selectFrom('stored_object')
        .select('id')
        .where('state', '=', 'purging')
        .execute()
      for (const { id } of purging) await purgeObject(app.placement, { objectId: id })
    }
    const rows = await app.db.selectFrom('replica').select(['location_id', 'key']).execute()
    const keysAt = (id: string) => rows.filter((row) => row.location_id === id).map(({ key }) => key)
    const inBucket = (await bucket.stored.objects())
      .map(({ key }) => key)
      .filter((key) => key.startsWith('users/'))
    assert.deepEqual(inBucket.sort(), keysAt('s3').sort(), 'the bucket holds what the ledger says')
    const unfinished = (await bucket.stored.unfinishedUploads()).filter(({ key }) => key.startsWith('users/'))
    assert.deepEqual(unfinished, [], 'no parts are left to be paid for')
    const onDisk = (await readdir(join(dataDir, 'media'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.parentPath.includes('/media/users/'))
      .map((entry) => join(entry.parentPath, entry.name).split('/media/')[1]!)
    assert.deepEqual(onDisk.sort(), keysAt('local').sort(), 'the disk holds what the ledger says')
  } finally {
    await app.close()
  }
}

/**
 * Uploads pictures and files that are none (with s3-first one lane of large ones), one after the other in
 * each of a few lanes, until it is stopped.
 */
function startLoad(client: Client, manifest: Map<string, string>, strategy: Strategy) {
  let isStopped = false
  let inFlight = 0
  const lanes = Array.from({ length: UPLOADERS }, async (_, lane) => {
    while (!isStopped) {
      const isLarge = strategy === 's3-first' && lane === 1
      const bytes =
        lane % 2 === 0 ? await picture() : randomBytes(isLarge ? LARGE_BYTES : randomInt(1_000, 3_000_000))
      inFlight += 1
      try {
        const { id, status } = await client.upload(bytes, `photo-${lane}.jpg`)
        assert.equal(status, 'created')
        manifest.set(id, createHash('sha256').update(bytes).digest('hex'))
      } catch (error) {
        if (!isCut(error)) throw error
        isStopped = true
      } finally {
        inFlight -= 1
      }
    }
  })
  return {
    inFlight: () => inFlight,
    async stop() {
      isStopped = true
      await Promise.all(lanes)
    },
  }
}

/** fetch tells a broken connection as a TypeError. Anything the server answered is for the test to see. */
function isCut(error: unknown): boolean {
  return error instanceof TypeError
}

async function picture(): Promise<Buffer> {
  const width = randomInt(40, 200)
  const noise = randomBytes(width * width * 3)
  return sharp(noise, { raw: { width, height: width, channels: 3 } })
    .jpeg()
    .toBuffer()
}

async function drained(client: Client, expected: number): Promise<void> {
  const deadline = Date.now() + DRAIN_LIMIT_MS
  for (;;) {
    const { originals } = await client.json<Status>('/storage/status')
    assert.equal(originals.atRisk.count, 0)
    if (originals.offloaded.count === originals.total.count) {
      assert.ok(
        originals.total.count >= expected,
        `${originals.total.count} originals for ${expected} acknowledged uploads`,
      )
      return
    }
    if (Date.now() > deadline) assert.fail(`not drained: ${JSON.stringify(originals)}`)
    await sleep(500)
  }
}

async function originalsOnDisk(dataDir: string): Promise<string[]> {
  const names = await readdir(join(dataDir, 'media'), { recursive: true })
  return names.filter((name) => /\/original\./.test(name))
}

/**
 * The embedded PostgreSQL's postmaster, by the pid in its own file. Its children notice and end by
 * themselves.
 */
async function killPostgres(dataDir: string): Promise<void> {
  const found = existsSync(join(dataDir, 'postgres'))
    ? await readPostmasterPid(join(dataDir, 'postgres'))
    : null
  if (found === null) return
  try {
    process.kill(found, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
  await sleep(300)
}

async function readPostmasterPid(folder: string): Promise<number | null> {
  const names = await readdir(folder, { recursive: true })
  const file = names.find((name) => name.endsWith('postmaster.pid'))
  if (!file) return null
  return Number((await readFile(join(folder, file), 'utf8')).split('\n')[0])
}
