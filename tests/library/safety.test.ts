import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ORIGINAL_STATES, type OriginalState, safetyOf } from '../../src/library/server/safety.ts'
import type { LocationStatus } from '../../src/placement/reports/status.ts'
import { emptyReport } from '../../src/placement/takeover/adoption.ts'

const now = new Date('2026-05-04T12:00:00Z')
const amount = (count = 0) => ({ count, bytes: count * 1_000 })
function originals(counts: Partial<Record<OriginalState, number>>) {
  const { localOnly, both, offloaded, inFlight, atRisk } = counts
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  return {
    total: amount(total),
    localOnly: amount(localOnly),
    both: amount(both),
    offloaded: amount(offloaded),
    inFlight: amount(inFlight),
    atRisk: amount(atRisk),
  }
}
const bucket = (fields: Partial<LocationStatus> = {}): LocationStatus => ({
  id: 's3',
  kind: 's3',
  label: 'photos at AWS',
  isDemonstration: false,
  health: 'healthy',
  error: null,
  healthChangedAt: null,
  drill: null,
  lastProbeAt: null,
  latencyMs: null,
  oldestProofAt: '2026-05-04T11:00:00Z',
  doubted: { count: 0, bytes: 0 },
  listing: null,
  ledger: { conflict: null, since: null, waiting: null, adoption: null },
  objects: amount(1),
  freeBytes: null,
  totalBytes: null,
  findings: [],
  changes: [],
  browserReach: [],
  ...fields,
})

test('a place that is not well is named, and is no bad news while every original has a verified copy', () => {
  const found = { originals: originals({ both: 3 }), locations: [bucket()] }
  const well = safetyOf(found, now)
  assert.deepEqual(well, { text: 'All 3 originals are proven in object storage.', tone: 'good' })
  assert.deepEqual(safetyOf({ ...found, locations: [bucket({ health: 'unhealthy' })] }, now), {
    text: 'All 3 originals are proven in object storage. Not working now: photos at AWS.',
    tone: 'warn',
  })
})

test('"all are proven" is not said while files with another ETag wait to be read', () => {
  const locations = [bucket({ doubted: amount(2) })]
  assert.deepEqual(safetyOf({ originals: originals({ offloaded: 3 }), locations }, now), {
    text: '3 originals. 2 files in object storage got another ETag, and wait to be read: it is not known yet whether all are right.',
    tone: 'warn',
  })
})

test('what is at risk comes before all else, and is bad', () => {
  const locations = [bucket({ health: 'unhealthy' })]
  assert.deepEqual(safetyOf({ originals: originals({ both: 10, atRisk: 2 }), locations }, now), {
    text: '2 originals of 12 are at risk: no verified copy.',
    tone: 'bad',
  })
})

test('A2: nobody is told that everything is proven while a place has another ledger', () => {
  const ledger = { ...bucket().ledger, conflict: 'another-ledger' as const, since: '2026-05-04T11:30:00Z' }
  const found = { originals: originals({ offloaded: 204 }), locations: [bucket({ ledger })] }
  assert.deepEqual(safetyOf(found, now), {
    text: '204 originals. What s3 holds of them is not certain: another database has used it.',
    tone: 'warn',
  })
  const adoption = {
    state: 'running' as const,
    report: emptyReport(),
    startedAt: '2026-05-04T11:40:00Z',
    finishedAt: null,
  }
  const running = { ...found, locations: [bucket({ ledger: { ...ledger, adoption } })] }
  assert.equal(safetyOf(running, now).text, '204 originals. What s3 holds is being taken over.')
})

test('A3: nobody is reassured by copies that are on this machine alone', () => {
  const demonstration = bucket({ id: 'demonstration', label: 'demonstration bucket', isDemonstration: true })
  const found = (counts: Partial<Record<OriginalState, number>>, location = bucket()) =>
    safetyOf({ originals: originals(counts), locations: [location] }, now)
  assert.deepEqual(found({ offloaded: 2 }, demonstration), {
    text: 'All 2 originals are proven in the demonstration bucket, which is on this machine and lost with it.',
    tone: 'warn',
  })
  assert.deepEqual(found({ offloaded: 1, localOnly: 1 }, demonstration), {
    text: '1 of 2 originals is proven in the demonstration bucket, which is on this machine and lost with it; 1 only on this disk.',
    tone: 'warn',
  })
  assert.deepEqual(found({ localOnly: 1 }, bucket({ health: 'unhealthy' })), {
    text: 'One original, with its only copy on this disk. Not working now: photos at AWS.',
    tone: 'warn',
  })
  assert.deepEqual(found({ localOnly: 3 }), {
    text: '3 originals, all with their only copy on this disk.',
    tone: 'warn',
  })
  assert.deepEqual(found({ offloaded: 1_812, localOnly: 390, inFlight: 7 }), {
    text: '1,812 of 2,209 originals are proven in object storage; 397 only on this disk.',
    tone: 'warn',
  })
  assert.equal(found({ both: 2_209 }).tone, 'good')
})

test('each state of an original has a mark of its own', () => {
  const marks = ORIGINAL_STATES.map(({ mark }) => mark)
  assert.equal(new Set(marks).size, marks.length)
  assert.ok(marks.every((mark) => /^[■□◪▨]{2}$/.test(mark)))
})
