/**
 * A real server under a load of uploads that goes on over kills, with a manifest of what was acknowledged.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { StrictS3 } from 'strict-s3'
import { connectDatabase } from '../../src/database/connect.ts'
import { startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { silentLog } from '../../src/log.ts'
import { type Client, connectClient } from './client.ts'
import { freePort } from './free-port.ts'
import { type SpawnedServer, spawnServer } from './spawn-server.ts'

const LANES = 2
const MAX_FILE_BYTES = 40_000
/**
 * Between two uploads of a lane: what is asked is not how many there are, and the machine has other tests to
 * run.
 */
const PAUSE_MS = 100

export type LoadedSite = {
  dataDir: string
  /** Asset id -> SHA-256 of everything that was acknowledged. */
  manifest: Map<string, string>
  /** Uploads that a kill cut. */
  readonly cut: number
  client: Client
  start(): Promise<void>
  kill9(): Promise<void>
  /** SIGTERM, and its PostgreSQL ends with it where it has one of its own. */
  stop(): Promise<void>
  startLoad(): void
  /** Throws what a lane met, other than a broken connection. */
  stopLoad(): Promise<void>
  /** After the test, also one that failed in the middle. */
  close(): Promise<void>
  /** Its database, while it runs and afterwards. */
  withDatabase<T>(use: (pool: pg.Pool) => Promise<T>): Promise<T>
}

/**
 * `databaseUrl`: null for the embedded PostgreSQL of `dataDir`. `storage`: JSON of that part of the
 * configuration.
 */
export async function openLoadedSite(options: {
  dataDir: string
  storage: object
  databaseUrl: string | null
}): Promise<LoadedSite> {
  const { dataDir, storage, databaseUrl } = options
  const port = await freePort()
  const config = JSON.stringify({ storage, ...(databaseUrl !== null && { database: { url: databaseUrl } }) })
  let server: SpawnedServer | null = null
  let lanes: Promise<void>[] = []
  let isStopped = false
  let cut = 0

  async function lane(number: number): Promise<void> {
    while (!isStopped) {
      const bytes = randomBytes(randomInt(500, MAX_FILE_BYTES))
      try {
        const { id, status } = await site.client.upload(bytes, `photo-${number}.jpg`)
        assert.equal(status, 'created')
        site.manifest.set(id, createHash('sha256').update(bytes).digest('hex'))
      } catch (error) {
        // fetch tells a broken connection as a TypeError. Anything the server answered is for the test to
        // see.
        if (!(error instanceof TypeError))
          throw new Error(`${(error as Error).message}\n${server?.output().slice(-4_000)}`, { cause: error })
        cut += 1
      }
      await sleep(PAUSE_MS)
    }
  }

  const site: LoadedSite = {
    dataDir,
    manifest: new Map(),
    get cut() {
      return cut
    },
    client: undefined as never,
    async start() {
      server = await spawnServer({ dataDir, config, port })
      site.client ??= await connectClient(server.url)
    },
    async kill9() {
      await server?.kill9()
      server = null
    },
    async stop() {
      await server?.stop()
      server = null
    },
    startLoad() {
      isStopped = false
      lanes = Array.from({ length: LANES }, (_, number) => lane(number))
      // Told when the load is stopped; until then nobody looks.
      for (const one of lanes) one.catch(() => undefined)
    },
    async stopLoad() {
      isStopped = true
      await Promise.all(lanes)
    },
    async close() {
      isStopped = true
      await Promise.allSettled(lanes)
      await site.stop()
    },
    async withDatabase(use) {
      const own = databaseUrl === null ? await startEmbeddedPostgres({ dataDir, log: silentLog }) : null
      const { pool } = connectDatabase(databaseUrl ?? own!.url, silentLog, { maxConnections: 2 })
      try {
        return await use(pool)
      } finally {
        await pool.end()
        await own?.stop()
      }
    },
  }
  return site
}

/** Everything that was acknowledged reads back right from the site itself. How many there were. */
export async function readManifest({ client, manifest }: LoadedSite, whose: string): Promise<number> {
  for (const [id, sha256] of manifest)
    assert.equal(await client.sha256OfOriginal(id), sha256, `${whose}: asset ${id}`)
  return manifest.size
}

/** Whatever the ledger ever proved at the bucket, and nobody deleted, is there and right. How many keys. */
export async function checkProvenKeys(site: LoadedSite, bucket: StrictS3, whose: string): Promise<number> {
  const { rows } = await site.withDatabase((pool) =>
    pool.query<{ key: string; sha256: string }>(
      `select distinct e.key, encode(o.sha256, 'hex') as sha256
       from placement_event e join stored_object o on o.id = e.object_id
       where e.location_id = 's3' and e.to_state = 'verified' and o.state = 'live'`,
    ),
  )
  const held = new Set((await bucket.stored.objects()).map(({ key }) => key))
  for (const { key, sha256 } of rows) {
    assert.ok(held.has(key), `${whose} knows ${key}, and it was removed`)
    const bytes = await bucket.stored.bytes(key)
    assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256, `${whose}: ${key}`)
  }
  return rows.length
}

/** What the site counts as given up on its own disk since the beginning of its ledger. */
export async function countEvicted(site: LoadedSite): Promise<number> {
  const { rows } = await site.withDatabase((pool) =>
    pool.query<{ count: number }>(
      `select count(*)::int as count from placement_event e join stored_object o on o.id = e.object_id
       where e.location_id = 'local' and e.from_state = 'evicting' and e.to_state is null and o.kind = 'original'`,
    ),
  )
  return rows[0]!.count
}

/** What is noted of another ledger, by location, and what the storage status says of it to people. */
export async function conflictOf(site: LoadedSite): Promise<{ noted: string | null; shown: string | null }> {
  const { rows } = await site.withDatabase((pool) =>
    pool.query<{ conflict: string | null }>(`select conflict from location_counter where location_id = 's3'`),
  )
  const { locations } = await site.client.json<{ locations: { id: string; error: string | null }[] }>(
    '/storage/status',
  )
  return { noted: rows[0]?.conflict ?? null, shown: locations.find(({ id }) => id === 's3')?.error ?? null }
}
