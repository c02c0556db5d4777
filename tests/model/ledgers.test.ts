/**
 * Random commands in a world in which the ledger may be wrong: snapshots of it are put back, copies of the
 * installation run beside it on the same bucket, rows are dropped, objects are damaged and swapped, and the
 * bucket lies about digests. No counter helps here: each ledger believes that the places are its own, which
 * is the worst that can be. What must hold after every step of ours:
 *
 * - while right bytes of an acknowledged original were anywhere before it, they are somewhere after it;
 * - every reader gets the right bytes or an error.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { isAppError } from '../../src/errors.ts'
import { isOfUnendedUpload } from '../../src/library/direct-uploads/rows.ts'
import { silentLog } from '../../src/log.ts'
import { evictReplica } from '../../src/placement/lifecycle/evict.ts'
import { markForPurge, purgeObject } from '../../src/placement/lifecycle/purge.ts'
import { replicateObject } from '../../src/placement/lifecycle/replicate.ts'
import { checkListing } from '../../src/placement/listing/check-listing.ts'
import { sweepPlacement } from '../../src/placement/maintenance/sweep.ts'
import { closePlacement, openPlacement } from '../../src/placement/open.ts'
import type { Placement } from '../../src/placement/placement.ts'
import { findServable } from '../../src/placement/reads/serve.ts'
import { adoptLocation } from '../../src/placement/takeover/adopt.ts'
import { beginAdoption } from '../../src/placement/takeover/adoption.ts'
import { ensureCopy } from '../../src/placement/uploads/repair.ts'
import { stageStream } from '../../src/placement/uploads/stage.ts'
import { RetryLater } from '../../src/queue/retry-later.ts'
import { isStorageError, type ObjectInfo } from '../../src/storage/backend.ts'
import { openDiskBackend } from '../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../src/storage/memory/memory.ts'
import { type LedgerSnapshot, restoreSnapshot, takeSnapshot } from '../support/database/ledger-snapshot.ts'
import { ingestBytes, locationOfBackend, policyOf } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'
import { faultyBackend } from '../support/storage/faulty-backend.ts'

const LOCAL = 'local'
const S3 = 's3'
/** What each ledger goes by: nobody waits, nobody compares anew, and nobody notices another one. */
const SETTINGS = {
  writeLeaseMs: 30_000,
  holdMs: 0,
  removalWaitMs: 0,
  lateRequestMs: 0,
  idleAdvanceMs: 0,
  counterGoodForMs: Number.MAX_SAFE_INTEGER,
}
const OWNER = '00000000-0000-4000-8000-000000000001'

type TestDatabase = Awaited<ReturnType<typeof testDatabase>>
type Ledger = { database: TestDatabase; placement: Placement; folder: string }
type World = {
  ledgers: Ledger[]
  bucket: ReturnType<typeof faultyBackend<ReturnType<typeof openMemoryBackend>>>
  /** The bucket attests to another MD5 than that of what it holds. */
  isLying: boolean
  snapshots: { of: number; rows: LedgerSnapshot }[]
  /** Acknowledged by any ledger, and deleted by nobody: the bytes by their SHA-256. */
  originals: Map<string, Buffer>
  idsOf: Map<string, string>
  counts: Record<string, number>
}

let databases: TestDatabase[] = []
before(async () => {
  databases = [await testDatabase(), await testDatabase()]
})
after(async () => {
  for (const database of databases) await database.drop()
})

type Command =
  | { do: 'upload' | 'upload-again' | 'read' | 'release' | 'delete'; who: number; pick: number }
  | { do: 'replicate' | 'evict'; who: number; pick: number; to: string; snapshot: boolean }
  | { do: 'sweep' | 'adopt' | 'list'; who: number }
  | { do: 'snapshot' | 'restore' | 'restart'; who: number; pick: number }
  /**
   * Offloaded as far as the world knows, and half-way as the ledger says: the story of A1 and A2, which
   * chance alone seldom tells.
   */
  | { do: 'offload-and-forget' | 'offload-and-copy'; who: number; pick: number }
  | { do: 'copy' | 'lie' | 'truth' }
  | { do: 'fault'; call: 'head' | 'get' | 'put' | 'delete'; when: 'before' | 'after' }
  | { do: 'damage' | 'lose' | 'swap'; pick: number; place: string }
  | { do: 'drop-row'; who: number; pick: number }
  | { do: 'policy'; who: number; originals: string[] }

