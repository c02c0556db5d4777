/** Which backups are kept, whatever the clock said when they were made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { BackupKeep } from '../../../src/placement/backup-settings.ts'
import {
  expendableSafe,
  expendableUnsafe,
  type RetainedBackup,
} from '../../../src/placement/backups/retention.ts'

const expendable = (all: readonly RetainedBackup[], keep: BackupKeep) => [
  ...expendableSafe(all, keep),
  ...expendableUnsafe(all, keep).map(({ id }) => id),
]

const DAY_MS = 24 * 3_600_000
const KEEP = { daily: 7, weekly: 4, monthly: 12 }

/** Times as clocks with faults make them: stuck, ahead by decades, back, or right. */
const backups = fc
  .array(
    fc.record({
      takenAt: fc.oneof(
        fc.integer({ min: 0, max: 400 }).map((day) => new Date(Date.UTC(2026, 0, 1) + day * DAY_MS)),
        fc.date({ min: new Date('1970-01-01'), max: new Date('2200-01-01'), noInvalidDate: true }),
        fc.constant(new Date(0)),
      ),
      isSafe: fc.boolean(),
      at: fc.subarray(['local', 's3', 'nas']),
    }),
    { maxLength: 60 },
  )
  .map((all) => all.map((one, index): RetainedBackup => ({ id: `b${index}`, number: index + 1, ...one })))
const keep = fc.record({ daily: fc.nat(9), weekly: fc.nat(5), monthly: fc.nat(13) })
const shuffled = fc.tuple(backups, fc.infiniteStream(fc.nat(1_000)))

test('the newest safe one stays, whatever is not safe, and the rest is few', () => {
  fc.assert(
    fc.property(backups, keep, (all, rules) => {
      const gone = new Set(expendable(all, rules))
      const safe = all.filter(({ isSafe }) => isSafe)
      // Those that are not safe change nothing for those that are.
      assert.deepEqual(
        [...gone].filter((id) => safe.some((one) => one.id === id)),
        expendable(safe, rules),
      )
      for (const one of all.filter(({ id, isSafe }) => !isSafe && gone.has(id))) {
        const asSafe = all.filter(
          ({ id, number, isSafe, at }) =>
            !gone.has(id) &&
            number > one.number &&
            (isSafe || (at.length > 0 && one.at.every((place) => at.includes(place)))),
        )
        assert.ok(asSafe.length > 0, 'a newer one that is as safe is kept')
      }
      const kept = safe.filter(({ id }) => !gone.has(id))
      if (safe.length > 0) {
        assert.ok(!gone.has(safe.at(-1)!.id), 'the newest by the order in which they were made')
      }
      assert.ok(kept.length <= rules.daily + rules.weekly + rules.monthly + 2)
      // Of each day that counts the newest is kept: at least as many as there are days, up to the limit.
      const days = new Set(safe.map(({ takenAt }) => Math.floor(takenAt.getTime() / DAY_MS)))
      const keptDays = new Set(kept.map(({ takenAt }) => Math.floor(takenAt.getTime() / DAY_MS)))
      assert.ok(keptDays.size >= Math.min(days.size, rules.daily))
      // Asked again, nothing more goes.
      assert.deepEqual(
        expendable(
          all.filter(({ id }) => !gone.has(id)),
          rules,
        ),
        [],
      )
    }),
    { numRuns: 500 },
  )
})

test('the order in which the ledger tells them makes no difference', () => {
  fc.assert(
    fc.property(shuffled, keep, ([all, random], rules) => {
      const mixed = [...all].map((one) => ({ one, at: random.next().value as number }))
      mixed.sort((a, b) => a.at - b.at)
      assert.deepEqual(
        expendable(
          mixed.map(({ one }) => one),
          rules,
        ),
        expendable(all, rules),
      )
    }),
  )
})

