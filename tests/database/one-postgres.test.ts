/**
 * At most one PostgreSQL runs on a cluster: by whatever path, from whatever container, whoever is killed
 * when.
 */
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { clusterPaths } from '../../src/database/embedded/cluster.ts'
import { takesSockets } from '../../src/database/embedded/failed-start.ts'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { tryLock } from '../../src/file-lock.ts'
import { embeddedFolders, postgresOn, query } from '../support/database/embedded-folders.ts'
import { eventually, until } from '../support/eventually.ts'

const folders = embeddedFolders()
/** `docker run --rm -v data:/data ...` beside the server: other pids, other IPC. */
const CONTAINER = ['unshare', '--pid', '--ipc', '--fork', '--mount-proc', '--kill-child']
const hasContainers = spawnSync(CONTAINER[0]!, [...CONTAINER.slice(1), 'true']).status === 0

test('a command that reaches the data folder by another path shares its PostgreSQL', async (t) => {
  const { parent, used, start } = await folders(t)
  const data = await used('data')
  const server = await start(data)
  const lock = await readFile(clusterPaths(data).lockFile, 'utf8')
  await symlink(data, join(parent, 'link'))
  const command = await start(join(parent, 'link'))
  assert.equal(command.pid, server.pid)
  await command.stop()
  assert.equal(await readFile(clusterPaths(data).lockFile, 'utf8'), lock)
  assert.deepEqual(await query(server.url, 'select 1 as one'), [{ one: 1 }])
})

test('a command in another container shares the PostgreSQL of the server, and leaves it running', async (t) => {
  if (!hasContainers) return t.skip('this machine allows no namespaces')
  const { used, start, spawn } = await folders(t)
  const data = await used('data')
  const server = await start(data, { durable: true })
  const { pid } = server
  await query(server.url, 'create table photo (n int primary key)')
  const command = await spawn(data, { durable: true, prefix: CONTAINER })
  assert.ok(command)
  assert.equal(command.pid, null, 'it does not see the PostgreSQL that it uses')
  for (let n = 0; n < 20; n++) await query(server.url, `insert into photo values (${n})`)
  command.child.stdin!.end()
  await command.exited
  for (let n = 20; n < 40; n++) await query(server.url, `insert into photo values (${n})`)
  assert.equal(server.pid, pid)
  // A power cut, or the end of the container.
  process.kill(pid, 'SIGKILL')
  const rows = await eventually(() => query(server.url, 'select count(*)::int as n from photo'), 30_000)
  assert.deepEqual(rows, [{ n: 40 }])
})

test('when the container ends in which PostgreSQL runs, a process of another one starts it again', async (t) => {
  if (!hasContainers) return t.skip('this machine allows no namespaces')
  const { used, start, spawn } = await folders(t)
  const data = await used('data')
  const server = await spawn(data, { durable: true, prefix: CONTAINER })
  assert.ok(server)
  const command = await start(data, { durable: true })
  await query(command.url, 'create table photo (n int primary key)')
  server.child.kill('SIGKILL')
  await server.exited
  const rows = await eventually(() => query(command.url, 'insert into photo values (1) returning n'), 30_000)
  assert.deepEqual(rows, [{ n: 1 }])
  const found = await eventually(() => command.pid)
  assert.ok((await postgresOn(data)).includes(found))
})

test('none is started while a process of the one that was killed still lives', async (t) => {
  if (!hasContainers) return t.skip('this machine allows no namespaces')
  const { used, start, spawn } = await folders(t)
  const data = await used('data')
  const first = await start(data)
  const killed = first.pid
  const [row] = await query(first.url, `select pid from pg_stat_activity where backend_type = 'checkpointer'`)
  const stuck = Number(row!.pid)
  // As one that waits for a disk: it does not notice that its postmaster is gone.
  process.kill(stuck, 'SIGSTOP')
  process.kill(killed, 'SIGKILL')
  await until('all others have noticed', async () => (await postgresOn(data)).length === 1)
  // PostgreSQL's own check, by the shared memory, sees only those of its own IPC namespace.
  const command = spawn(data, { prefix: ['unshare', '--ipc'] })
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  assert.deepEqual(await postgresOn(data), [stuck])
  process.kill(stuck, 'SIGCONT')
  assert.ok(await command)
  await eventually(() => query(first.url, 'select 1'), 30_000)
  await until('it is known', () => first.pid !== killed)
})

