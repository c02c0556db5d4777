import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashToken, makeToken } from '../../src/library/tokens.ts'

test('a token is 43 characters for URLs and headers, and no command line takes it for an option', () => {
  // One in 64 begins with a dash by chance: that 2,000 draws hold none has a chance of 1e-14.
  const tokens = Array.from({ length: 2_000 }, makeToken)
  for (const token of tokens) assert.match(token, /^[\w][\w-]{42}$/)
  assert.equal(new Set(tokens).size, tokens.length)
})

test('what is kept of a token is not the token', () => {
  const token = makeToken()
  assert.equal(hashToken(token).length, 32)
  assert.ok(!hashToken(token).includes(token))
  assert.deepEqual(hashToken(token), hashToken(token))
})
