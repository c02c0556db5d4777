/** A data folder that was copied while its server runs: by a snapshot of the file system, say. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { openDemonstrationBucket } from '../../src/demonstration-bucket.ts'
import { silentLog } from '../../src/log.ts'

const root = join(import.meta.dirname, '../../src')

/** Its endpoint, in a process of its own. */
async function serveElsewhere(dataDir: string) {
  const source = `
    const { openDemonstrationBucket } = await import(${JSON.stringify(pathToFileURL(join(root, 'demonstration-bucket.ts')).href)})
    const { silentLog } = await import(${JSON.stringify(pathToFileURL(join(root, 'log.ts')).href)})
    process.send((await openDemonstrationBucket(${JSON.stringify(dataDir)}, silentLog)).endpoint)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const [endpoint] = (await once(child, 'message')) as [string]
  return { child, endpoint }
}

test('a copy of the data folder of a running server has a demonstration bucket of its own', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-copied-'))
  t.after(() => rm(folder, { recursive: true }))
  const [original, copied] = [join(folder, 'data'), join(folder, 'copy')]
  const { child, endpoint } = await serveElsewhere(original)
  t.after(() => child.kill('SIGKILL'))
  await cp(original, copied, { recursive: true })

  const shared = await openDemonstrationBucket(original, silentLog)
  assert.equal(shared.endpoint, endpoint)
  const own = await openDemonstrationBucket(copied, silentLog)
  await own.close()
  assert.notEqual(own.endpoint, endpoint)
  assert.equal(own.folder, join(copied, 'demonstration-bucket'))
})
