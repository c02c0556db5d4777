import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ORIGINAL_STATES } from '../../../src/library/server/words/safety.ts'
import type { Failure, JobQueue, ReadingStatus } from '../../../web/src/lib/api-types.ts'
import { failureLine, outageLine } from '../../../web/src/lib/storage/failure-words.ts'
import { effects, troubleSentence } from '../../../web/src/lib/storage/outage-words.ts'
import { readingWords } from '../../../web/src/lib/storage/reading-words.ts'
import { proofInWords, replicaMark } from '../../../web/src/lib/storage/replica-mark.ts'
import {
  barParts,
  cacheSentence,
  keptSentence,
  leavingSentence,
  queueRows,
  runningTasks,
  scrubWarnings,
  scrubWhen,
  uploadsSentence,
  workSentence,
} from '../../../web/src/lib/storage/safety.ts'

const amount = (count: number, bytes = count * 1000) => ({ count, bytes })
function originals(
  counts: Partial<Record<'localOnly' | 'both' | 'offloaded' | 'inFlight' | 'atRisk', number>>,
) {
  const parts = { localOnly: 0, both: 0, offloaded: 0, inFlight: 0, atRisk: 0, ...counts }
  const total = Object.values(parts).reduce((sum, count) => sum + count, 0)
  return {
    total: amount(total),
    localOnly: amount(parts.localOnly),
    both: amount(parts.both),
    offloaded: amount(parts.offloaded),
    inFlight: amount(parts.inFlight),
    atRisk: amount(parts.atRisk),
  }
}
test('A1: files that belong to no photo, where there are any', () => {
  assert.equal(keptSentence(amount(0)), null)
  assert.equal(keptSentence(amount(1, 2048)), '1 file (2.00 KiB) belongs to no photo and is kept.')
  assert.equal(keptSentence(amount(1200, 2048)), '1,200 files (2.00 KiB) belong to no photo and are kept.')
})

test('what is running, with how far it is', () => {
  const place = { id: 's3', label: 'Bucket photos', objects: amount(400), listing: null }
  assert.deepEqual(runningTasks({ moving: [], locations: [place] }), [])
  const moving = [{ to: 's3', label: 'Bucket photos', count: 1200, bytes: 2048 }]
  assert.deepEqual(runningTasks({ moving, locations: [place] }), [
    { text: 'Copying to Bucket photos: 1,200 files (2.00 KiB) to go', share: 0.25 },
  ])
  const none = { missing: 0, different: 0, unknown: amount(0), seenAt: null }
  const underWay = { startedAt: '2026-01-01T00:00:00Z', count: 100, error: null }
  const listed = { ...place, listing: { ...none, underWay } as never }
  assert.deepEqual(runningTasks({ moving: [], locations: [listed] }), [
    { text: 'Looking at what Bucket photos holds: 100 files so far', share: 0.25 },
  ])
  const empty = { ...listed, objects: amount(0) }
  assert.equal(runningTasks({ moving: [], locations: [empty] })[0]!.share, null)
})

test('by which strategy uploads go, and whose', () => {
  const rollout = { strategy: 's3-first', percent: 10, namedUsers: 2, chosenUsers: 3, users: 1_200 } as const
  assert.equal(
    uploadsSentence({ strategy: 's3-first', rollout: null, direct: null }),
    'Uploads go into the bucket while they arrive (s3-first).',
  )
  assert.equal(
    uploadsSentence({ strategy: 'local-first', rollout, direct: { isOffered: true, reason: null } }),
    'Uploads go into the bucket while they arrive (s3-first), for 3 of 1,200 users (10 % of them, and 2 by ' +
      'name). Those of the others: local-first. Clients may put files straight into the bucket.',
  )
  assert.equal(
    uploadsSentence({
      strategy: 'local-first',
      rollout: null,
      direct: { isOffered: false, reason: 'it is away' },
    }),
    'Uploads are kept on this server first and copied from there (local-first). ' +
      'None goes straight into the bucket, because it is away.',
  )
})

