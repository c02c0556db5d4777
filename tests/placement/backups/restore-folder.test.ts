/** What a restore writes into the data folder beside the database, and what of it it removes. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import {
  assertMediaFolder,
  restoreInstallation,
} from '../../../src/placement/backups/restore-installation.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend } from '../../support/placement.ts'

test('a restore removes nothing of the data folder that it has not made', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'glassine-restore-'))
  t.after(() => rm(dataDir, { recursive: true }))
  // The media folder of an old disk, and what a restore that was killed has left.
  const photo = join(dataDir, 'restore', 'users', 'original.jpg')
  await mkdir(join(dataDir, 'restore', 'users'), { recursive: true })
  await writeFile(photo, 'the only copy')
  const left = join(dataDir, '.glassine-restore-abcdef')
  await mkdir(left)
  await writeFile(join(left, 'backup.age'), 'half of a backup')
  const foreign = join(dataDir, '.glassine-restore-notes')
  await mkdir(foreign)
  await writeFile(join(foreign, 'mine.txt'), 'of somebody')

  const location = locationOfBackend('s3', 'memory', openMemoryBackend())
  await assert.rejects(
    restoreInstallation({
      dataDir,
      local: location,
      location,
      chosen: {
        found: { key: 'backups/x.age', size: 10 },
        header: { takenAt: '2026-05-04T03:00:00Z' },
      } as never,
      key: { identity: 'x', recipient: 'y' },
      withEmpty: async () => assert.fail(),
      beforeCommit: async () => assert.fail(),
      log: silentLog,
      onProgress: () => undefined,
    }),
  )
  assert.equal(await readFile(photo, 'utf8'), 'the only copy')
  assert.deepEqual((await readdir(dataDir)).sort(), ['.glassine-restore-notes', 'restore'])
  assert.deepEqual(await readdir(foreign), ['mine.txt'])
})

test('a restore that was killed while it wrote the marker can be called again', async (t) => {
  const media = await mkdtemp(join(tmpdir(), 'glassine-restore-'))
  t.after(() => rm(media, { recursive: true }))
  const local = locationOfBackend('local', 'disk', openDiskBackend({ root: media, log: silentLog }))
  // As the crash matrix has found it: restore, mount.ts:writeMarker:5, after.
  await writeFile(join(media, '.glassine-location.2f6c6013-d117-4d65-8126-8776cbfef977'), 'half of it')
  await assertMediaFolder(local, media)
  await writeFile(join(media, 'photo.jpg'), 'of somebody')
  await assert.rejects(assertMediaFolder(local, media), /is not empty/)
})