test('kill -9 at any moment of a start or a stop leaves one that works, or none', {
  timeout: 120_000,
}, async (t) => {
  const { used, start, spawn, defer } = await folders(t)
  const data = await used('data')
  const first = await start(data, { durable: true })
  await query(first.url, 'create table photo (n int primary key)')
  await first.stop()
  const script = join(import.meta.dirname, 'embedded-process.ts')
  let left = 0
  for (let round = 0; round < 12; round++) {
    const child = spawnProcess(script, data)
    defer(() => child.kill('SIGKILL'))
    const exited = once(child, 'exit')
    if (round % 2 === 0) {
      // Between the first look at the folder and a PostgreSQL that is ready.
      await new Promise((resolve) => setTimeout(resolve, 300 + round * 50))
    } else {
      await Promise.race([once(child.stdout!, 'data'), exited])
      child.stdin!.end()
      await new Promise((resolve) => setTimeout(resolve, round * 4))
    }
    child.kill('SIGKILL')
    await exited
    if ((await postgresOn(data)).length > 0) left++
    // Two at once take it over.
    const [one, two] = await Promise.all([spawn(data, { durable: true }), spawn(data, { durable: true })])
    assert.ok(one && two)
    assert.equal(one.pid, two.pid)
    await query(one.url, `insert into photo values (${round})`)
    for (const { child, exited } of [one, two]) {
      child.stdin!.end()
      await exited
    }
    await until('none is left', async () => (await postgresOn(data)).length === 0)
  }
  t.diagnostic(`${left} of 12 kills left a PostgreSQL running`)
  const last = await start(data)
  assert.equal((await query(last.url, 'select n from photo')).length, 12)
})

function spawnProcess(script: string, dataDir: string) {
  return spawn(process.execPath, [script, dataDir, 'durable'], { stdio: ['pipe', 'pipe', 'ignore'] })
}

test('while the last process ends it, one that starts waits and starts it anew', async (t) => {
  const { used, start } = await folders(t)
  const data = await used('data')
  const first = await start(data)
  const { pid } = first
  const stopping = first.stop()
  const second = await start(data)
  await stopping
  assert.notEqual(second.pid, pid)
  assert.deepEqual(await query(second.url, 'select 1 as one'), [{ one: 1 }])
  assert.equal((await postgresOn(data)).includes(second.pid), true)
})

test('a lock ends with the process that holds it, and not with the copy of its file', async (t) => {
  const { parent } = await folders(t)
  const [file, copy] = [join(parent, 'lock'), join(parent, 'copy')]
  await writeFile(file, '')
  const shared = await tryLock(file, 'shared', 'or wait')
  assert.ok(shared)
  const another = await tryLock(file, 'shared', 'or wait')
  assert.ok(another)
  assert.equal(await tryLock(file, 'exclusive', 'or wait'), null)
  await promisify(execFile)('cp', ['-a', file, copy])
  await (await tryLock(copy, 'exclusive', 'or wait'))!.release()
  await shared.release()
  assert.equal(await tryLock(file, 'exclusive', 'or wait'), null)
  // Who inherits it keeps it.
  const heir = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', another.descriptor] })
  await another.release()
  assert.equal(await tryLock(file, 'exclusive', 'or wait'), null)
  heir.kill('SIGKILL')
  await once(heir, 'exit')
  await (await tryLock(file, 'exclusive', 'or wait'))!.release()
})

test('a PostgreSQL that somebody started by hand on the cluster is refused, and goes on', async (t) => {
  const { used, start } = await folders(t)
  const data = await used('data')
  const first = await start(data)
  const { pid } = first
  // With its lock gone, as a file that was put back while it ran would have it.
  const { version } = clusterPaths(data)
  await rename(version, `${version}.old`)
  await writeFile(version, '18\n')
  await rm(join(data, 'postgres', 'cluster', '.s.PGSQL.5432'))
  await assert.rejects(start(data), /A PostgreSQL that this Glassine has not started \(process \d+\) runs on/)
  assert.notEqual(await findProcess(pid), null)
})

test('only "no such file" means that there is no password and no cluster yet', async (t) => {
  const { parent, used, start } = await folders(t)
  for (const name of ['password', 'cluster'] as const) {
    const data = await used(name)
    const path = join(data, 'postgres', name)
    await rename(path, join(parent, `${name}.kept`))
    if (name === 'password') await rm(join(data, 'postgres', 'cluster'), { recursive: true })
    // A link to itself: an error that is not ENOENT, as a disk that fails for a moment.
    await symlink(name, path)
    await assert.rejects(start(data), { code: 'ELOOP' })
    assert.deepEqual(
      (await readdir(join(data, 'postgres'))).filter((entry) => entry.includes('unfinished')),
      [],
    )
  }
})

test('a file system without sockets is known for it', async (t) => {
  const { parent } = await folders(t)
  assert.equal(await takesSockets(parent), true)
  assert.equal(await takesSockets('/sys/kernel'), false)
})
