import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { silentLog } from '../../src/log.ts'
import { openDiskBackend } from '../../src/storage/disk.ts'
import { storageSuite } from './storage-suite.ts'

storageSuite('disk', async () => {
  const root = await mkdtemp(join(tmpdir(), 'glassine-disk-'))
  const backend = openDiskBackend({ root, log: silentLog })
  return { backend, close: () => rm(root, { recursive: true }) }
})

for (const code of ['EPERM', 'ENOSYS', 'EOPNOTSUPP']) {
  storageSuite(`disk without hard links (${code})`, async () => {
    const root = await mkdtemp(join(tmpdir(), 'glassine-nolink-'))
    const link = async () => {
      throw Object.assign(new Error(`${code}: no hard links here`), { code })
    }
    const backend = openDiskBackend({ root, log: silentLog, link })
    return { backend, close: () => rm(root, { recursive: true }) }
  })
}
