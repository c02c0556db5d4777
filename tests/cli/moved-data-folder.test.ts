import assert from 'node:assert/strict'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { findProcess } from '../../src/database/embedded/process-identity.ts'
import { cleanUpAfter } from '../support/clean-up.ts'
import { copyFolder, postgresOn, snapshot } from '../support/database/embedded-folders.ts'
import { memoryFolder } from '../support/database/memory-folder.ts'
import { until } from '../support/eventually.ts'
import { spawnServer } from '../support/spawn-server.ts'

/** `mv data data.broken && cp -a backup data` beside a server, or a worker, that somebody forgot to stop. */
test('a process whose data folder is replaced ends, in order, and leaves the restored folder alone', async (t) => {
  const defer = cleanUpAfter(t)
  const parent = await mkdtemp(join(memoryFolder(), 'glassine-moved-'))
  defer(() => rm(parent, { recursive: true, force: true }))
  const [data, backup, broken] = [join(parent, 'data'), join(parent, 'backup'), join(parent, 'data.broken')]
  const forgotten = await spawnServer({ dataDir: data })
  defer(() => forgotten.kill9())
  await until('it is ready', () => forgotten.output().includes('Glassine is ready'))
  await snapshot(data, backup)
  await rename(data, broken)
  await copyFolder(backup, data)

  await until('it has ended', async () => (await findProcess(forgotten.pid)) === null, 30_000)
  assert.match(forgotten.output(), /the data folder was moved or replaced/)
  assert.deepEqual(await postgresOn(broken), [])
  const restored = await spawnServer({ dataDir: data })
  defer(() => restored.kill9())
  assert.equal((await restored.stop()).code, 0)
})
