import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeOption, formatWait } from '../../web/src/lib/viewer/restore-words.ts'

test('a restore in words: its time and, where it is known, about its price', () => {
  assert.deepEqual([1, 5, 60, 300, 2880].map(formatWait), [
    '1 minute',
    '5 minutes',
    '1 hour',
    '5 hours',
    '48 hours',
  ])
  const price = (amount: number) => ({ amount, currency: 'USD', asOf: '2026-11' })
  const option = { tier: 'bulk', expectedMinutes: 720 } as const
  assert.equal(describeOption({ ...option, price: null }), 'within 12 hours, price not known')
  assert.equal(describeOption({ ...option, price: price(0.123) }), 'within 12 hours, about 0.12 USD')
  assert.equal(describeOption({ ...option, price: price(0.001) }), 'within 12 hours, under 0.01 USD')
})
