/**
 * Copies of a data folder hold copies of all that the embedded PostgreSQL of the original has written there.
 * No process of the one may ever use the database of the other.
 */
import assert from 'node:assert/strict'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { AppError } from '../../src/errors.ts'
import { copyFolder, embeddedFolders, gone, query, snapshot } from '../support/database/embedded-folders.ts'
import { eventually, until } from '../support/eventually.ts'

const folders = embeddedFolders()

test('a copy whose path is the end of the path of its running original has a database of its own', async (t) => {
  const { parent, used, start } = await folders(t)
  const copy = join(parent, 'data')
  const original = join(parent, 'mounted', copy)
  await mkdir(join(original, '..'), { recursive: true })
  await rename(await used('fresh'), original)
  const first = await start(original)
  await query(first.url, 'create table photo (n int primary key)')
  await query(first.url, 'checkpoint')
  await snapshot(original, copy)

  const second = await start(copy)
  await query(second.url, 'insert into photo values (1)')
  assert.deepEqual(await query(first.url, 'select n from photo'), [])
  assert.notEqual(second.pid, first.pid)
})

test('a server whose PostgreSQL was killed never goes on with that of a copy', async (t) => {
  const { parent, used, start } = await folders(t)
  const [data, copy] = [await used('data'), join(parent, 'copy')]
  const first = await start(data)
  await query(first.url, 'create table photo (n int primary key)')
  await first.stop()
  await copyFolder(data, copy)
  const original = await start(data, { durable: true })
  await query(original.url, 'insert into photo values (1)')

  // Killed for want of memory, as the copy starts.
  process.kill(original.pid, 'SIGKILL')
  await start(copy)
  const rows = await eventually(() => query(original.url, 'select n from photo'))
  assert.deepEqual(rows, [{ n: 1 }])
})

test('the PostgreSQL of a copy that was made of a running original ends with its last process', async (t) => {
  const { parent, used, start, spawn } = await folders(t)
  const [data, copy] = [await used('data'), join(parent, 'copy')]
  const original = await start(data)
  await snapshot(data, copy)
  // The process of the original lives on; what says so is in the copy as well.
  const other = await spawn(copy)
  assert.ok(other?.pid)
  assert.notEqual(other.pid, original.pid)
  other.child.stdin!.end()
  await other.exited
  await gone(other.pid)
})

/** `mv data data.broken && cp -a backup data`, the backup being a snapshot that was taken while all ran. */
test('a folder that was restored beside a forgotten worker has its own database, and the worker loses the old one', async (t) => {
  const { parent, used, start } = await folders(t)
  const [data, backup, broken] = [await used('data'), join(parent, 'backup'), join(parent, 'data.broken')]
  const moved: AppError[] = []
  const worker = await start(data, { durable: true, onMoved: (error) => moved.push(error) })
  const { pid } = worker
  await query(worker.url, 'create table photo (n int primary key)')
  await query(worker.url, 'checkpoint')
  await snapshot(data, backup)
  await query(worker.url, 'insert into photo values (1)')
  await rename(data, broken)
  await copyFolder(backup, data)

  const restored = await start(data)
  assert.deepEqual(await query(restored.url, 'select n from photo'), [])
  // Its media are those of the restored folder by now, which its ledger does not know.
  await gone(pid)
  await until('the worker is told to end', () => moved.length === 1)
  assert.match(moved[0]!.message, /was moved or replaced.*all workers/)
  await assert.rejects(query(worker.url, 'select n from photo'), { code: 'ENOENT' })
  assert.deepEqual(await query(restored.url, 'select n from photo'), [])
  const again = await start(broken)
  assert.deepEqual(await query(again.url, 'select n from photo'), [{ n: 1 }])
})

test('the PostgreSQL of a folder that was moved writes nothing into the one in its place', async (t) => {
  const { parent, used, start } = await folders(t)
  const [data, backup, moved] = [await used('data'), join(parent, 'backup'), join(parent, 'moved')]
  const postgres = await start(data, { durable: true })
  await snapshot(data, backup)
  await rename(data, moved)
  await rename(backup, data)
  const control = join(data, 'postgres', 'cluster', 'global', 'pg_control')
  const before = await readFile(control)
  await query(postgres.url, 'create table photo (n int primary key)').catch(() => undefined) // it may end
  await query(postgres.url, 'checkpoint').catch(() => undefined)
  await gone(postgres.pid)
  assert.deepEqual(await readFile(control), before)
  assert.deepEqual(await query((await start(data)).url, 'select 1 as one'), [{ one: 1 }])
})
