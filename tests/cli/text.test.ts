import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bar, bytes, columns, styleFor } from '../../src/cli/text.ts'
import { ago, plural } from '../../src/library/words.ts'

test('bytes have three figures and never 1024 of a unit', () => {
  const expected: [number, string][] = [
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1.00 KiB'],
    [10_234, '9.99 KiB'],
    [102_348, '99.9 KiB'],
    [102_349, '100 KiB'],
    [1_048_063, '1023 KiB'],
    [1_048_064, '1.00 MiB'],
    [35_861_299, '34.2 MiB'],
    [5 * 2 ** 40, '5.00 TiB'],
  ]
  for (const [count, text] of expected) assert.equal(bytes(count), text, String(count))
})

test('columns line up, numbers to the right, colours counted as nothing', () => {
  const style = styleFor(true, false)
  const lines = columns(
    [
      ['a', '1', 'x'],
      [style.red('long'), '1,000', ''],
    ],
    [1],
  )
  assert.deepEqual(lines, ['a         1  x', `${style.red('long')}  1,000`])
})

test('no colour where nobody sees it or NO_COLOR says so', () => {
  assert.equal(styleFor(false, false).red('x'), 'x')
  assert.equal(styleFor(true, true).bold('x'), 'x')
  assert.notEqual(styleFor(true, false).bold('x'), 'x')
})

test('a bar shows every part that is not zero and is always as wide as it should be', () => {
  const parts = (...values: number[]) => values.map((value, index) => ({ sign: 'abc'[index] ?? '?', value }))
  assert.equal(bar(parts(1, 1_000_000, 1), 10), 'abbbbbbbbc')
  assert.equal(bar(parts(1, 1, 1), 10).length, 10)
  assert.equal(bar(parts(0, 5, 0), 4), 'bbbb')
  assert.equal(bar(parts(0, 0, 0), 3), '···')
})

test('times and counts in words', () => {
  const now = new Date('2026-01-02T12:00:00Z')
  assert.equal(ago(null, now), 'never')
  assert.equal(ago('2026-01-02T11:59:59Z', now), '1 second ago')
  assert.equal(ago('2026-01-02T10:30:00Z', now), '1 hour ago')
  assert.equal(ago('2025-12-20T12:00:00Z', now), '13 days ago')
  assert.equal(plural(1, 'original'), '1 original')
  assert.equal(plural(12_345, 'original'), '12,345 originals')
})
