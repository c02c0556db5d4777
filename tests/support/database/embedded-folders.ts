/** Data folders with an embedded PostgreSQL, for tests of what happens to them: copies, kills, containers. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { clusterPaths } from '../../../src/database/embedded/cluster.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/database/embedded/embedded.ts'
import { findPostmaster } from '../../../src/database/embedded/postmaster.ts'
import { findProcess, isPostgresIn } from '../../../src/database/embedded/process-identity.ts'
import { silentLog } from '../../../src/log.ts'
import { cleanUpAfter } from '../clean-up.ts'
import { until } from '../eventually.ts'
import { memoryFolder } from './memory-folder.ts'

export type StartOptions = Partial<Parameters<typeof startEmbeddedPostgres>[0]>

export type Folders = {
  /** An empty folder for all that the test makes. */
  parent: string
  /** A data folder that was used before and is stopped: initdb takes a second of CPU, copying none. */
  used(name: string): Promise<string>
  /** In this process; stopped after the test. */
  start(dataDir: string, options?: StartOptions): Promise<EmbeddedPostgres>
  /** As a process of its own, which is killed after the test. */
  spawn(dataDir: string, options?: { durable?: boolean; prefix?: string[] }): Promise<Spawned | null>
  defer(work: () => unknown): void
}

/** `pid` is that of PostgreSQL, null where the process does not see it. */
export type Spawned = { child: ChildProcess; exited: Promise<unknown>; url: string; pid: number | null }

/** To be called at the top of a file. Nothing is left running after a test, whatever it did. */
export function embeddedFolders(): (t: TestContext) => Promise<Folders> {
  let pristine: string
  before(async () => {
    pristine = await mkdtemp(join(memoryFolder(), 'glassine-pristine-'))
    await (await startEmbeddedPostgres({ dataDir: pristine, log: silentLog, durable: false })).stop()
  })
  after(() => rm(pristine, { recursive: true, force: true }))

  return async (t) => {
    const defer = cleanUpAfter(t)
    const parent = await mkdtemp(join(memoryFolder(), 'glassine-embedded-'))
    defer(async () => {
      const { stdout } = await promisify(execFile)('find', [parent, '-name', 'cluster', '-type', 'd'])
      for (const cluster of stdout.split('\n').filter(Boolean)) await endHard(join(cluster, '../..'))
      await rm(parent, { recursive: true, force: true })
    })
    return {
      parent,
      defer,
      async used(name) {
        const folder = join(parent, name)
        await copyFolder(pristine, folder)
        return folder
      },
      async start(dataDir, options = {}) {
        const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, durable: false, ...options })
        defer(() => postgres.stop())
        return postgres
      },
      async spawn(dataDir, { durable = false, prefix = [] } = {}) {
        const script = join(import.meta.dirname, '../../database/embedded-process.ts')
        const [file = '', ...args] = [...prefix, process.execPath, script, dataDir, durable ? 'durable' : '']
        const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'ignore'] })
        const exited = once(child, 'exit')
        defer(async () => {
          if (child.exitCode === null) child.kill('SIGKILL')
          await exited
        })
        const line = await Promise.race([
          once(createInterface(child.stdout), 'line'),
          exited.then(() => null),
        ])
        return line === null ? null : { child, exited, ...JSON.parse(String(line[0])) }
      },
    }
  }
}

async function endHard(dataDir: string): Promise<void> {
  const found = await findPostmaster(clusterPaths(dataDir))
  if (found === null) return
  process.kill(found.pid, 'SIGQUIT')
  await gone(found.pid)
}

export async function copyFolder(from: string, to: string): Promise<void> {
  await promisify(execFile)('cp', ['-a', from, to])
}

/**
 * As a snapshot of the file system: all files of one moment. A plain copy has a newer control file than log
 * now and then.
 */
export async function snapshot(dataDir: string, to: string): Promise<void> {
  const pids = await postgresOn(dataDir)
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  try {
    await copyFolder(dataDir, to)
  } finally {
    for (const pid of pids) process.kill(pid, 'SIGCONT')
  }
}

/** All that run on that folder, as the kernel says. */
export async function postgresOn(dataDir: string): Promise<number[]> {
  const { cluster } = clusterPaths(dataDir)
  const pids = (await readdir('/proc')).map(Number).filter(Number.isInteger)
  const found = await Promise.all(pids.map((pid) => isPostgresIn(pid, cluster).catch(() => false)))
  return pids.filter((_, index) => found[index])
}

export async function gone(pid: number): Promise<void> {
  await until(`process ${pid} is gone`, async () => (await findProcess(pid)) === null, 30_000)
}

export async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => undefined)
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