test('over two years of daily backups, a week, a month and a year are covered', () => {
  let all: RetainedBackup[] = []
  for (let day = 0; day < 730; day += 1) {
    const takenAt = new Date(Date.UTC(2026, 0, 1, 3) + day * DAY_MS)
    all.push({ id: `day ${day}`, number: day + 1, takenAt, isSafe: true, at: ['s3'] })
    const gone = new Set(expendable(all, KEEP))
    assert.ok(gone.size <= 3, 'no more than a day, the end of a week and that of a month')
    all = all.filter(({ id }) => !gone.has(id))
  }
  const days = all.map(({ takenAt }) => takenAt.toISOString().slice(0, 10))
  assert.deepEqual(days.slice(-7), [
    ...['2027-12-25', '2027-12-26', '2027-12-27', '2027-12-28', '2027-12-29', '2027-12-30', '2027-12-31'],
  ])
  assert.ok(days.includes('2027-12-19') && days.includes('2027-12-12'), 'the ends of the weeks before')
  assert.ok(days.includes('2027-01-31') && days.includes('2027-11-30'), 'the ends of the months')
  assert.ok(all.length <= 7 + 4 + 12)
})

test('a clock that was ahead for a month pushes out nothing once it is right again', () => {
  const right = (day: number) => new Date(Date.UTC(2026, 5, 1) + day * DAY_MS)
  let number = 0
  let all: RetainedBackup[] = []
  const make = (takenAt: Date) => {
    number += 1
    all.push({ id: String(number), number, takenAt, isSafe: true, at: ['s3'] })
    const gone = new Set(expendable(all, KEEP))
    all = all.filter(({ id }) => !gone.has(id))
  }
  for (let day = 0; day < 30; day += 1) make(new Date(Date.UTC(2099, 0, 1) + day * DAY_MS))
  for (let day = 0; day < 7; day += 1) make(right(day))
  for (let day = 0; day < 7; day += 1)
    assert.ok(
      all.some(({ takenAt }) => takenAt.getTime() === right(day).getTime()),
      `day ${day}`,
    )
})

test('of those that never become safe, a few are kept, and those that nothing stands for', () => {
  const one = (number: number, at: string[], isSafe = false): RetainedBackup => {
    const takenAt = new Date(Date.UTC(2026, 0, 1) + number * DAY_MS)
    return { id: `b${number}`, number, takenAt, isSafe, at }
  }
  const few = { daily: 2, weekly: 0, monthly: 0 }
  // The bucket refuses them since the second day.
  const refused = Array.from({ length: 20 }, (_, day) => one(day + 2, ['local']))
  const gone = expendable([one(1, ['s3'], true), ...refused], few)
  const oldest = refused.slice(0, 17).map(({ id }) => id)
  assert.deepEqual(gone.sort(), oldest.sort())
  // At a place where none of the newer ones is.
  const elsewhere = one(0, ['nas'])
  assert.ok(!expendable([elsewhere, ...refused], few).includes('b0'))
  // Nothing that is verified nowhere stands for anything.
  const nowhere = Array.from({ length: 20 }, (_, day) => one(day + 40, []))
  assert.deepEqual(expendable([one(1, ['local']), ...nowhere], few), [])
})

test('a second place that is asked for from now on costs none of the older states', () => {
  // What two years of daily backups have left at the first place.
  let all: RetainedBackup[] = []
  for (let day = 0; day < 730; day += 1) {
    const takenAt = new Date(Date.UTC(2026, 0, 1, 3) + day * DAY_MS)
    all.push({ id: `day ${day}`, number: day + 1, takenAt, isSafe: true, at: ['s3'] })
    const gone = new Set(expendable(all, KEEP))
    all = all.filter(({ id }) => !gone.has(id))
  }
  assert.deepEqual(
    expendable(
      all.map((one) => ({ ...one, isSafe: false })),
      KEEP,
    ),
    [],
  )
  // Nor does a doubt about one of them, which may come to nothing.
  const doubted = all.map((one, index) => (index === 3 ? { ...one, isSafe: false, at: [] } : one))
  assert.deepEqual(expendable(doubted, KEEP), [])
})