test('what goes on, in one sentence', () => {
  const queue = (jobCounts: Partial<JobQueue['jobCounts']>, isPaused = false): JobQueue => ({
    jobCounts: { active: 0, waiting: 0, delayed: 0, failed: 0, ...jobCounts },
    queueStatus: { isActive: false, isPaused },
  })
  assert.equal(workSentence({ migration: queue({}) }), 'Nothing is waiting or running.')
  assert.equal(
    workSentence({
      metadataExtraction: queue({ active: 2, waiting: 10 }),
      migration: queue({ paused: 3 }, true),
    }),
    'Reading and previews: 12 to go; Copying: 3 to go. Paused: Copying.',
  )
})

test('what still fails is told with its number, and with when it is tried again', () => {
  const now = new Date('2026-05-04T12:00:00Z')
  const failure = {
    queue: 'replication',
    job: 'replicate-object',
    location: 's3',
    code: 'denied',
    error: 'refused',
    payload: {},
    attempt: 3,
    count: 12,
    givenUp: 0,
    isFinal: false,
    firstAt: '2026-05-04T11:00:00Z',
    at: '2026-05-04T11:59:00Z',
    nextAt: '2026-05-04T12:04:00Z',
    examples: [],
  } satisfies Failure
  assert.equal(failureLine(failure, now), '12 tasks in Copying, tried again in 4 min')
  assert.equal(failureLine({ ...failure, count: 1, nextAt: null }, now), '1 task in Copying, tried again now')
  assert.equal(failureLine({ ...failure, givenUp: 12 }, now), '12 tasks in Copying, given up')
})

test('an outage is one event', () => {
  const at = (time: string) => new Date(`2026-05-04T${time}`).toISOString()
  const now = new Date('2026-05-04T20:00:00')
  const outage = { location: 'Photos', cause: 'refused', isDrill: false, waited: 1220 }
  assert.equal(
    outageLine({ ...outage, startedAt: at('18:39:00'), endedAt: at('18:41:00') }, now),
    'Photos could not be reached on 4 May, 18:39 to 18:41 (2 min). 1,220 tasks waited and went on by themselves.',
  )
  assert.equal(
    outageLine({ ...outage, startedAt: at('19:55:00'), endedAt: null, isDrill: true, waited: 0 }, now),
    "Photos can't be reached since 19:55 (5 min ago), in a simulated outage.",
  )
})

const MIB = 2 ** 20
const budget = {
  dailyBytes: 1024 * MIB,
  archivedDailyBytes: 0,
  spentToday: { bucketBytes: 512 * MIB, archivedBytes: 0 },
}
const nothing = amount(0)
const noneWaits = {
  atHand: nothing,
  inBucket: nothing,
  tooLarge: nothing,
  archived: nothing,
  restoring: nothing,
}

test('nothing is said of the reading of metadata where nothing waits for it', () => {
  const done: ReadingStatus = { readerVersion: 2, read: 12, waiting: noneWaits, budget, daysLeft: 0 }
  assert.equal(readingWords(done), null)
})

test('what an older version has read is told by where it is, what it may cost in a day, and has cost today', () => {
  const waiting = {
    atHand: amount(200),
    inBucket: amount(1_000, 3 * 1024 * MIB),
    tooLarge: amount(2, 9 * 1024 * MIB),
    archived: amount(5, 50 * MIB),
    restoring: amount(3, 30 * MIB),
  }
  const told = readingWords({ readerVersion: 2, read: 48_000, waiting, budget, daysLeft: 3 })
  assert.deepEqual(told, {
    sentence:
      '1,210 photos and videos were read by an older version of Glassine and wait to be read again; 48,000 are done.',
    parts: [
      '200 on this server, read as fast as it goes.',
      '1,000 in the bucket only (3.00 GiB): at most 1.00 GiB a day are fetched, 512 MiB so far today. That takes about 3 days.',
      '3 on the way out of the archive, read when they are there.',
      '5 in the archive (50.0 MiB): not read, because that costs money (reading.archivedDailyBytes).',
      '2 too large to be fetched for it (9.00 GiB): not read.',
    ],
  })
})

