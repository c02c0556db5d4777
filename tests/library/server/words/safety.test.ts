import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ORIGINAL_STATES,
  type OriginalState,
  safetyOf,
  statesOf,
} from '../../../../src/library/server/words/safety.ts'
import type { LocationStatus } from '../../../../src/placement/reports/status.ts'
import { emptyReport } from '../../../../src/placement/takeover/adoption.ts'

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
  isLocal: false,
  isUsed: true,
  isReadOnly: false,
  leftThere: { count: 0, bytes: 0 },
  drain: null,
  lock: null,
  leaving: { count: 0, bytes: 0 },
  health: 'healthy',
  error: null,
  healthChangedAt: null,
  drill: null,
  lastProbeAt: null,
  latencyMs: null,
  oldestProofAt: '2026-05-04T11:00:00Z',
  doubted: { count: 0, bytes: 0 },
  listing: null,
  scrub: { monthlyBytes: 0, monthlyMoney: null, readSince: null, wrong: 0, unread: 0, underWay: null },
  ledger: { conflict: null, since: null, waiting: null, adoption: null },
  objects: amount(1),
  freeBytes: null,
  totalBytes: null,
  findings: [],
  changes: [],
  browserReach: [],
  ...fields,
})

type Found = Parameters<typeof safetyOf>[0]
/** Where originals belong in one bucket. */
const safety = (found: Omit<Found, 'copies' | 'notConfigured'>) =>
  safetyOf({ ...found, copies: { wanted: 1, required: 1, byNumber: [] }, notConfigured: amount() }, now)

test('a place that is not well is named, and is no bad news while every original has a verified copy', () => {
  const found = { originals: originals({ both: 3 }), locations: [bucket()] }
  const well = safety(found)
  assert.deepEqual(well, { text: 'All 3 originals are proven in object storage.', tone: 'good' })
  assert.deepEqual(safety({ ...found, locations: [bucket({ health: 'unhealthy' })] }), {
    text: 'All 3 originals are proven in object storage. Not working now: photos at AWS.',
    tone: 'warn',
  })
})

test('"all are proven" is not said while files with another ETag wait to be read', () => {
  const locations = [bucket({ doubted: amount(2) })]
  assert.deepEqual(safety({ originals: originals({ offloaded: 3 }), locations }), {
    text: '3 originals. 2 files in object storage got another ETag, and wait to be read: it is not known yet whether all are right.',
    tone: 'warn',
  })
})

test('what is at risk comes before all else, and is bad', () => {
  const locations = [bucket({ health: 'unhealthy' })]
  assert.deepEqual(safety({ originals: originals({ both: 10, atRisk: 2 }), locations }), {
    text: '2 originals of 12 are at risk: no verified copy.',
    tone: 'bad',
  })
})

test('A2: nobody is told that everything is proven while a place has another ledger', () => {
  const ledger = { ...bucket().ledger, conflict: 'another-ledger' as const, since: '2026-05-04T11:30:00Z' }
  const found = { originals: originals({ offloaded: 204 }), locations: [bucket({ ledger })] }
  assert.deepEqual(safety(found), {
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
  assert.equal(safety(running).text, '204 originals. What s3 holds is being taken over.')
})

test('A3: nobody is reassured by copies that are on this machine alone', () => {
  const demonstration = bucket({ id: 'demonstration', label: 'demonstration bucket', isDemonstration: true })
  const found = (counts: Partial<Record<OriginalState, number>>, location = bucket()) =>
    safety({ originals: originals(counts), locations: [location] })
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

test('where two copies are asked for, it is said how many have them', () => {
  const folder = bucket({ id: 'nas', kind: 'disk', label: '/mnt/nas' })
  const found = (byNumber: Found['copies']['byNumber'], health: 'healthy' | 'unhealthy' = 'healthy') =>
    safetyOf(
      {
        originals: originals({ offloaded: 10 }),
        copies: { wanted: 3, required: 2, byNumber },
        notConfigured: amount(),
        locations: [bucket(), { ...folder, health }],
      },
      now,
    )
  const of = (copies: number, count: number) => ({ copies, ...amount(count) })
  assert.deepEqual(found([of(2, 7), of(3, 3)]), {
    text: 'All 10 originals are proven in 2 places.',
    tone: 'good',
  })
  assert.deepEqual(found([of(1, 2), of(2, 8)]), {
    text: '8 of 10 originals are proven in 2 places; 2 in 1 so far.',
    tone: 'warn',
  })
  assert.deepEqual(found([of(0, 1), of(3, 9)], 'unhealthy'), {
    text: '9 of 10 originals are proven in 2 places; 1 in none of them so far. Not working now: /mnt/nas.',
    tone: 'warn',
  })
})

test('what lies at a location that is not configured is not said to be proven', () => {
  const found = {
    originals: originals({ offloaded: 5 }),
    copies: { wanted: 1, required: 1, byNumber: [] },
    locations: [bucket({ id: 'local', kind: 'disk', isLocal: true })],
  }
  assert.deepEqual(safetyOf({ ...found, notConfigured: amount(2) }, now), {
    text: "2 originals of 5 are at a location that is not configured: they can't be read until it is.",
    tone: 'bad',
  })
})

test('what is proven in a folder is not said to be in object storage', () => {
  const folder = bucket({ id: 'nas', kind: 'disk', label: '/mnt/nas' })
  const locations = [bucket({ id: 'local', kind: 'disk', isLocal: true }), folder]
  assert.equal(
    safety({ originals: originals({ both: 2 }), locations }).text,
    'All 2 originals are proven in another folder.',
  )
  const names = statesOf({ locations }).map(({ name }) => name)
  assert.deepEqual(names, [
    'only on this disk',
    'being copied',
    'here and elsewhere',
    'elsewhere only',
    'at risk',
  ])
  assert.deepEqual(statesOf({ locations: [locations[0]!, bucket()] }), ORIGINAL_STATES)
})

test('each state of an original has a mark of its own', () => {
  const marks = ORIGINAL_STATES.map(({ mark }) => mark)
  assert.equal(new Set(marks).size, marks.length)
  assert.ok(marks.every((mark) => /^[■□◪▨]{2}$/.test(mark)))
})