function command(): fc.Arbitrary<Command> {
  const who = fc.nat(1)
  const pick = fc.nat(30)
  const to = fc.constantFrom(LOCAL, S3)
  const named = <Name extends string>(...names: Name[]) => fc.constantFrom(...names)
  return fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: named('upload'), who, pick }) },
    {
      weight: 8,
      arbitrary: fc.record({ do: named('replicate', 'evict'), who, pick, to, snapshot: fc.boolean() }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: named('read', 'upload-again', 'upload-again', 'upload-again'), who, pick }),
    },
    { weight: 1, arbitrary: fc.record({ do: named('delete'), who, pick }) },
    { weight: 5, arbitrary: fc.record({ do: named('sweep', 'sweep', 'adopt', 'list'), who }) },
    {
      weight: 5,
      arbitrary: fc.record({ do: named('snapshot', 'restore', 'restore', 'restart'), who, pick }),
    },
    { weight: 2, arbitrary: fc.record({ do: named('copy', 'copy', 'lie', 'truth') }) },
    { weight: 4, arbitrary: fc.record({ do: named('offload-and-forget', 'offload-and-copy'), who, pick }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: named('fault'),
        call: named('head', 'get', 'put', 'delete'),
        when: named('before', 'after'),
      }),
    },
    { weight: 3, arbitrary: fc.record({ do: named('damage', 'lose', 'swap'), pick, place: to }) },
    { weight: 1, arbitrary: fc.record({ do: named('drop-row'), who, pick }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: named('policy'),
        who,
        originals: fc.subarray([LOCAL, S3], { minLength: 1 }),
      }),
    },
  ) as fc.Arbitrary<Command>
}

test('A1-A4: whatever the ledgers believe, the last right bytes stay, and readers get right bytes or an error', async () => {
  const counts: Record<string, number> = {}
  await fc.assert(
    fc.asyncProperty(fc.array(command(), { minLength: 15, maxLength: 45 }), async (commands) => {
      const world = await open(counts)
      try {
        for (const [index, step] of commands.entries()) {
          const isOurs = !['damage', 'lose', 'swap', 'restore', 'drop-row'].includes(step.do)
          const rightBefore = isOurs ? await rightBytes(world) : new Set<string>()
          await run(world, step)
          if (!isOurs) continue
          const rightAfter = await rightBytes(world)
          for (const sha256 of rightBefore) {
            if (!world.originals.has(sha256)) continue
            assert.ok(
              rightAfter.has(sha256),
              `step ${index} (${JSON.stringify(step)}) removed the last right bytes of ${sha256}`,
            )
          }
        }
      } finally {
        await close(world)
      }
    }),
    { numRuns: Number(process.env.MODEL_RUNS ?? 40), endOnFailure: true },
  )
  // A model in which nothing happens proves nothing.
  for (const name of [
    'uploaded',
    'replicated',
    'evicted',
    'restored',
    'copied',
    'kept',
    'repaired',
    'read',
    'adopted',
  ])
    assert.ok((counts[name] ?? 0) > 0, `nothing was ever ${name}: ${JSON.stringify(counts)}`)
})

async function open(counts: Record<string, number>): Promise<World> {
  for (const { pool } of databases) await wipe(pool)
  const bucket = faultyBackend(openMemoryBackend())
  const world: World = {
    ledgers: [],
    bucket,
    isLying: false,
    snapshots: [],
    originals: new Map(),
    idsOf: new Map(),
    counts,
  }
  const head = bucket.backend.head
  bucket.backend.head = async (...args) => lie(world, await head(...args))
  const folder = await mkdtemp(join(tmpdir(), 'glassine-ledgers-'))
  world.ledgers.push({
    database: databases[0]!,
    folder,
    placement: await start(world, databases[0]!, folder),
  })
  return world
}

