import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeOption, formatWait, restoreSentences } from '../../../web/src/lib/archive/restore-words.ts'

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
  assert.equal(describeOption({ ...option, price: null }), 'usually within 12 hours, price not known')
  assert.equal(describeOption({ ...option, price: price(0.123) }), 'usually within 12 hours, about 0.12 USD')
  assert.equal(describeOption({ ...option, price: price(0.001) }), 'usually within 12 hours, under 0.01 USD')
})

test('how the originals of an album stand', () => {
  const plan = {
    total: 9,
    count: 2,
    notOffered: 1,
    expectedMinutes: 720,
    restoring: 0,
    expectedAt: null as string | null,
    restored: 0,
    availableUntil: null as string | null,
    options: [],
  }
  const when = (iso: string) => iso.slice(0, 10)
  assert.deepEqual(restoreSentences({ ...plan, count: 0, notOffered: 0 }, when), [])
  assert.deepEqual(restoreSentences(plan, when), ['3 originals are archived.'])
  assert.deepEqual(
    restoreSentences(
      {
        ...plan,
        restoring: 1,
        expectedAt: '2026-05-04T10:00:00Z',
        restored: 2,
        availableUntil: '2026-05-09T00:00:00Z',
      },
      when,
    ),
    [
      '3 originals are archived.',
      '1 is being restored, expected by 2026-05-04.',
      '2 are restored and can be opened, the first until 2026-05-09.',
    ],
  )
})
