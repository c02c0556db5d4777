import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  formatAgo,
  formatBytes,
  formatClip,
  formatDay,
  formatDayLabel,
  formatMonth,
  formatTimeLeft,
  formatWallClock,
  parseDate,
  plural,
} from '../../web/src/lib/format.ts'

test('bytes have three digits and binary units', () => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.00 KiB'],
    [10_239, '10.0 KiB'],
    [1_048_575, '1.00 MiB'],
    [3_500_000, '3.34 MiB'],
    [412 * 2 ** 30, '412 GiB'],
    [2 ** 51, '2.00 PiB'],
  ]
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text)
})

test('lengths, times left and ages', () => {
  assert.equal(formatClip(6900), '0:07')
  assert.equal(formatClip(3_723_000), '1:02:03')
  assert.equal(formatTimeLeft(39_400), '40 s')
  assert.equal(formatTimeLeft(330_000), '6 min')
  assert.equal(formatTimeLeft(7_800_000), '2 h 10 min')
  const now = new Date('2026-01-10T00:00:00Z')
  assert.equal(formatAgo('2026-01-09T23:59:55Z', now), 'just now')
  assert.equal(formatAgo('2026-01-09T21:00:00Z', now), '3 h ago')
  assert.equal(formatAgo('2026-01-08T23:00:00Z', now), '1 day ago')
  assert.equal(formatAgo('2026-02-08T23:00:00Z', now), 'just now')
  assert.equal(plural(1, 'item'), '1 item')
  assert.equal(plural(2000, 'item'), '2,000 items')
})

test('dates are those of the wall clock, whatever the zone of this machine', () => {
  assert.equal(formatMonth('2019-07-01'), 'July 2019')
  assert.equal(formatDay('2019-07-01', 14), 'Sunday 14 July 2019')
  assert.equal(formatDayLabel('2019-07-01', 14, 200), 'Sun 14')
  assert.equal(formatDayLabel('2019-07-01', 14, 40), '14')
  assert.equal(formatWallClock('2019-07-14T23:59:59.000Z'), 'Sunday 14 July 2019, 23:59')
})

test('typed dates', () => {
  assert.deepEqual(parseDate('2019'), { year: 2019, month: null, day: null })
  assert.deepEqual(parseDate(' 2019-7 '), { year: 2019, month: 7, day: null })
  assert.deepEqual(parseDate('2019-07-14'), { year: 2019, month: 7, day: 14 })
  assert.deepEqual(parseDate('July 2019'), { year: 2019, month: 7, day: null })
  assert.deepEqual(parseDate('14 jul 2019'), { year: 2019, month: 7, day: 14 })
  assert.deepEqual(parseDate('July 14, 2019'), { year: 2019, month: 7, day: 14 })
  for (const text of ['', 'IMG_2041', '2019-13', '2019-01-40', 'Julember 2019', '12'])
    assert.equal(parseDate(text), null, text)
})