function lie<Info extends ObjectInfo | null>(world: World, info: Info): Info {
  if (!world.isLying || info === null) return info
  return { ...info, attested: [{ algorithm: 'md5', value: '0'.repeat(32) }] }
}

function start(
  { bucket }: Pick<World, 'bucket'>,
  database: TestDatabase,
  folder: string,
): Promise<Placement> {
  return openPlacement({
    db: database.db,
    log: silentLog,
    locations: [
      locationOfBackend(LOCAL, 'disk', openDiskBackend({ root: join(folder, 'media'), log: silentLog })),
      locationOfBackend(S3, 'memory', bucket.backend),
    ],
    localId: LOCAL,
    mediaLocation: join(folder, 'media'),
    policy: policyOf([S3]),
    isAwaited: isOfUnendedUpload,
    settings: SETTINGS,
  })
}

async function close(world: World): Promise<void> {
  for (const { placement, folder } of world.ledgers) {
    await closePlacement(placement)
    await rm(folder, { recursive: true, force: true })
  }
}

async function wipe(pool: TestDatabase['pool']): Promise<void> {
  const tables = [...(await takeSnapshot(pool)).keys()]
  // The migrations have given it its one row.
  const emptied = tables.filter((table) => table !== 'installation')
  await restoreSnapshot(pool, new Map(emptied.map((table) => [table, '[]'])))
}

