/**
 * What only a disk can do: lose its mount, run full, lie without hard links, keep what a dead process left.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { isStorageError, type StorageErrorKind } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { probeDisk } from '../../../src/storage/disk/probe.ts'
import { leaveTo } from '../../support/storage/permit.ts'
import { bodyOf, randomKey, readAll } from '../contract/bodies.ts'
import { rejectsWith } from '../contract/storage-suite.ts'

describe('disk under faults', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'glassine-disk-faults-'))
  })
  after(() => rm(folder, { recursive: true }))

  async function newRoot(): Promise<string> {
    const root = join(folder, randomUUID())
    await mkdir(root)
    return root
  }

  test('a root that is missing is never made by a put, and is unavailable rather than empty', async () => {
    const root = join(folder, 'not-mounted')
    const disk = openDiskBackend({ root, log: silentLog })
    const key = randomKey('a')
    assert.equal(await disk.readMarker(), null)
    await rejectsWith('unavailable', () => disk.put(key, bodyOf(randomBytes(10))))
    await rejectsWith('unavailable', () => disk.head(key))
    await rejectsWith('unavailable', () => disk.get(key))
    await rejectsWith('unavailable', () => disk.delete(leaveTo([key])))
    await rejectsWith('unavailable', () => Array.fromAsync(disk.list('')))
    assert.equal(existsSync(root), false)
    await disk.writeMarker('here')
    assert.equal(await disk.readMarker(), 'here')
    await disk.put(key, bodyOf(randomBytes(10)))
  })

  test('a mount that goes away while we run: nothing is "not found", nothing is written beside it', async () => {
    const root = await newRoot()
    const disk = openDiskBackend({ root, log: silentLog })
    const [key, bytes] = [randomKey('a'), randomBytes(100)]
    await disk.writeMarker('the disk')
    await disk.put(key, bodyOf(bytes))
    await rename(root, `${root}-away`)
    await mkdir(root)
    await rejectsWith('unavailable', () => disk.head(key))
    await rejectsWith('unavailable', () => disk.put(randomKey('a'), bodyOf(bytes)))
    await rejectsWith('unavailable', () => disk.delete(leaveTo([key])))
    assert.deepEqual(await readdir(root), [])
    await rm(root, { recursive: true })
    await rename(`${root}-away`, root)
    assert.deepEqual(await readAll((await disk.get(key)).stream), bytes)
    await disk.put(randomKey('a'), bodyOf(bytes))
  })

  const linkFailures: [string, StorageErrorKind, RegExp][] = [
    ['ENOSPC', 'too-large', /full/],
    ['EDQUOT', 'too-large', /quota/],
    ['EIO', 'unavailable', /input\/output/],
    ['ESTALE', 'unavailable', /stale/],
    ['ENOTCONN', 'unavailable', /not connected/],
    ['EROFS', 'denied', /read-only/],
    ['EACCES', 'denied', /permission/],
  ]
  for (const [code, kind, message] of linkFailures) {
    test(`${code} is ${kind}, says what to do, and leaves nothing behind`, async () => {
      const root = await newRoot()
      const refuse = async () => {
        throw Object.assign(new Error(code), { code })
      }
      const disk = openDiskBackend({ root, log: silentLog, link: refuse })
      const key = randomKey('a')
      await assert.rejects(disk.put(key, bodyOf(randomBytes(10))), (error: unknown) => {
        assert.ok(isStorageError(error, kind))
        assert.match(error.message, message)
        return true
      })
      assert.equal(await disk.head(key), null)
      assert.deepEqual(await readdir(join(root, '.incoming')), [])
    })
  }

  test('adopt takes a staged file without copying it, leaves it, and refuses a taken key', async () => {
    const root = await newRoot()
    const disk = openDiskBackend({ root, log: silentLog })
    const [key, staged, bytes] = [randomKey('a'), join(root, '.staged'), randomBytes(1000)]
    await writeFile(staged, bytes)
    const info = await disk.localFiles.adopt(staged, key)
    assert.equal(info.size, 1000)
    assert.equal((await stat(staged)).ino, (await stat(disk.localFiles.path(key))).ino)
    await writeFile(join(root, '.other'), 'other')
    await rejectsWith('already-exists', () => disk.localFiles.adopt(join(root, '.other'), key))
    assert.deepEqual(await readFile(disk.localFiles.path(key)), bytes)
    await disk.localFiles.adopt(staged, key)
  })

  test('adopt without hard links moves; of two staged files one wins, whole', async () => {
    const root = await newRoot()
    const refuse = async () => {
      throw Object.assign(new Error('EPERM'), { code: 'EPERM' })
    }
    const disk = openDiskBackend({ root, log: silentLog, link: refuse })
    const key = randomKey('a')
    const staged = ['one', 'two', 'three'].map((name) => join(root, `.${name}`))
    for (const path of staged) await writeFile(path, path)
    const ends = await Promise.allSettled(staged.map((path) => disk.localFiles.adopt(path, key)))
    const winner = ends.findIndex(({ status }) => status === 'fulfilled')
    assert.equal(ends.filter(({ status }) => status === 'fulfilled').length, 1)
    assert.equal(await readFile(disk.localFiles.path(key), 'utf8'), staged[winner])
    assert.equal(existsSync(staged[winner]!), false)
  })

  test('a link that worked although its answer got lost (NFS) counts as ours', async () => {
    const root = await newRoot()
    const linkTwice = async (from: string, to: string) => {
      await link(from, to)
      await link(from, to)
    }
    const disk = openDiskBackend({ root, log: silentLog, link: linkTwice })
    const [key, bytes] = [randomKey('a'), randomBytes(10)]
    await disk.put(key, bodyOf(bytes))
    assert.deepEqual(await readFile(disk.localFiles.path(key)), bytes)
  })

  test('what a dead process left half-written is removed after a day, not before', async () => {
    const root = await newRoot()
    const incoming = join(root, '.incoming')
    await mkdir(incoming)
    await writeFile(join(incoming, 'old'), 'x')
    await writeFile(join(incoming, 'new'), 'x')
    const twoDaysAgo = new Date(Date.now() - 48 * 3_600_000)
    await utimes(join(incoming, 'old'), twoDaysAgo, twoDaysAgo)
    await openDiskBackend({ root, log: silentLog }).put(randomKey('a'), bodyOf(randomBytes(10)))
    assert.deepEqual(await readdir(incoming), ['new'])
  })

  test('deleting the last object of a folder removes the folder, never the root', async () => {
    const root = await newRoot()
    const disk = openDiskBackend({ root, log: silentLog })
    const [first, second] = [randomKey('users/one'), randomKey('users/two')]
    await disk.put(first, bodyOf(randomBytes(10)))
    await disk.put(second, bodyOf(randomBytes(10)))
    await disk.delete(leaveTo([first]))
    assert.deepEqual(await readdir(join(root, 'users')), ['two'])
    await disk.delete(leaveTo([second]))
    assert.deepEqual(await readdir(root), ['.incoming'])
  })

  test('space, and the probe of a healthy and of a missing folder', async () => {
    const root = await newRoot()
    const disk = openDiskBackend({ root, log: silentLog })
    const { freeBytes, totalBytes } = await disk.localFiles.space()
    assert.ok(freeBytes > 0 && freeBytes <= totalBytes)
    const healthy = await probeDisk(root, disk.features)
    assert.equal(healthy.ok, true)
    assert.deepEqual(
      healthy.findings.map(({ check }) => check),
      ['write', 'hard links', 'space'],
    )
    assert.deepEqual(await Array.fromAsync(disk.list('')), [])
    const missing = await probeDisk(join(root, 'missing'), disk.features)
    assert.equal(missing.ok, false)
    assert.match(missing.findings[0]?.remedy ?? '', /mount/)
    assert.equal(existsSync(join(root, 'missing')), false)
  })
})
