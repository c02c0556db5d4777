/** `glassine backup now`: what it calls done was read from the database after it was asked for. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { backUpNow } from '../../src/cli/backups/now.ts'
import type { CliContext } from '../../src/cli/context.ts'
import { DEFAULT_KEEP } from '../../src/placement/backup-settings.ts'
import { ownBackups } from '../../src/placement/backups/backup-rows.ts'
import { backUpDatabase } from '../../src/placement/backups/make-backup.ts'
import { replicateObject } from '../../src/placement/lifecycle/replicate.ts'
import { testPlacement } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'

test('a backup that was under way already is not the one that was asked for', async (t) => {
  const database = await testDatabase()
  const { db } = database
  const folder = await mkdtemp(join(tmpdir(), 'glassine-now-'))
  let open = () => {}
  let isReading = () => {}
  const gate = new Promise<void>((resolve) => (open = resolve))
  const reading = new Promise<void>((resolve) => (isReading = resolve))
  // A database so large that reading it takes a while.
  const slow = {
    async connect() {
      const client = await database.pool.connect()
      const query = client.query.bind(client) as (...given: unknown[]) => unknown
      Object.assign(client, {
        query: (what: unknown, ...rest: unknown[]) => {
          if (what !== 'commit') return query(what, ...rest)
          isReading()
          return gate.then(() => query(what, ...rest))
        },
      })
      return client
    },
  } as unknown as pg.Pool
  const backups = {
    pool: slow,
    keyFile: join(folder, 'backup-key.txt'),
    everyMs: 24 * 3_600_000,
    keep: DEFAULT_KEEP,
  }
  const { placement, close } = await testPlacement(db, { backupsAt: ['s3'], backups })
  t.after(async () => {
    await close()
    await rm(folder, { recursive: true })
    await database.drop()
  })
  const daily = backUpDatabase(placement)
  await reading
  const asked = (await database.pool.query<{ now: Date }>('select now()')).rows[0]!.now
  const printed: string[] = []
  const context: Pick<CliContext, 'withWorker' | 'untilInterrupted' | 'progress' | 'print'> = {
    withWorker: (use) => use(placement, async () => ({ stop: async () => {} })),
    untilInterrupted: () => AbortSignal.timeout(30_000),
    progress: () => {},
    print: (text) => void printed.push(text),
  }
  const code = backUpNow(context as CliContext)
  await sleep(300)
  open()
  await replicateObject(placement, { objectId: await daily, to: 's3' })
  await sleep(600)
  assert.deepEqual(printed, [])
  // What the job does that it has waited for.
  const { rows } = await database.pool.query(
    "select from graphile_worker.jobs where task_identifier = 'back-up-database'",
  )
  assert.equal(rows.length, 1)
  await replicateObject(placement, { objectId: await backUpDatabase(placement), to: 's3' })
  assert.equal(await code, 0)
  assert.match(printed.join(), /is verified at s3\.$/)
  assert.ok((await ownBackups(db))[0]!.takenAt >= asked)
})
