/** The file of the backup key outlives a power cut and a kill. */
import assert from 'node:assert/strict'
import fsp, { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { writeKeyFile } from '../../../src/database/backups/key-file.ts'

async function keyPath(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'glassine-key-'))
  t.after(() => rm(folder, { recursive: true }))
  return join(folder, 'backup-key.txt')
}

test('the name of the key file is on the disk before anything is encrypted for it', async (t) => {
  const path = await keyPath(t)
  const real = fsp.open
  const synced: string[] = []
  fsp.open = (async (...given: Parameters<typeof real>) => {
    const handle = await real(...given)
    const sync = handle.sync.bind(handle)
    handle.sync = async () => {
      synced.push(String(given[0]))
      await sync()
    }
    return handle
  }) as typeof real
  syncBuiltinESMExports()
  try {
    await writeKeyFile(path, { identity: 'x', recipient: 'y' })
  } finally {
    fsp.open = real
    syncBuiltinESMExports()
  }
  assert.equal(synced.length, 2)
  assert.equal(synced[1], dirname(path))
})

test('what a killed process left unfinished is in nobody’s way, and no key is ever replaced', async (t) => {
  const path = await keyPath(t)
  // In a container the pid is the same after every start.
  await writeFile(`${path}.${process.pid}.unfinished`, '# The key of')
  await writeKeyFile(path, { identity: 'x', recipient: 'y' })
  await assert.rejects(
    writeKeyFile(path, { identity: 'other', recipient: 'y' }),
    /a backup key in .* already/,
  )
  assert.match(await readFile(path, 'utf8'), /^x$/m)
})
