/** `npm run test:histories -- [--seed N] [--count M]`: histories of these seeds, see `histories.test.ts`. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const { values } = parseArgs({ options: { seed: { type: 'string' }, count: { type: 'string' } } })
const seed = Number(values.seed ?? 1)
const count = Number(values.count ?? 1)
if (!Number.isInteger(seed) || !Number.isInteger(count) || count < 1) {
  console.error('Write whole numbers: npm run test:histories -- --seed 7 --count 20')
  process.exit(2)
}
const root = join(import.meta.dirname, '../..')
const { status } = spawnSync(process.execPath, ['tests/run.ts', 'tests/histories/'], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, HISTORY_SEED: String(seed), HISTORY_COUNT: String(count) },
})
process.exitCode = status ?? 1
