/** What nobody catches fails the file in which it happened, though promises aren't tracked by the runner. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const PRELOADED = new URL('../support/runner/untracked-promises.ts', import.meta.url)
const UNCAUGHT = {
  'a promise that nobody waits for': `void Promise.resolve().then(() => { throw new Error('uncaught') })`,
  'one of a function that had waited': `
    void (async () => {
      await new Promise((resolve) => setTimeout(resolve, 1))
      throw new Error('uncaught')
    })()`,
  'a callback': `setTimeout(() => { throw new Error('uncaught') }, 1)`,
}

for (const [what, statement] of Object.entries(UNCAUGHT))
  test(`uncaught in ${what}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'glassine-uncaught-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'planted.test.mjs')
    await writeFile(
      file,
      `import { test } from 'node:test'
      test('planted', async () => {
        ${statement}
        await new Promise((resolve) => setTimeout(resolve, 50))
      })`,
    )
    const { status, stdout } = spawnSync(process.execPath, [`--import=${PRELOADED}`, '--test', file], {
      encoding: 'utf8',
      // Else it would report to this test's own runner.
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    })
    assert.equal(status, 1, stdout)
    assert.match(stdout, /uncaught/)
  })
