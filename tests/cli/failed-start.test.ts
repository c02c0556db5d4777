/** Starts that can't succeed, each of a real process: a sentence with a remedy, and no stack. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, statfs, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { until } from '../support/eventually.ts'
import { spawnServer } from '../support/spawn-server.ts'

const PROJECT = new URL('../..', import.meta.url).pathname
const HANGS = { timeout: 300_000 }

async function failedStart(dataDir: string): Promise<string> {
  const child = spawn(process.execPath, ['src/bin/server.ts'], {
    cwd: PROJECT,
    env: {
      ...process.env,
      NODE_TEST_CONTEXT: undefined,
      GLASSINE_DATA: dataDir,
      GLASSINE_HOST: '127.0.0.1',
      GLASSINE_PORT: '0',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  // A PostgreSQL that runs nevertheless would hold the pipe open.
  const [code] = await once(child, 'exit')
  assert.equal(code, 1, said)
  assert.match(said, /^Glassine does not start\. /m)
  assert.doesNotMatch(said, /^\s+at /m, 'no stack')
  return said
}

type Defer = ReturnType<typeof cleanUpAfter>

async function scratch(defer: Defer): Promise<string> {
  const folder = await mkdtemp(join(memoryFolder(), 'glassine-failed-start-'))
  defer(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A small disk of its own; null where this user may mount none. */
async function smallDisk(defer: Defer, options: string): Promise<string | null> {
  const folder = await scratch(defer)
  const disk = join(folder, 'disk')
  await mkdir(disk)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status !== 0) return null
  defer(() => execFileSync('umount', ['-l', disk]))
  return disk
}

/** A data folder that was in use when server and PostgreSQL were killed. */
async function killedInUse(dataDir: string): Promise<void> {
  const server = await spawnServer({ dataDir })
  await until('it is ready', () => server.output().includes('Glassine is ready'))
  const lock = await readFile(join(dataDir, 'postgres', 'cluster', 'postmaster.pid'), 'utf8')
  const postgres = Number(lock.split('\n')[0])
  await server.kill9()
  process.kill(postgres, 'SIGKILL')
  await until('PostgreSQL is gone', async () => (await findProcess(postgres)) === null)
}

test('B13: killed with its disk full, it says so, and starts when there is room', HANGS, async (t) => {
  const disk = await smallDisk(cleanUpAfter(t), 'size=160m')
  if (disk === null) return t.skip('mounting needs a right')
  const dataDir = join(disk, 'data')
  await killedInUse(dataDir)
  const { bavail, bsize } = await statfs(disk)
  await writeFile(join(disk, 'filler'), Buffer.alloc(bavail * bsize))
  assert.match(await failedStart(dataDir), /full|no room/)
  await rm(join(disk, 'filler'))
  const server = await spawnServer({ dataDir })
  await server.stop()
})

test('B13: out of inodes', HANGS, async (t) => {
  const disk = await smallDisk(cleanUpAfter(t), 'size=300m,nr_inodes=6000')
  if (disk === null) return t.skip('mounting needs a right')
  const dataDir = join(disk, 'data')
  await killedInUse(dataDir)
  const { ffree } = await statfs(disk)
  await Promise.all(Array.from({ length: ffree }, (_, index) => writeFile(join(disk, `f${index}`), '')))
  assert.match(await failedStart(dataDir), /no more files|out of inodes/)
})

test('B13: a disk that may only be read', HANGS, async (t) => {
  const disk = await smallDisk(cleanUpAfter(t), 'size=10m,ro')
  if (disk === null) return t.skip('mounting needs a right')
  assert.match(await failedStart(join(disk, 'data')), /may only be read/)
})

test('B13: a file where the data folder is expected', HANGS, async (t) => {
  const defer = cleanUpAfter(t)
  const folder = await scratch(defer)
  await writeFile(join(folder, 'data'), '')
  assert.match(await failedStart(join(folder, 'data')), /a file where a folder is expected/)
  assert.match(await failedStart(join(folder, 'data', 'below')), /a file where a folder is expected/)
})

test('a data folder where none can be made, at once', HANGS, async () => {
  const beganAt = performance.now()
  assert.match(await failedStart('/proc/x'), /GLASSINE_DATA: \/proc\/x: no folder can be made there/)
  // Node's own way takes 100 s of a whole core.
  assert.ok(performance.now() - beganAt < 30_000)
})

test('B13: a database of another major version, and a damaged one', HANGS, async (t) => {
  const defer = cleanUpAfter(t)
  const folder = await scratch(defer)
  const dataDir = join(folder, 'data')
  await killedInUse(dataDir)
  const cluster = join(dataDir, 'postgres', 'cluster')
  await cp(join(cluster, 'PG_VERSION'), join(folder, 'PG_VERSION'))
  await writeFile(join(cluster, 'PG_VERSION'), '17\n')
  assert.match(await failedStart(dataDir), /made by PostgreSQL 17.*database\.url/)
  await cp(join(folder, 'PG_VERSION'), join(cluster, 'PG_VERSION'))

  const control = join(cluster, 'global', 'pg_control')
  const right = await readFile(control)
  await writeFile(control, Buffer.concat([right.subarray(0, 40), Buffer.alloc(right.length - 40, 7)]))
  assert.match(await failedStart(dataDir), /is damaged.*put a backup/s)
  await truncate(control, 0)
  assert.match(await failedStart(dataDir), /is damaged.*put a backup/s)
  await writeFile(control, right)
  const server = await spawnServer({ dataDir })
  await server.stop()
})