test('one photo that waits, no budget for the bucket, and one for the archive', () => {
  const inBucket = { ...noneWaits, inBucket: amount(1, MIB) }
  const unpaid = { ...budget, dailyBytes: 0 }
  assert.deepEqual(
    readingWords({ readerVersion: 2, read: 0, waiting: inBucket, budget: unpaid, daysLeft: null }),
    {
      sentence: '1 photo or video was read by an older version of Glassine and waits to be read again.',
      parts: [
        '1 in the bucket only (1.00 MiB): not read, because nothing may be fetched for it (reading.dailyBytes is 0).',
      ],
    },
  )
  const archived = { ...noneWaits, archived: amount(1, MIB) }
  const paid = {
    ...budget,
    archivedDailyBytes: 100 * MIB,
    spentToday: { bucketBytes: 0, archivedBytes: 10 * MIB },
  }
  assert.deepEqual(
    readingWords({ readerVersion: 2, read: 1, waiting: archived, budget: paid, daysLeft: 0 }),
    {
      sentence:
        '1 photo or video was read by an older version of Glassine and waits to be read again; 1 is done.',
      parts: ['1 in the archive (1.00 MiB): at most 100 MiB a day are restored, 10.0 MiB so far today.'],
    },
  )
})

test('the cache in words', () => {
  const cache = { files: 1200, bytes: 2 ** 30, maxBytes: 2 ** 31, limitBytes: 2 ** 31, isCounted: true }
  assert.equal(cacheSentence(cache), '1.00 GiB of 2.00 GiB, in 1,200 files.')
  assert.match(
    cacheSentence({ ...cache, limitBytes: 1.5 * 2 ** 30 }),
    /of 1\.50 GiB, less than its 2\.00 GiB, because the disk is nearly full/,
  )
  assert.match(cacheSentence({ ...cache, isCounted: false }), /being counted; its limit is 2\.00 GiB/)
})

test('one original at risk is seen among a million', () => {
  const parts = barParts({
    originals: originals({ offloaded: 1_000_000, atRisk: 1 }),
    states: ORIGINAL_STATES,
  })
  assert.deepEqual(
    parts.map((part) => part.key),
    ['offloaded', 'atRisk'],
  )
  assert.ok(parts[1]!.share >= 0.0099)
  assert.ok(Math.abs(parts.reduce((sum, part) => sum + part.share, 0) - 1) < 1e-9)
})

test('the mark: one square per location in config order, the best replica counts', () => {
  const locations = [
    { id: 'local', label: 'Local disk' },
    { id: 's3', label: 'Bucket photos' },
  ]
  const mark = (replicas: Parameters<typeof replicaMark>[0]) =>
    replicaMark(replicas, locations)
      .map((square) => square.glyph)
      .join('')
  assert.equal(mark([]), '□□')
  assert.equal(mark([{ location: 'local', state: 'verified' }]), '■□')
  assert.equal(
    mark([
      { location: 's3', state: 'verified' },
      { location: 'local', state: 'evicting' },
    ]),
    '□■',
  )
  assert.equal(
    mark([
      { location: 'local', state: 'verified' },
      { location: 's3', state: 'writing' },
    ]),
    '■◪',
  )
  assert.equal(mark([{ location: 'local', state: 'suspect' }]), '▨□')
  assert.equal(
    mark([
      { location: 's3', state: 'writing' },
      { location: 's3', state: 'verified' },
    ]),
    '□■',
  )
  assert.equal(mark([{ location: 'old-bucket', state: 'verified' }]), '□□■')
})

test('of a place that files leave it is said how many are left, and when it may be forgotten', () => {
  const none = { count: 0, bytes: 0 }
  const amount = { count: 2, bytes: 2 ** 21 }
  const place = { isLocal: false, isUsed: false, isReadOnly: false, leaving: amount, leftThere: none }
  assert.equal(
    leavingSentence(place),
    '2 files (2.00 MiB) belong elsewhere and will leave when enough copies are there.',
  )
  assert.equal(
    leavingSentence({ ...place, leaving: none }),
    'No files belong here any more. You can remove this place from the configuration.',
  )
  assert.equal(leavingSentence({ ...place, isUsed: true, leaving: none }), null)
  assert.equal(
    leavingSentence({ ...place, isLocal: true }),
    null,
    'uploads leave the local disk all the time',
  )
  const readOnly = { ...place, isReadOnly: true, leaving: none }
  assert.equal(leavingSentence(readOnly), 'Read-only: nothing is written or removed here.')
  assert.equal(
    leavingSentence({ ...readOnly, leftThere: amount }),
    'Read-only: 2 deleted files (2.00 MiB) left here until something may be removed again.',
  )
})

