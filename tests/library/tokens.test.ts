import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeToken } from '../../src/library/credentials/tokens.ts'

test('a token is letters and digits, so that no command line takes it for an option', () => {
  const tokens = Array.from({ length: 2_000 }, makeToken)
  for (const token of tokens) assert.match(token, /^[A-Za-z0-9]{43}$/)
  assert.equal(new Set(tokens).size, tokens.length)
})

test('each of the 62 characters comes about as often as any other', () => {
  const counts = new Map<string, number>()
  for (const character of Array.from({ length: 2_000 }, makeToken).join(''))
    counts.set(character, (counts.get(character) ?? 0) + 1)
  assert.equal(counts.size, 62)
  const expected = (2_000 * 43) / 62
  // Eight standard deviations.
  for (const [character, count] of counts)
    assert.ok(Math.abs(count - expected) < 8 * Math.sqrt(expected), `${character}: ${count}`)
})
