import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AdoptionReport, LedgerStatus } from '../../../web/src/lib/api-types.ts'
import {
  ledgerStage,
  numberRows,
  otherWay,
  progressWords,
  resultSentence,
  takeOver,
  whatHappened,
} from '../../../web/src/lib/storage/ledger/ledger-words.ts'

const now = new Date('2026-05-04T12:00:00Z')
const amount = (count = 0) => ({ count, bytes: count * 1_024 })
const reportOf = (counts: Partial<Record<keyof AdoptionReport, number>>): AdoptionReport => ({
  held: amount(counts.held),
  confirmed: amount(counts.confirmed),
  adopted: amount(counts.adopted),
  missing: amount(counts.missing),
  wrong: amount(counts.wrong),
  unknown: amount(counts.unknown),
  toRead: amount(counts.toRead),
})
const ledger = (fields: Partial<LedgerStatus>): LedgerStatus => ({
  conflict: null,
  since: null,
  waiting: null,
  adoption: null,
  ...fields,
})
const done = (finishedAt: string | null) =>
  ({
    state: finishedAt === null ? 'running' : 'done',
    report: reportOf({}),
    startedAt: '2026-05-01T00:00:00Z',
    finishedAt,
  }) as const
const place = (kind: 's3' | 'disk', fields: Partial<LedgerStatus>) => ({
  id: kind === 'disk' ? 'local' : 's3',
  kind,
  label: 'photos',
  isDemonstration: false,
  ledger: ledger(fields),
})

test('A2: a decision is shown until it is made, then its progress, then for a day its result', () => {
  assert.equal(ledgerStage(ledger({}), now), null)
  assert.equal(ledgerStage(ledger({ conflict: 'another-ledger' }), now), 'decide')
  // An older adoption of the same place says nothing of the present conflict.
  const before = done('2026-05-04T11:00:00Z')
  assert.equal(ledgerStage(ledger({ conflict: 'older-place', adoption: before }), now), 'decide')
  assert.equal(ledgerStage(ledger({ conflict: 'another-ledger', adoption: done(null) }), now), 'running')
  assert.equal(ledgerStage(ledger({ adoption: before }), now), 'done')
  assert.equal(ledgerStage(ledger({ adoption: done('2026-05-03T11:00:00Z') }), now), null)
})

test('A2: the two ways on depend on what may have happened', () => {
  const bucket = place('s3', { conflict: 'another-ledger' })
  assert.match(whatHappened(bucket), /older backup of its database .* or this server is a copy/)
  assert.match(takeOver(bucket).text, /Nothing there is removed or overwritten/)
  const copy = otherWay(bucket)
  assert.equal(copy.title, 'This is a copy')
  assert.deepEqual(
    copy.steps.flatMap(({ text }) => text ?? []),
    ['storage:\n  s3:\n    prefix: copy/\n', 'npx glassine storage use-as-copy s3 --yes'],
  )
  // A folder, and a place that is older than the database, are no copies.
  for (const other of [
    place('disk', { conflict: 'another-ledger' }),
    place('s3', { conflict: 'older-place' }),
    { ...bucket, isDemonstration: true },
  ]) {
    assert.equal(otherWay(other).title, 'They do not belong together')
    assert.ok(otherWay(other).steps.every(({ text }) => text === undefined))
  }
  assert.match(
    whatHappened(place('s3', { conflict: 'older-place' })),
    /older state than this server remembers/,
  )
})

test('A1: the numbers of a plan and of a result leave out what is nothing', () => {
  const report = reportOf({ held: 7, confirmed: 4, adopted: 2, toRead: 2, unknown: 1 })
  const rows = (what: 'plan' | 'result') =>
    numberRows(report, what).map(({ label, amount }) => [label, amount.count])
  assert.deepEqual(rows('plan'), [
    ['Files there', 7],
    ['As remembered', 4],
    ['Found again', 2],
    ['Of these, to be read', 2],
    ['Unknown', 1],
  ])
  assert.deepEqual(
    numberRows(reportOf({}), 'result').map(({ label }) => label),
    ['Files looked at'],
  )
  assert.deepEqual(
    numberRows(reportOf({ missing: 1, wrong: 2 }), 'result').map(({ key, isBad }) => [key, isBad]),
    [
      ['held', false],
      ['missing', true],
      ['wrong', true],
    ],
  )
  assert.equal(progressWords(report), '7 files looked at, 7.00 KiB')
})

test('A1: a result says what is missing, and that unknown files stay', () => {
  assert.equal(resultSentence(reportOf({ held: 3 })), 'Everything that this server remembers is there.')
  assert.match(
    resultSentence(reportOf({ unknown: 2 })),
    /2 files that belong to no photo stay there untouched\.$/,
  )
  assert.match(
    resultSentence(reportOf({ missing: 1, unknown: 1 })),
    /^1 file that this server remembers is missing or wrong there; .* 1 file that belongs to no photo stays there untouched\.$/,
  )
})
