import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/database/embedded/embedded.ts'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { silentLog } from '../../src/log.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { eventually, until } from '../support/eventually.ts'

const started = new Map<string, EmbeddedPostgres[]>()
let pristine: string

before(async () => {
  pristine = await mkdtemp(join(memoryFolder(), 'glassine-embedded-'))
  await (await start(pristine)).stop()
})
after(() => rm(pristine, { recursive: true, force: true }))

/**
 * A data folder that was used before (initdb takes a second of CPU; copying none). Removed after the test,
 * when every server that was started on it has been stopped.
 */
async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await emptyFolder(t)
  await promisify(execFile)('cp', ['-a', `${pristine}/.`, folder])
  return folder
}

async function emptyFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(memoryFolder(), 'glassine-embedded-'))
  started.set(folder, [])
  t.after(async () => {
    for (const postgres of started.get(folder) ?? []) await postgres.stop()
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

async function start(
  dataDir: string,
  options: Partial<Parameters<typeof startEmbeddedPostgres>[0]> = {},
): Promise<EmbeddedPostgres> {
  const postgres = await startEmbeddedPostgres({ dataDir, log: silentLog, durable: false, ...options })
  started.get(dataDir)?.push(postgres)
  return postgres
}

async function query(url: string, text: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

/** Tells one initdb from another. */
async function whenMade(dataDir: string): Promise<{ ino: bigint; mtimeNs: bigint }> {
  const path = join(dataDir, 'postgres', 'cluster', 'PG_VERSION')
  const { ino, mtimeNs } = await stat(path, { bigint: true })
  return { ino, mtimeNs }
}

function serverLog(dataDir: string): Promise<string> {
  return readFile(join(dataDir, 'postgres', 'server.log'), 'utf8')
}

async function gone(pid: number): Promise<void> {
  await until(`process ${pid} is gone`, async () => (await findProcess(pid)) === null, 30_000)
}

async function startInProcess(dataDir: string): Promise<{ child: ChildProcess; url: string; pid: number }> {
  const file = new URL('./embedded-process.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [file, dataDir], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout!, 'data')
  return { child, ...JSON.parse(String(line)) }
}

test('data outlives a stop; the second start takes the same password; nothing is left running', async (t) => {
  const dataDir = await temporaryFolder(t)
  const first = await start(dataDir)
  await query(first.url, 'create table kept (word text); insert into kept values ($$safe$$)')
  await first.stop()
  await gone(first.pid)
  const made = await whenMade(dataDir)
  const logged = (await serverLog(dataDir)).length
  const second = await start(dataDir)
  assert.equal(new URL(second.url).password, new URL(first.url).password)
  assert.deepEqual(await query(second.url, 'select word from kept'), [{ word: 'safe' }])
  assert.equal((await stat(join(dataDir, 'postgres', 'password'))).mode & 0o777, 0o600)
  // What makes a restart quick: the cluster is the one that was, and was shut down in order.
  assert.deepEqual(await whenMade(dataDir), made)
  const said = (await serverLog(dataDir)).slice(logged)
  assert.match(said, /database system was shut down at/)
  assert.doesNotMatch(said, /recovery/)
})

test('it listens on no port of the machine, and wants the password', async (t) => {
  const dataDir = await temporaryFolder(t)
  const postgres = await start(dataDir)
  assert.deepEqual(await query(postgres.url, 'show listen_addresses'), [{ listen_addresses: '' }])
  const wrong = new URL(postgres.url)
  wrong.password = 'guess'
  await assert.rejects(query(wrong.href, 'select 1'), { code: '28P01' })
})

test('the path of the data folder may be longer than that of a socket', async (t) => {
  const parent = await emptyFolder(t)
  const dataDir = join(parent, 'folder'.repeat(20), 'folder'.repeat(20))
  await mkdir(dirname(dataDir))
  await promisify(execFile)('cp', ['-a', `${pristine}/.`, dataDir])
  const postgres = await start(dataDir)
  started.get(parent)!.push(postgres)
  assert.deepEqual(await query(postgres.url, 'select 1 as one'), [{ one: 1 }])
})

test('a server that was left behind by a killed process is found, used and stopped', async (t) => {
  const dataDir = await temporaryFolder(t)
  const before = await startInProcess(dataDir)
  before.child.kill('SIGKILL')
  await once(before.child, 'exit')
  assert.notEqual(await findProcess(before.pid), null, 'PostgreSQL goes on without us')
  const after = await start(dataDir)
  assert.equal(after.pid, before.pid)
  assert.deepEqual(await query(after.url, 'select 1 as one'), [{ one: 1 }])
  await after.stop()
  await gone(before.pid)
})

test('processes that start at once share one server; the last to leave stops it', async (t) => {
  const dataDir = await emptyFolder(t)
  const [one, two] = await Promise.all([startInProcess(dataDir), startInProcess(dataDir)])
  assert.equal(one.pid, two.pid)
  one.child.stdin!.end()
  await once(one.child, 'exit')
  assert.deepEqual(await query(two.url, 'select 1 as one'), [{ one: 1 }])
  two.child.stdin!.end()
  await once(two.child, 'exit')
  await gone(one.pid)
})

test('a server that dies is found under the same URL again, with its data', async (t) => {
  const dataDir = await temporaryFolder(t)
  const postgres = await start(dataDir, { durable: true })
  await query(postgres.url, 'create table kept (word text); insert into kept values ($$safe$$)')
  const killed = postgres.pid
  process.kill(killed, 'SIGKILL')
  await gone(killed)
  const rows = await eventually(() => query(postgres.url, 'select word from kept'), 30_000)
  assert.deepEqual(rows, [{ word: 'safe' }])
  await until('it is known', () => postgres.pid !== killed)
})

test('a left-over lock file that names somebody else does not keep it from starting', async (t) => {
  const dataDir = await temporaryFolder(t)
  const first = await start(dataDir)
  const lockFile = join(dataDir, 'postgres', 'cluster', 'postmaster.pid')
  const lock = await readFile(lockFile, 'utf8')
  await first.stop()
  // As after a restart of a container, where the pid of the last time belongs to an unrelated process.
  const stranger = spawn('sleep', ['60'])
  t.after(() => stranger.kill())
  await writeFile(lockFile, lock.replace(/^\d+/, String(stranger.pid)))
  const second = await start(dataDir)
  assert.notEqual(second.pid, stranger.pid)
  assert.notEqual(await findProcess(stranger.pid!), null)
})

test('a cluster of another major version is refused with a remedy', async (t) => {
  const dataDir = await temporaryFolder(t)
  const postgres = await start(dataDir)
  await postgres.stop()
  await writeFile(join(dataDir, 'postgres', 'cluster', 'PG_VERSION'), '17\n')
  await assert.rejects(start(dataDir), /was made by PostgreSQL 17.*set database\.url/)
})

test('a start that fails says why, with the log of PostgreSQL', async (t) => {
  const dataDir = await temporaryFolder(t)
  await writeFile(join(dataDir, 'postgres', 'cluster', 'postgresql.conf'), 'nonsense = 1\n')
  await assert.rejects(start(dataDir), /unrecognized configuration parameter/)
})
