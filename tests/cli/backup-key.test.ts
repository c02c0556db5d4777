/** `glassine backup key`: shown to a person at a terminal, and to nothing else. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { CliContext } from '../../src/cli/context.ts'
import { runCommand } from '../../src/cli/program.ts'
import { styleFor } from '../../src/cli/text.ts'
import { loadInstallation } from '../../src/database/backups/installation.ts'
import { newKeyFile, writeKeyFile } from '../../src/database/backups/key-file.ts'
import { makeIdentity } from '../../src/database/backups/seal.ts'
import { backupSentences } from '../../src/library/server/words/backup-words.ts'
import { type KeyFileState, loadBackupKey, stateOfKeyFile } from '../../src/placement/backups/recipient.ts'
import { testDatabase } from '../support/postgres.ts'

async function atTerminal(t: TestContext) {
  const { db, pool } = await testDatabase(t)
  const dataDir = await mkdtemp(join(tmpdir(), 'glassine-key-'))
  t.after(() => rm(dataDir, { recursive: true }))
  const storage: { s3: object | null; buckets: Record<string, object> } = { s3: null, buckets: {} }
  const unexpected = () => Promise.reject(new Error('not expected'))
  const run = async (
    terminals: { output: boolean; input: boolean },
    answers: string[],
    ...options: string[]
  ) => {
    const printed: string[] = []
    const context: CliContext = {
      print: (text) => printed.push(text),
      progress: () => undefined,
      style: styleFor(false, true),
      withDatabase: (use) => use(db, { dataDir, storage } as never, null as never),
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
    const code = await runCommand(['backup', 'key', ...options], context, (text) => printed.push(text))
    return { code, text: printed.join('\n') }
  }
  const isConfirmed = async () => (await loadInstallation(db)).keyConfirmedAt !== null
  return { db, pool, dataDir, storage, run, isConfirmed, both: { output: true, input: true } }
}

test('the key is shown after a yes, and noted as written down after another', async (t) => {
  const { dataDir, storage, run, isConfirmed, both } = await atTerminal(t)
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
  assert.ok(!shown.text.includes('key of yours'))
  storage.s3 = { encryption: { type: 'sse-c', previousKeys: [] } }
  storage.buckets.vault = { encryption: { type: 'sse-s3', previousKeys: [] } }
  const confirmed = await run(both, ['yes', 'Yes'])
  assert.match(confirmed.text, /The bucket s3 is encrypted with a key of yours/)
  assert.ok(!confirmed.text.includes('vault'))
  assert.deepEqual([confirmed.code, confirmed.text.includes(key), await isConfirmed()], [0, true, true])
  await rm(join(dataDir, 'backup-key.txt'))
  const lost = await run(both, ['yes'])
  assert.equal(lost.code, 1)
  assert.match(lost.text, /The key is not in this data folder.* backup key --new/)
})

test('a new key is made after its typed confirmation, with a backup at once, and the old one stays', async (t) => {
  const { db, pool, dataDir, run, isConfirmed, both } = await atTerminal(t)
  const file = join(dataDir, 'backup-key.txt')
  await run(both, ['yes', 'yes'])
  const old = await readFile(file, 'utf8')
  const before = await loadInstallation(db)
  assert.equal((await run(both, ['yes'], '--new')).code, 3)
  assert.equal((await run({ output: true, input: false }, ['new key'], '--new')).code, 2)
  assert.equal(await readFile(file, 'utf8'), old)

  const made = await run(both, ['new key', 'yes', 'no'], '--new')
  assert.equal(made.code, 3)
  const now = await loadInstallation(db)
  assert.notEqual(now.recipient, before.recipient)
  assert.equal(await isConfirmed(), false)
  assert.ok(made.text.includes((await readFile(file, 'utf8')).match(/AGE-SECRET-KEY-1\w+/)![0]))
  assert.ok(!made.text.includes(old.match(/AGE-SECRET-KEY-1\w+/)![0]))
  const kept = (await readdir(dataDir)).filter((name) => name !== 'backup-key.txt')
  assert.deepEqual(kept, [`backup-key.${before.recipient!.slice(-12)}.txt`])
  assert.equal(await readFile(join(dataDir, kept[0]!), 'utf8'), old)
  const { rows } = await pool.query(
    "select from graphile_worker.jobs where task_identifier = 'back-up-database'",
  )
  assert.equal(rows.length, 1)

  // Lost, and never written down.
  await rm(file)
  assert.equal((await run(both, ['new key', 'yes', 'yes'], '--new')).code, 0)
  assert.equal(await stateOfKeyFile(file, (await loadInstallation(db)).recipient), 'right')
})

test('a command that was killed between the new key and its file is finished by the next one', async (t) => {
  const { db, dataDir, run, both } = await atTerminal(t)
  const file = join(dataDir, 'backup-key.txt')
  await run(both, ['no'])
  const old = (await loadInstallation(db)).recipient!
  const made = await makeIdentity()
  await writeKeyFile(newKeyFile(file, made.recipient), made)
  // Before the database names it, it is not used.
  assert.equal((await loadBackupKey(db, file))!.recipient, old)
  await db.updateTable('installation').set({ recipient: made.recipient }).execute()
  assert.deepEqual(await loadBackupKey(db, file), made)
  assert.deepEqual(
    (await readdir(dataDir)).sort(),
    [`backup-key.${old.slice(-12)}.txt`, 'backup-key.txt'].sort(),
  )
})

test('the sentences about backups say when the newest was made, what is late, and what is to be done', () => {
  const now = new Date('2026-05-04T12:00:00Z')
  const key = { isMade: true, isConfirmed: true, file: 'right' as KeyFileState }
  const at = [{ location: 's3', label: 'photos', verifiedAt: '2026-05-04T03:00:00Z' }]
  const newest = { takenAt: '2026-05-04T03:00:00Z', size: 1, at }
  const told = (status: Partial<Parameters<typeof backupSentences>[0] & object>) =>
    backupSentences(
      {
        everyHours: 24,
        goodSince: '2026-05-01T00:00:00Z',
        newest,
        waiting: null,
        count: 1,
        ofAnotherLine: 0,
        isLate: false,
        key,
        ...status,
      },
      now,
    ).map(({ text, tone }) => `${tone}: ${text}`)
  assert.deepEqual(backupSentences(null, now), [])
  assert.deepEqual(told({}), ['plain: The newest verified backup of the database is of 9 hours ago, at s3.'])
  assert.match(told({ isLate: true })[0]!, /^warn: .* older than two intervals \(24 h each\)\.$/)
  assert.match(told({ newest: null, isLate: true })[0]!, /^warn: There is no verified backup/)
  assert.match(told({ newest: null })[0]!, /^plain: .* the first one is made soon\.$/)
  assert.match(told({ newest: null, everyHours: 0 })[0]!, /^plain: No backups .* are made/)
  assert.match(told({ key: { ...key, isConfirmed: false } })[1]!, /^warn: The key .* not written down/)
  const waiting = { takenAt: '2026-05-04T11:00:00Z', at: ['local'], isLocalOnly: true, missingAt: ['s3'] }
  assert.deepEqual(told({ waiting }).slice(1), [
    'plain: A newer one, of 1 hour ago, is on this disk only, and not verified at s3 yet.',
  ])
  assert.match(
    told({ newest: null, waiting: { ...waiting, at: [] }, isLate: true })[1]!,
    /^warn: The newest one, of 1 hour ago, is not verified anywhere yet\.$/,
  )
  const ahead = { ...newest, takenAt: '2028-05-04T03:00:00Z' }
  assert.match(
    told({ newest: ahead, isLate: true })[0]!,
    /^warn: .* while a clock was wrong: .* 2028-05-04 03:00 UTC, and there is none/,
  )
  assert.match(told({ ofAnotherLine: 2 })[1]!, /^plain: 2 backups are from after the one .* backup list\.$/)
})

test('what the status asks of somebody can be done where it is asked', () => {
  const now = new Date()
  const about = (key: { isMade: boolean; isConfirmed: boolean; file: KeyFileState }) =>
    backupSentences(
      {
        everyHours: 0,
        goodSince: '2026-05-01T00:00:00Z',
        newest: null,
        waiting: null,
        count: 0,
        ofAnotherLine: 0,
        isLate: false,
        key,
      },
      now,
    )
      .slice(1)
      .map(({ text }) => text)
  // The command could only say that the file is not there.
  const [lost] = about({ isMade: true, isConfirmed: false, file: 'missing' })
  assert.match(lost!, /not in this data folder.* on another machine, .*glassine backup key --new\.$/)
  assert.match(
    about({ isMade: true, isConfirmed: true, file: 'unreadable' })[0]!,
    /can't be read.* mode 0600/,
  )
  assert.match(about({ isMade: true, isConfirmed: true, file: 'another' })[0]!, /another one.* move it away/)
  assert.deepEqual(about({ isMade: true, isConfirmed: true, file: 'missing' }), [])
  assert.deepEqual(about({ isMade: false, isConfirmed: false, file: 'missing' }), [])
})
