/** Which backups are kept, whatever the clock said when they were made. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expendable, type RetainedBackup } from '../../../src/placement/backups/retention.ts'

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
    }),
    { maxLength: 60 },
  )
  .map((all) => all.map((one, index): RetainedBackup => ({ id: `b${index}`, number: index + 1, ...one })))
const keep = fc.record({ daily: fc.nat(9), weekly: fc.nat(5), monthly: fc.nat(13) })
const shuffled = fc.tuple(backups, fc.infiniteStream(fc.nat(1_000)))

test('the newest safe one stays, those that are not safe are not named, and the rest is few', () => {
  fc.assert(
    fc.property(backups, keep, (all, rules) => {
      const gone = new Set(expendable(all, rules))
      const safe = all.filter(({ isSafe }) => isSafe)
      for (const { id, isSafe } of all) assert.ok(isSafe || !gone.has(id), 'what is not safe is left alone')
      const kept = safe.filter(({ id }) => !gone.has(id))
      if (safe.length > 0) {
        assert.ok(!gone.has(safe.at(-1)!.id), 'the newest by the order in which they were made')
        const latest = Math.max(...safe.map(({ takenAt }) => takenAt.getTime()))
        assert.ok(
          kept.some(({ takenAt }) => takenAt.getTime() === latest),
          'the newest by its time',
        )
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
    all.push({ id: `day ${day}`, number: day + 1, takenAt, isSafe: true })
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
    all.push({ id: String(number), number, takenAt, isSafe: true })
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
