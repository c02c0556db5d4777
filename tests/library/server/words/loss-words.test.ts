/** What would be lost if this machine died now, in words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lossSentence } from '../../../../src/library/server/words/loss-words.ts'
import type { MachineLoss } from '../../../../src/placement/reports/machine-loss.ts'
import type { LocationStatus } from '../../../../src/placement/reports/status.ts'

const now = new Date('2026-05-04T12:00:00Z')
const amount = (count = 0) => ({ count, bytes: count * 1_000 })
const written = { takenAt: '2026-05-04T09:00:00Z', isKeyWrittenDown: true }

const BUCKET = {
  id: 's3',
  label: 'bucket family',
  isLocal: false,
  health: 'healthy',
  ledger: { conflict: null },
  objects: amount(5),
  listing: { seenAt: '2026-05-04T01:00:00Z' },
  oldestProofAt: '2026-03-01T00:00:00Z',
}

function told(of: {
  total: number
  atRisk?: number
  lost?: number
  unlisted?: number
  backup?: MachineLoss['backup']
  locations?: Partial<LocationStatus>[]
}): string {
  const none = amount()
  const originals = { total: amount(of.total), atRisk: amount(of.atRisk) }
  const sentence = lossSentence(
    {
      originals: { ...originals, localOnly: none, both: none, offloaded: none, inFlight: none },
      machineLoss: {
        originals: amount(of.lost),
        unlisted: amount(of.unlisted),
        backup: of.backup === undefined ? written : of.backup,
      },
      locations: (of.locations ?? []).map((location) => ({ ...BUCKET, ...location })) as LocationStatus[],
    },
    now,
  )
  return sentence === null ? 'nothing' : `${sentence.tone}: ${sentence.text}`
}

const ONLY_NOTES = 'If this machine died now, no photo or video would be lost.'
const cases: [string, Parameters<typeof told>[0], string][] = [
  ['no photos yet', { total: 0 }, 'nothing'],
  ['all are at risk', { total: 2, atRisk: 2 }, 'nothing'],
  [
    'all is as it should be',
    { total: 5 },
    `good: ${ONLY_NOTES} What you changed in the last 3 hours (albums, favourites and descriptions) would be lost.`,
  ],
  [
    'photos came after the backup',
    { total: 5, unlisted: 1 },
    `good: ${ONLY_NOTES} What you changed in the last 3 hours (albums, favourites and descriptions) would be lost. The photo or video added since then would still be stored, but missing from albums and timeline.`,
  ],
  [
    'a backup of just now',
    { total: 5, backup: { ...written, takenAt: '2026-05-04T11:59:30Z' } },
    `good: ${ONLY_NOTES} Nothing else would be lost: the newest backup is of just now.`,
  ],
  [
    'a single photo, here only',
    { total: 1, lost: 1 },
    'warn: If this machine died now, your only photo or video would be lost: it is on this machine only. What you changed in the last 3 hours (albums, favourites and descriptions) would be lost.',
  ],
  [
    'some here only, no backup',
    { total: 1_200, lost: 12, unlisted: 1_188, backup: { takenAt: null, isKeyWrittenDown: false } },
    'warn: If this machine died now, 12 of 1,200 photos and videos would be lost: they are on this machine only. All albums, favourites and descriptions would be lost as well: no backup of them is away from this machine yet. Nobody would know whose the 1,188 remaining files are.',
  ],
  [
    'the key is written down nowhere',
    { total: 5, backup: { ...written, isKeyWrittenDown: false } },
    `warn: ${ONLY_NOTES} All albums, favourites and descriptions would be lost, and with them whose each photo is: nobody could open the backup, because its key is not written down.`,
  ],
  [
    'those at risk are not counted twice',
    { total: 5, atRisk: 1, lost: 4, backup: null },
    'warn: If this machine died now, all 4 photos and videos would be lost: they are on this machine only.',
  ],
  ['the bucket was seen today', { total: 5, locations: [{}], backup: null }, `good: ${ONLY_NOTES}`],
  [
    'the bucket does not answer',
    { total: 5, locations: [{ health: 'unhealthy' }], backup: null },
    'warn: If this machine died now, no photo or video would be lost, as far as is known. Not working now: bucket family.',
  ],
  [
    'nobody has seen for days what the bucket holds',
    {
      total: 5,
      lost: 1,
      locations: [{ listing: null, oldestProofAt: '2026-04-20T12:00:00Z' }],
      backup: null,
    },
    'warn: If this machine died now, 1 of 5 photos and videos would be lost: it is on this machine only. The others would stay, as far as is known. Some of them were last proven or seen 14 days ago.',
  ],
  [
    'a bucket that does not answer has nothing',
    { total: 5, lost: 5, locations: [{ health: 'unhealthy' }], backup: null },
    'warn: If this machine died now, all 5 photos and videos would be lost: they are on this machine only.',
  ],
]

for (const [name, found, text] of cases)
  test(`what a dead machine takes along: ${name}`, () => assert.equal(told(found), text))