test('reading again in words', () => {
  const now = new Date('2026-05-04T12:00:00Z')
  const none = {
    monthlyBytes: 2 ** 30,
    monthlyMoney: null,
    readSince: null,
    wrong: 0,
    unread: 0,
    underWay: null,
  }
  assert.equal(scrubWhen(none, now), 'nothing yet')
  assert.equal(scrubWhen({ ...none, monthlyBytes: 0 }, now), 'switched off')
  const monthlyMoney = { amount: 0.5, currency: 'USD' }
  assert.equal(
    scrubWhen({ ...none, monthlyMoney }, now),
    'nothing yet (up to 1.00 GiB and about 0.5 USD a month)',
  )
  const underWay = { begunAt: '2026-05-03T12:00:00Z', count: 3, bytes: 2 ** 21, error: null }
  assert.match(scrubWhen({ ...none, underWay }, now), /^3 files \(2\.00 MiB\) since /)
  assert.deepEqual(scrubWarnings(none), [])
  assert.deepEqual(
    scrubWarnings({ ...none, wrong: 1, unread: 2, underWay: { ...underWay, error: 'away' } }),
    [
      '1 file had wrong bytes when read again. New copies are made where others exist.',
      '2 files could not be read again.',
      'Reading again stopped: away',
    ],
  )
})

test('a proof level has words', () => {
  const words = [null, 0, 1, 2, 3, 4].map(proofInWords)
  assert.equal(new Set(words).size, 6)
  assert.match(proofInWords(4), /read back/)
})

test('queues are named once, twins and strangers left out', () => {
  const queue = {
    jobCounts: { active: 0, waiting: 0, delayed: 0, failed: 0 },
    queueStatus: { isActive: false, isPaused: false },
  }
  const rows = queueRows({
    thumbnailGeneration: queue,
    metadataExtraction: queue,
    migration: queue,
    smartSearch: queue,
  })
  assert.deepEqual(
    rows.map((row) => row.name),
    ['processing', 'replication'],
  )
})

test('the banner', () => {
  const now = new Date('2026-05-04T12:10:00Z')
  const place = {
    id: 's3',
    label: 'photos at https://s3.example.org',
    since: '2026-05-04T12:05:00Z',
    error: null,
    isAway: true,
    drillEndsAt: null,
    conflict: null,
    isBeingAdopted: false,
    waitsUntil: null,
  }
  assert.match(
    troubleSentence(place, now),
    /^photos at https:\/\/s3\.example\.org can't be reached since \d\d:05 \(5 min ago\)\.$/,
  )
  assert.match(troubleSentence({ ...place, isAway: false, since: null }, now), / is not well\.$/)
  assert.match(
    troubleSentence({ ...place, drillEndsAt: '2026-05-04T12:13:20Z' }, now),
    /is closed by a simulated outage since \d\d:05 \(5 min ago\), which ends by itself in 4 min\.$/,
  )
  assert.match(
    troubleSentence({ ...place, conflict: 'another-ledger' }, now),
    / was used by another database; you have to decide how it continues\. Noticed \d\d:05 \(5 min ago\)\.$/,
  )
  assert.match(
    troubleSentence({ ...place, conflict: 'older-place', since: null }, now),
    / holds an older state than the database; you have to decide how it continues\.$/,
  )
  assert.match(
    troubleSentence({ ...place, conflict: 'another-ledger', isBeingAdopted: true, since: null }, now),
    / is being taken over\.$/,
  )
  assert.match(
    troubleSentence({ ...place, waitsUntil: '2026-05-04T12:17:00Z' }, now),
    / is written to again in 7 min, if no other server is seen there by then; you need not do anything\.$/,
  )
  assert.equal(
    effects({ works: ['browsing', 'uploading'], waits: ['opening originals', 'copying'] }),
    'Works: browsing, uploading. Waits: opening originals; copying.',
  )
})