async function run(world: World, step: Command): Promise<void> {
  const ledger = 'who' in step ? world.ledgers[step.who % world.ledgers.length]! : world.ledgers[0]!
  const { placement, database } = ledger
  const count = (name: string) => {
    world.counts[name] = (world.counts[name] ?? 0) + 1
  }
  const known = [...world.idsOf.keys()]
  const objectId = 'pick' in step ? known[step.pick % Math.max(1, known.length)] : undefined

  switch (step.do) {
    case 'upload': {
      const bytes = randomBytes(1 + (step.pick % 7) * 300)
      await tolerate(async () => {
        const id = await ingestBytes(placement, bytes, { ownerId: OWNER })
        world.idsOf.set(id, digest(bytes))
        world.originals.set(digest(bytes), bytes)
        count('uploaded')
      })
      return
    }
    case 'upload-again': {
      const bytes = objectId && world.originals.get(world.idsOf.get(objectId)!)
      if (!bytes) return
      await tolerate(async () => {
        const sent = await stageStream(placement, Readable.from([bytes]), { maxBytes: 1e6 })
        try {
          const ensured = await ensureCopy(placement, objectId, sent)
          if (ensured === 'repaired') count('repaired')
          // "Duplicate": the owner's own file may be gone from here on, so that right bytes have to be here.
          if (ensured !== 'gone' && !world.isLying)
            assert.ok(
              (await rightBytes(world)).has(digest(bytes)),
              'a duplicate was answered for nothing safe',
            )
        } finally {
          await sent.discard()
        }
      })
      return
    }
    case 'replicate':
    case 'evict': {
      if (!objectId) return
      if (step.snapshot)
        snapshotAtNextCall(world, world.ledgers.indexOf(ledger), step.do === 'replicate' ? 'put' : 'delete')
      await tolerate(async () => {
        if (step.do === 'replicate') await replicateObject(placement, { objectId, to: step.to })
        else await evictReplica(placement, { objectId, from: step.to })
        count(step.do === 'replicate' ? 'replicated' : 'evicted')
      })
      return
    }
    case 'read':
      if (!objectId) return
      await tolerate(async () => {
        const read = await buffer(await (await findServable(placement, objectId)).open())
        assert.equal(digest(read), world.idsOf.get(objectId), 'wrong bytes were read as a success')
        count('read')
      })
      return
    case 'delete':
      if (!objectId) return
      world.originals.delete(world.idsOf.get(objectId)!)
      await tolerate(async () => {
        await database.db.transaction().execute((tx) => markForPurge(tx, [objectId], 'user'))
        await purgeObject(placement, { objectId })
      })
      return
    case 'sweep':
      await database.pool.query(
        `update replica set lease_expires_at = now() - interval '1 minute' where lease_expires_at is not null`,
      )
      await database.pool.query(`update stored_object set created_at = created_at - interval '1 hour'`)
      await database.pool.query(`update key_to_clear set clear_at = now(), retry_at = null`)
      await tolerate(() => sweepPlacement(placement))
      {
        const { rows } = await database.pool.query(
          `select count(*)::int as kept from placement_event where from_state in ('writing', 'evicting') and to_state = 'verified' and actor in ('sweep', 'job evict-replica', 'late put')`,
        )
        if (rows[0].kept > 0) count('kept')
      }
      return
    case 'adopt':
      await tolerate(async () => {
        await sql`update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = ${S3} and conflict is null`.execute(
          database.db,
        )
        await beginAdoption(placement, S3, 'model')
        await adoptLocation(placement, { locationId: S3 })
        count('adopted')
      })
      return
    case 'list':
      await tolerate(() => checkListing(placement, S3, { isNow: true }))
      return
    case 'offload-and-forget':
    case 'offload-and-copy': {
      const { who, pick } = step
      await run(world, { do: 'upload', who, pick })
      const newest = [...world.idsOf.keys()].length - 1
      await run(world, { do: 'policy', who, originals: [S3] })
      await run(world, { do: 'replicate', who, pick: newest, to: S3, snapshot: true })
      if (step.do === 'offload-and-copy') await run(world, { do: 'copy' })
      await run(world, { do: 'evict', who, pick: newest, to: LOCAL, snapshot: false })
      const last = world.snapshots.filter(({ of }) => world.ledgers[of] === ledger).length - 1
      if (step.do === 'offload-and-forget') return run(world, { do: 'restore', who, pick: last })
      // The copy began when the bytes were there and the row did not say so.
      const copy = world.ledgers[1]
      if (copy && last >= 0) await restoreSnapshot(copy.database.pool, world.snapshots.at(-1)!.rows)
      return
    }
    case 'snapshot':
      world.snapshots.push({ of: world.ledgers.indexOf(ledger), rows: await takeSnapshot(database.pool) })
      return
    case 'restore': {
      const own = world.snapshots.filter(({ of }) => world.ledgers[of] === ledger)
      const snapshot = own[step.pick % Math.max(1, own.length)]
      if (!snapshot) return
      await restoreSnapshot(database.pool, snapshot.rows)
      await restart(world, ledger)
      count('restored')
      return
    }
    case 'restart':
      return restart(world, ledger)
    case 'copy': {
      if (world.ledgers.length > 1) return
      const folder = await mkdtemp(join(tmpdir(), 'glassine-ledgers-'))
      await cp(join(ledger.folder, 'media'), join(folder, 'media'), { recursive: true })
      await restoreSnapshot(databases[1]!.pool, await takeSnapshot(database.pool))
      world.ledgers.push({
        database: databases[1]!,
        folder,
        placement: await start(world, databases[1]!, folder),
      })
      count('copied')
      return
    }
    case 'lie':
    case 'truth':
      world.isLying = step.do === 'lie'
      return
    case 'fault':
      world.bucket.plan({ call: step.call, when: step.when })
      return
    case 'damage':
    case 'lose':
    case 'swap':
      return harm(world, step)
    case 'drop-row': {
      const { rows } = await database.pool.query<{ object_id: string; location_id: string }>(
        'select object_id, location_id from replica order by key',
      )
      const row = rows[step.pick % Math.max(1, rows.length)]
      if (!row) return
      const client = await database.pool.connect()
      try {
        await client.query('begin')
        await client.query('set local session_replication_role = replica')
        await client.query('delete from replica where object_id = $1 and location_id = $2', [
          row.object_id,
          row.location_id,
        ])
        await client.query('commit')
      } finally {
        client.release()
      }
      return
    }
    case 'policy':
      Object.assign(placement, { policy: policyOf(step.originals) })
  }
}

/**
 * Taken in the middle: the bytes are there, and the row does not say so yet; or the row says that they go,
 * and they are there.
 */
