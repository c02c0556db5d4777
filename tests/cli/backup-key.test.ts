/** `glassine backup key`: shown to a person at a terminal, and to nothing else. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { CliContext } from '../../src/cli/context.ts'
import { runCommand } from '../../src/cli/program.ts'
import { styleFor } from '../../src/cli/text.ts'
import { loadInstallation } from '../../src/database/backups/installation.ts'
import { backupSentences } from '../../src/library/server/backup-words.ts'
import { testDatabase } from '../support/postgres.ts'

test('the key is shown after a yes, and noted as written down after another', async (t) => {
  const { db } = await testDatabase(t)
  const dataDir = await mkdtemp(join(tmpdir(), 'glassine-key-'))
  t.after(() => rm(dataDir, { recursive: true }))
  const unexpected = () => Promise.reject(new Error('not expected'))
  const run = async (terminals: { output: boolean; input: boolean }, answers: string[]) => {
    const printed: string[] = []
    const context: CliContext = {
      print: (text) => printed.push(text),
      progress: () => undefined,
      style: styleFor(false, true),
      withDatabase: (use) => use(db, { dataDir } as never),
      withPlacement: unexpected,
      withWorker: unexpected,
      withoutLedger: unexpected,
      explain: String,
      untilInterrupted: () => new AbortController().signal,
      isTerminal: terminals.output,
      input: {
        isTerminal: terminals.input,
        readAll: unexpected,
        askHidden: unexpected,
        ask: async () => answers.shift() ?? 'no',
      },
    }
    const code = await runCommand(['backup', 'key'], context, (text) => printed.push(text))
    return { code, text: printed.join('\n') }
  }
  const isConfirmed = async () => (await loadInstallation(db)).keyConfirmedAt !== null
  const both = { output: true, input: true }
  for (const one of [
    await run({ output: false, input: true }, ['yes', 'yes']),
    await run({ output: true, input: false }, ['yes', 'yes']),
  ]) {
    assert.equal(one.code, 2)
    assert.ok(!one.text.includes('AGE-SECRET'))
  }
  assert.ok(!(await run(both, ['no'])).text.includes('AGE-SECRET'))
  const shown = await run(both, ['yes', 'no'])
  const key = (await readFile(join(dataDir, 'backup-key.txt'), 'utf8')).match(/AGE-SECRET-KEY-1\w+/)![0]
  assert.deepEqual([shown.code, shown.text.includes(key), await isConfirmed()], [3, true, false])
  const confirmed = await run(both, ['yes', 'Yes'])
  assert.deepEqual([confirmed.code, confirmed.text.includes(key), await isConfirmed()], [0, true, true])
  await rm(join(dataDir, 'backup-key.txt'))
  const lost = await run(both, ['yes'])
  assert.equal(lost.code, 1)
  assert.match(lost.text, /The key is not in this data folder/)
})

test('the sentences about backups say when the newest was made, what is late, and what is to be done', () => {
  const now = new Date('2026-05-04T12:00:00Z')
  const key = { isMade: true, isConfirmed: true, isHere: true }
  const at = [{ location: 's3', label: 'photos', verifiedAt: '2026-05-04T03:00:00Z' }]
  const newest = { takenAt: '2026-05-04T03:00:00Z', size: 1, at }
  const told = (status: Partial<Parameters<typeof backupSentences>[0] & object>) =>
    backupSentences({ everyHours: 24, newest, count: 1, isLate: false, key, ...status }, now).map(
      ({ text, tone }) => `${tone}: ${text}`,
    )
  assert.deepEqual(backupSentences(null, now), [])
  assert.deepEqual(told({}), ['plain: The newest verified backup of the database is of 9 hours ago, at s3.'])
  assert.match(told({ isLate: true })[0]!, /^warn: .* older than two intervals \(24 h each\)\.$/)
  assert.match(told({ newest: null, isLate: true })[0]!, /^warn: There is no verified backup/)
  assert.match(told({ newest: null })[0]!, /^plain: .* the first one is made soon\.$/)
  assert.match(told({ newest: null, everyHours: 0 })[0]!, /^plain: No backups .* are made/)
  assert.match(told({ key: { ...key, isConfirmed: false } })[1]!, /^warn: The key .* not written down/)
})
