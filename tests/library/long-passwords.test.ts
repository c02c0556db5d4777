import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DEFAULT_SESSION_LIMITS } from '../../src/library/credentials/sessions.ts'
import { logIn } from '../../src/library/users/login.ts'
import { createLoginSlowdown } from '../../src/library/users/login-slowdown.ts'
import { createUser } from '../../src/library/users/users.ts'
import { testDatabase } from '../support/postgres.ts'

test('B8: a password that is too long is wrong, and counts as no guess', async (t) => {
  const { db } = await testDatabase(t)
  const email = 'a@example.org'
  await createUser(db, { email, name: 'A', password: 'a long password' })
  const delays: number[] = []
  const slowdown = createLoginSlowdown({ wait: async (ms) => delays.push(ms) })
  const from = {
    address: '192.0.2.1',
    device: { deviceType: '', deviceOS: '', appVersion: null },
  }
  const tryWith = (password: string) => logIn(db, slowdown, { email, password }, from, DEFAULT_SESSION_LIMITS)
  for (let guess = 0; guess < 10; guess++) {
    await assert.rejects(tryWith('x'.repeat(1_025)), { code: 'unauthenticated', message: /^Incorrect email/ })
  }
  await assert.rejects(tryWith('wrong'), { code: 'unauthenticated', message: /^Incorrect email/ })
  assert.deepEqual(delays, [])
  assert.equal((await tryWith('a long password')).userEmail, email)
})
