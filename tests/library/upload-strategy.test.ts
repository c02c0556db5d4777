import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { logUploadRules, strategyFor, type UploadRules } from '../../src/library/uploads/upload-strategy.ts'
import { createUser } from '../../src/library/users/users.ts'
import type { Log } from '../../src/log.ts'
import { testDatabase } from '../support/postgres.ts'

const users = Array.from({ length: 4_000 }, () => ({ userId: randomUUID(), email: 'a@example.org' }))
const rulesOf = (percent: number, named: string[] = []): UploadRules => ({
  upload: { strategy: 'local-first' },
  rollout: { strategy: 's3-first', percent, users: named },
})
const chosenAt = (percent: number) =>
  users.filter((user) => strategyFor(rulesOf(percent), user) === 's3-first').map(({ userId }) => userId)

test('a share of the users gets the other strategy, and keeps it when the share grows', () => {
  assert.deepEqual(chosenAt(0), [])
  assert.equal(chosenAt(100).length, users.length)
  const tenth = chosenAt(10)
  // 400 of 4,000 expected; ten standard deviations are 190.
  assert.ok(Math.abs(tenth.length - 400) < 190, `${tenth.length}`)
  const half = new Set(chosenAt(50))
  assert.ok(tenth.every((userId) => half.has(userId)))
  assert.deepEqual(chosenAt(10), tenth)
})

test('named users get it whatever the share and the case of their address', () => {
  const user = { userId: randomUUID(), email: 'Anna@Example.org' }
  assert.equal(strategyFor(rulesOf(0, ['anna@example.ORG']), user), 's3-first')
  assert.equal(strategyFor(rulesOf(0, ['ben@example.org']), user), 'local-first')
})

test('a rollout may also lead back: s3-first for all, local-first for some', () => {
  const rules: UploadRules = {
    upload: { strategy: 's3-first' },
    rollout: { strategy: 'local-first', percent: 0, users: ['a@example.org'] },
  }
  assert.equal(strategyFor(rules, users[0]!), 'local-first')
  assert.equal(strategyFor(rules, { ...users[0]!, email: 'b@example.org' }), 's3-first')
  assert.equal(strategyFor({ ...rules, rollout: null }, users[0]!), 's3-first')
})

test('the log says who gets what, and that an address is nobody’s, without the address', async (t) => {
  const { db } = await testDatabase(t)
  for (const name of ['anna', 'ben']) {
    await createUser(db, { email: `${name}@example.org`, name, password: 'a long password' })
  }
  const lines: string[] = []
  const keep = (fields: object, text: string) => lines.push(`${text} ${JSON.stringify(fields)}`)
  const log = { info: keep, warn: keep } as unknown as Log
  await logUploadRules(db, log, rulesOf(0, ['anna@example.org', 'nobody@example.org']))
  assert.match(lines[0]!, /s3-first for 1 of 2 users, local-first for the rest/)
  assert.match(lines[1]!, /some addresses belong to no user \{"unknown":1\}/)
  assert.doesNotMatch(lines.join(), /@/)
  lines.length = 0
  await logUploadRules(db, log, { upload: { strategy: 's3-first' }, rollout: null })
  assert.match(lines.join(), /s3-first/)
})
