/**
 * What a power cut takes is what was not synced. Each sync is real here, and is written down with what it
 * could save: of a file its size, of a folder the names in it at that moment.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { fstatSync, readdirSync, readlinkSync } from 'node:fs'
import { mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, before, beforeEach, mock, test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { ingestStaged } from '../../../src/placement/uploads/ingest.ts'
import { stageFile, stageStream } from '../../../src/placement/uploads/stage.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { testPlacement } from '../../support/placement.ts'
import { type TestDatabase, testDatabase } from '../../support/postgres.ts'
import { bodyOf, randomKey } from '../contract/bodies.ts'

type Synced = { ino: number; size: number; folder: string | null; names: string[] }

let folder: string
let database: TestDatabase
let rig: Awaited<ReturnType<typeof testPlacement>>
const synced: Synced[] = []

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'glassine-syncs-'))
  database = await testDatabase()
  rig = await testPlacement(database.db)
  await watchSyncs()
})
beforeEach(() => void synced.splice(0))
after(async () => {
  mock.restoreAll()
  await rig.close()
  await database.drop()
  await rm(folder, { recursive: true })
})

async function watchSyncs(): Promise<void> {
  const handle = await open(folder, 'r')
  const prototype = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const { sync } = prototype
  mock.method(prototype, 'sync', async function (this: typeof handle) {
    const found = fstatSync(this.fd)
    const path = found.isDirectory() ? readlinkSync(`/proc/self/fd/${this.fd}`) : null
    const names = path === null ? [] : readdirSync(path)
    await sync.call(this)
    synced.push({ ino: found.ino, size: found.size, folder: path, names })
  })
}

/** At which of the syncs the bytes were saved. */
async function savedAt(path: string): Promise<number> {
  const { ino, size } = await stat(path)
  return synced.findIndex((one) => one.ino === ino && one.size === size)
}

/** At which of the syncs this name in its folder was saved. */
function namedAt(path: string): number {
  return synced.findIndex((one) => one.folder === dirname(path) && one.names.includes(basename(path)))
}

const platform = { skip: process.platform !== 'linux' && 'the path of a handle is asked of /proc' }

async function stage() {
  async function* bytes() {
    yield randomBytes(70_000)
  }
  return stageStream(rig.placement, bytes(), { maxBytes: 1e9 })
}

test('an upload is on the disk before anything refers to it', platform, async () => {
  const staged = await stage()
  assert.notEqual(await savedAt(staged.path), -1)
  await staged.discard()
})

test('a file that this process made is on the disk before anything refers to it', platform, async () => {
  const path = join(folder, 'made')
  await writeFile(path, randomBytes(70_000))
  await stageFile(path)
  assert.notEqual(await savedAt(path), -1)
})

test('an upload that is adopted is on the disk under its name', platform, async () => {
  const staged = await stage()
  const objectId = await ingestStaged(
    rig.placement,
    {
      kind: 'original',
      ownerId: crypto.randomUUID(),
      assetId: crypto.randomUUID(),
      contentType: 'image/jpeg',
      extension: 'jpg',
      staged,
    },
    async (_tx, id) => id,
  )
  const { replicas } = (await loadObject(database.db, objectId))!
  const path = rig.disk.inner.localFiles.path(replicas[0]!.key)
  const saved = await savedAt(path)
  assert.notEqual(saved, -1)
  assert.ok(namedAt(path) > saved, 'its name after its bytes')
})

test('a put is on the disk, bytes first, then each folder that names it', platform, async () => {
  const root = join(folder, 'root')
  await mkdir(root)
  const disk = openDiskBackend({ root, log: silentLog })
  const key = randomKey('a/b')
  await disk.put(key, bodyOf(randomBytes(70_000)))
  const path = join(root, key)
  const saved = await savedAt(path)
  assert.notEqual(saved, -1)
  assert.ok(namedAt(path) > saved, 'its name after its bytes')
  for (let above = dirname(path); above !== root; above = dirname(above))
    assert.notEqual(namedAt(above), -1, `${above} is saved in its folder`)
})
