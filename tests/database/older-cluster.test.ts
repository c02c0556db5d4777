/**
 * Data folders of a Glassine whose PostgreSQL listened on a port of the machine. They need no step by hand,
 * and are never served twice.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { findPostgresBinaries } from '../../src/database/embedded/binaries.ts'
import { clusterPaths } from '../../src/database/embedded/cluster.ts'
import { readLockFile } from '../../src/database/embedded/postmaster.ts'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { embeddedFolders, type Folders, gone, query } from '../support/database/embedded-folders.ts'
import { until } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'

const folders = embeddedFolders()

type Older = { data: string; port: number; pid: number; url: string }

/** Its PostgreSQL, and its files: `user` is the pid of the process that uses it. */
async function olderInstallation({ used }: Folders, user: number): Promise<Older> {
  const data = await used('data')
  const paths = clusterPaths(data)
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, 'unix_socket_directories=']
  const binaries = await findPostgresBinaries(paths.cluster)
  const flags = settings.flatMap((setting) => ['-c', setting])
  const { file, args, options } = binaries.command('postgres', ['-D', paths.cluster, ...flags])
  spawn(file, args, { ...options, detached: true, stdio: 'ignore' }).unref()
  await until('it is ready', async () => (await readLockFile(paths))?.status === 'ready')
  await mkdir(join(paths.folder, 'clients'))
  const startedAt = (await findProcess(user))?.startedAt ?? 'long ago'
  await writeFile(join(paths.folder, 'clients', String(user)), startedAt)
  await writeFile(join(paths.folder, 'port'), `${port}\n`)
  const password = (await readFile(paths.password, 'utf8')).trim()
  const url = `postgres://glassine:${password}@127.0.0.1:${port}/glassine`
  await query(url, 'create table photo (n int primary key)')
  await query(url, 'insert into photo values (1)')
  return { data, port, pid: (await readLockFile(paths))!.pid, url }
}

const DEAD = 4_194_304 // beyond the highest pid of Linux

test('what an older Glassine that was killed has left running is ended and taken over', async (t) => {
  const all = await folders(t)
  const { data, pid } = await olderInstallation(all, DEAD)
  const postgres = await all.start(data)
  assert.equal(await findProcess(pid), null)
  assert.deepEqual(await query(postgres.url, 'select n from photo'), [{ n: 1 }])
  const left = await readdir(join(data, 'postgres'))
  assert.deepEqual(
    left.filter((name) => ['clients', 'port', 'starting'].includes(name)),
    [],
  )
})

test('while an older Glassine runs, a newer one refuses to start, and says what to stop', async (t) => {
  const all = await folders(t)
  const { data, pid, url } = await olderInstallation(all, process.pid)
  const told = new RegExp(`older Glassine \\(process ${process.pid}\\) still uses.*all of its workers`)
  await assert.rejects(all.start(data), told)
  assert.notEqual(await findProcess(pid), null)
  assert.deepEqual(await query(url, 'select n from photo'), [{ n: 1 }])
})

/** As when it is in another container: its lock file is there, and names nobody. */
async function outOfSight(all: Folders): Promise<{ data: string; wal: string }> {
  const { data, pid } = await olderInstallation(all, DEAD)
  process.kill(pid, 'SIGKILL')
  await gone(pid)
  const { cluster } = clusterPaths(data)
  const log = join(cluster, 'pg_wal')
  const segment = (await readdir(log)).find((name) => /^[0-9A-F]{24}$/.test(name))!
  return { data, wal: join(log, segment) }
}

test('one that nobody can see, but that writes, keeps a newer one from starting', async (t) => {
  const all = await folders(t)
  const { data, wal } = await outOfSight(all)
  const writing = setInterval(() => void utimes(wal, new Date(), new Date()), 200)
  all.defer(() => clearInterval(writing))
  await assert.rejects(all.start(data, { silenceMs: 1_500 }), /writes to .*maybe in another container/)
})

test('one that nobody can see, and that writes no more, was killed: its data are recovered', async (t) => {
  const all = await folders(t)
  const { data } = await outOfSight(all)
  const beganAt = performance.now()
  const postgres = await all.start(data, { silenceMs: 2_000 })
  assert.ok(performance.now() - beganAt > 1_000, 'it looked for a while')
  assert.deepEqual(await query(postgres.url, 'select n from photo'), [{ n: 1 }])
})

test('after a crash of this Glassine, also in the middle of a start, nobody waits to see whether an older one runs', async (t) => {
  const { used, start } = await folders(t)
  const data = await used('data')
  const first = await start(data)
  const { pid } = first
  const { lockFile } = clusterPaths(data)
  const lines = (await readFile(lockFile, 'utf8')).split('\n')
  await first.stop()
  // Of one that has not begun to listen.
  await writeFile(lockFile, [...lines.slice(0, 4), '', ''].join('\n'))
  const beganAt = performance.now()
  const second = await start(data, { silenceMs: 20_000 })
  assert.ok(performance.now() - beganAt < 10_000)
  assert.notEqual(second.pid, pid)
})

test('an older Glassine recognises the PostgreSQL of this one by its command line, and starts none beside it', async (t) => {
  const { used, start } = await folders(t)
  const data = await used('data')
  const { pid } = await start(data)
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8')
  assert.ok(command.includes('postgres') && command.includes(join(data, 'postgres', 'cluster')), command)
})