function snapshotAtNextCall(world: World, of: number, call: 'put' | 'delete'): void {
  const { backend } = world.bucket
  const original = backend[call] as (...args: unknown[]) => Promise<unknown>
  Object.assign(backend, {
    [call]: async (...args: unknown[]) => {
      Object.assign(backend, { [call]: original })
      const take = async () =>
        world.snapshots.push({ of, rows: await takeSnapshot(world.ledgers[of]!.database.pool) })
      if (call === 'delete') await take()
      const result = await original(...args)
      if (call === 'put') await take()
      return result
    },
  })
}

async function restart(world: World, ledger: Ledger): Promise<void> {
  await closePlacement(ledger.placement)
  // Its counter is what it was: here nobody is to notice.
  await ledger.database.pool.query(`update location_counter set conflict = null, conflict_since = null`)
  const held = await world.bucket.inner.readCounter()
  if (held) {
    const { value, token } = JSON.parse(held.text) as { value: number; token: string }
    await ledger.database.pool.query(
      `update location_counter set value = $1, token = $2, next_token = null, version = null where location_id = '${S3}'`,
      [value, token],
    )
  }
  const disk = JSON.parse(await readFile(join(ledger.folder, 'media', '.glassine-counter'), 'utf8'))
  await ledger.database.pool.query(
    `update location_counter set value = $1, token = $2, next_token = null, version = null where location_id = '${LOCAL}'`,
    [disk.value, disk.token],
  )
  ledger.placement = await start(world, ledger.database, ledger.folder)
}

/**
 * The world damages, loses or swaps what lies somewhere, but never the last right bytes: that no software can
 * undo.
 */
async function harm(
  world: World,
  step: Extract<Command, { place: string }> & { pick: number },
): Promise<void> {
  const everywhere = await allBytes(world)
  const there = everywhere.filter(({ place }) => (step.do === 'swap' ? S3 : step.place) === place)
  const victim = there[step.pick % Math.max(1, there.length)]
  if (!victim) return
  const isLast = (one: Found) =>
    world.originals.has(one.sha256) && everywhere.filter(({ sha256 }) => sha256 === one.sha256).length < 2
  if (isLast(victim)) return
  if (step.do === 'lose') return victim.write(null)
  if (step.do === 'damage') {
    const damaged = Buffer.from(victim.bytes)
    if (damaged.length > 0) damaged[damaged.length >> 1]! ^= 0xff
    return victim.write(damaged)
  }
  const other = there.find((one) => one !== victim && !isLast(one))
  if (!other) return
  await victim.write(other.bytes)
  await other.write(victim.bytes)
}

type Found = { place: string; sha256: string; bytes: Buffer; write(bytes: Buffer | null): Promise<void> }

async function allBytes({ bucket, ledgers }: World): Promise<Found[]> {
  const { held } = bucket.inner
  const found: Found[] = [...held].map(([key, { bytes }]) => ({
    place: S3,
    sha256: digest(bytes),
    bytes,
    async write(given) {
      if (given === null) held.delete(key)
      else held.set(key, { bytes: given, modifiedAt: new Date() })
    },
  }))
  for (const { folder } of ledgers) {
    const entries = await readdir(join(folder, 'media', 'users'), {
      recursive: true,
      withFileTypes: true,
    }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const entry of entries) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const bytes = await readFile(path)
      found.push({
        place: LOCAL,
        sha256: digest(bytes),
        bytes,
        write: (given) => (given === null ? rm(path) : writeFile(path, given)),
      })
    }
  }
  return found
}

/** Of which originals the right bytes lie anywhere, under whatever key. */
async function rightBytes(world: World): Promise<Set<string>> {
  return new Set(
    (await allBytes(world)).map(({ sha256 }) => sha256).filter((one) => world.originals.has(one)),
  )
}

/** The errors that a job may end with, to be run again; anything else is a bug. */
async function tolerate(act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    if (error instanceof RetryLater || isStorageError(error)) return
    const codes = ['unavailable', 'corrupt', 'conflict', 'last-copy', 'not-found'] as const
    if (codes.some((code) => isAppError(error, code))) return
    throw error
  }
}

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
