import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { silentLog } from '../../../src/log.ts'
import { isStorageError } from '../../../src/storage/backend.ts'
import { openDiskBackend } from '../../../src/storage/disk/disk.ts'
import { bodyOf, randomKey, readAll } from './bodies.ts'
import { storageSuite } from './storage-suite.ts'

storageSuite('disk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'glassine-disk-'))
  const backend = openDiskBackend({ root, log: silentLog })
  return { backend, close: () => rm(root, { recursive: true }) }
})

function withoutLinks(root: string, code: string) {
  const link = async () => {
    throw Object.assign(new Error(`${code}: no hard links here`), { code })
  }
  return openDiskBackend({ root, log: silentLog, link })
}

storageSuite('disk without hard links', async () => {
  const root = await mkdtemp(join(tmpdir(), 'glassine-nolink-'))
  return { backend: withoutLinks(root, 'EPERM'), close: () => rm(root, { recursive: true }) }
})

for (const code of ['EPERM', 'ENOSYS', 'EOPNOTSUPP', 'ENOTSUP', 'EMLINK', 'EXDEV', 'EINVAL']) {
  test(`a file system that says ${code} has no hard links: a put is whole, a second one is refused`, async (t) => {
    const root = await mkdtemp(join(tmpdir(), 'glassine-nolink-'))
    t.after(() => rm(root, { recursive: true }))
    const backend = withoutLinks(root, code)
    const key = randomKey('suite')
    const bytes = randomBytes(300_001)
    await backend.put(key, bodyOf(bytes))
    await assert.rejects(backend.put(key, bodyOf(randomBytes(7))), (error) =>
      isStorageError(error, 'already-exists'),
    )
    assert.deepEqual(await readAll((await backend.get(key)).stream), bytes)
    assert.equal(
      (await readdir(root, { recursive: true, withFileTypes: true })).filter((one) => one.isFile()).length,
      1,
    )
  })
}
