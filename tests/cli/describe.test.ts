import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeReading } from '../../src/cli/metadata-status.ts'
import { describeAdoption, describePlan } from '../../src/cli/storage/adopt.ts'
import { describeBegin, timeLeft } from '../../src/cli/storage/drill.ts'
import { describeProbe } from '../../src/cli/storage/probe.ts'
import { describeReceipt } from '../../src/cli/storage/receipt.ts'
import { describeStatus } from '../../src/cli/storage/status.ts'
import { styleFor } from '../../src/cli/text.ts'
import type { Failure, StorageFailures } from '../../src/library/server/storage-failures.ts'
import { inWords, type StorageOverview } from '../../src/library/server/storage-overview.ts'
import type { StorageStatus } from '../../src/placement/reports/status.ts'
import type { AdoptionReport } from '../../src/placement/takeover/adoption.ts'
import type { QueueName } from '../../src/queue/job-types.ts'
import { QUEUE_NAMES } from '../../src/queue/queue-names.ts'
import type { QueueCounts } from '../../src/queue/queues.ts'

const style = styleFor(false, true)
const now = new Date('2026-01-02T12:00:00Z')
const idle: QueueCounts = { waiting: 0, active: 0, delayed: 0, dead: 0, failed: 0, isPaused: false }
const queues = () =>
  Object.fromEntries(QUEUE_NAMES.map((name) => [name, { ...idle }])) as Record<QueueName, QueueCounts>
const none: StorageFailures = {
  total: 0,
  failures: [],
  unreadable: { total: 0, groups: [] },
  outages: [],
}

function status(
  counts: Partial<Record<keyof StorageStatus['originals'], number>>,
  isDemonstration = false,
): StorageOverview {
  const amount = (count = 0) => ({ count, bytes: count * 1_000_000 })
  const parts = ['localOnly', 'both', 'offloaded', 'atRisk', 'inFlight'] as const
  const total = parts.reduce((sum, part) => sum + (counts[part] ?? 0), 0)
  const found: Omit<StorageOverview, keyof ReturnType<typeof inWords>> = {
    originals: {
      total: amount(total),
      localOnly: amount(counts.localOnly),
      both: amount(counts.both),
      offloaded: amount(counts.offloaded),
      atRisk: amount(counts.atRisk),
      inFlight: amount(counts.inFlight),
    },
    locations: [
      {
        id: isDemonstration ? 'demonstration' : 's3',
        kind: 's3',
        label: 'photos at https://s3.example.org',
        isDemonstration,
        isLocal: false,
        isUsed: true,
        isReadOnly: false,
        leftThere: { count: 0, bytes: 0 },
        drain: null,
        leaving: amount(),
        health: 'healthy',
        error: null,
        healthChangedAt: null,
        drill: null,
        lastProbeAt: null,
        latencyMs: null,
        listing: null,
        scrub: { monthlyBytes: 0, monthlyMoney: null, readSince: null, wrong: 0, unread: 0, underWay: null },
        ledger: { conflict: null, since: null, waiting: null, adoption: null },
        oldestProofAt: '2026-01-02T11:00:00Z',
        doubted: { count: 0, bytes: 0 },
        objects: amount(counts.offloaded),
        freeBytes: null,
        totalBytes: null,
        findings: [],
        changes: [],
        lock: null,
        browserReach: [],
      },
    ],
    copies: { wanted: 1, required: 1, byNumber: [], late: { count: 0, bytes: 0, since: null } },
    machineLoss: { originals: amount(), unlisted: amount(), backup: null },
    notConfigured: amount(),
    moving: [],
    unanswered: amount(),
    kept: amount(),
    uploads: { strategy: 'local-first', rollout: null, direct: null },
    cache: null,
    backups: null,
    restoreDrill: null,
    catalogue: null,
  }
  return { ...found, ...inWords(found, now) }
}
/** As the overview tells it, after a test has changed it. */
const standing = (found: StorageOverview) => ({
  status: { ...found, ...inWords(found, now) },
  queues: queues(),
  failures: none,
})
const sentence = (found: StorageOverview) => describeStatus(standing(found), style, now).split('\n')[0]

test('the first line says whether everything is safe', () => {
  assert.equal(sentence(status({})), 'No photos or videos yet.')
  assert.equal(sentence(status({ offloaded: 1_200 })), 'All 1,200 originals are proven in object storage.')
  assert.equal(sentence(status({ offloaded: 1 })), 'The one original is proven in object storage.')
  assert.equal(
    sentence(status({ offloaded: 2 }, true)),
    'All 2 originals are proven in the demonstration bucket, which is on this machine and lost with it.',
  )
  assert.equal(
    sentence(status({ offloaded: 7, both: 1, localOnly: 3, inFlight: 1 })),
    '8 of 12 originals are proven in object storage; 4 only on this disk.',
  )
  assert.equal(sentence(status({ localOnly: 3 })), '3 originals, all with their only copy on this disk.')
  assert.equal(
    sentence(status({ offloaded: 9, atRisk: 1 })),
    '1 original of 10 is at risk: no verified copy.',
  )
})

test('what reading again has found is said beside the places', () => {
  const found = status({ offloaded: 3 })
  const place = found.locations[0]!
  const underWay = { begunAt: '2026-01-01T12:00:00Z', count: 2, bytes: 2 ** 21, error: null }
  place.scrub = {
    monthlyBytes: 2 ** 30,
    monthlyMoney: null,
    readSince: '2025-12-03T12:00:00Z',
    wrong: 1,
    unread: 2,
    underWay,
  }
  const text = describeStatus(standing(found), style, now)
  assert.match(text, /s3: 1 file with wrong bytes found by reading/)
  assert.match(text, /s3: 2 files could not be read again/)
  assert.match(
    text,
    /s3: what was there .* ago was read again; 2 files \(2\.00 MiB\) read again in a look that began .* ago/,
  )
})

test('then where, what happens, and whether the places are healthy', () => {
  const busy = {
    ...queues(),
    replication: { ...idle, active: 2, waiting: 10, failed: 1_220, isPaused: true },
  }
  const failure: Failure = {
    job: 'replicate-object',
    queue: 'replication',
    payload: {},
    location: 's3',
    code: 'not-found',
    count: 1_220,
    givenUp: 0,
    attempt: 1,
    error: 'the bucket is missing',
    isFinal: false,
    firstAt: '2026-01-02T11:50:00Z',
    at: '2026-01-02T11:58:00Z',
    nextAt: '2026-01-02T12:08:00Z',
    examples: [],
  }
  const broken = { error: 'The file holds text, not a picture or video.', count: 2, examples: [] }
  const failures = {
    total: 1_220,
    failures: [failure],
    unreadable: { total: 2, groups: [broken] },
    outages: [],
  }
  const found = status({ offloaded: 3, localOnly: 1 })
  Object.assign(found.locations[0]!, { health: 'unhealthy', error: 'the bucket is missing' })
  const text = describeStatus(
    {
      status: {
        ...found,
        moving: [{ to: 's3', label: 'photos at https://s3.example.org', count: 1_200, bytes: 3_400_000_000 }],
      },
      queues: busy,
      failures,
    },
    style,
    now,
  )
  assert.match(text, /^■□ {2}only on this disk +1 +977 KiB/m)
  assert.match(text, /^□■ {2}in the bucket only +3 +2\.86 MiB/m)
  assert.match(text, /^Moving 1,200 files \(3\.17 GiB\) to s3 \(photos at https:\/\/s3\.example\.org\)\.$/m)
  assert.match(text, /^Copying +2 +10 +0 +1,220 {2}paused$/m)
  assert.match(
    text,
    /^ {2}Copying, 1,220 failed, last 2 minutes ago, tried again by itself: the bucket is missing$/m,
  )
  assert.match(text, /^2 files can't be shown, and are kept as they are: The file holds text/m)
  assert.match(text, /^▨ {2}s3 +3 +2\.86 MiB {2}last verified 1 hour ago .*photos at https/m)
  assert.match(text, /s3: the bucket is missing/)
  assert.ok(text.split('\n').every((line) => line === line.trimEnd()))
})

test('a receipt shows one square per place for every file', () => {
  const replica = (location: string, state: 'verified' | 'writing' | 'suspect') => ({
    location,
    locationKind: 's3' as const,
    key: `users/u/${location}`,
    state,
    proofLevel: state === 'verified' ? 3 : null,
    proof: null,
    storageClass: null,
    verifiedAt: state === 'verified' ? '2026-01-02T11:00:00.000Z' : null,
  })
  const file = { objectId: 'o', sha256: 'ab', size: 1_234, history: [] }
  const text = describeReceipt(
    {
      ...file,
      assetId: 'a',
      originalFileName: 'beach.jpg',
      sha1: 'cd',
      processing: { state: 'done', error: null },
      kind: 'original',
      replicas: [replica('s3', 'verified')],
      files: [
        { ...file, kind: 'preview', replicas: [replica('local', 'verified'), replica('s3', 'writing')] },
        { ...file, kind: 'thumbnail', replicas: [replica('local', 'suspect')] },
      ],
    },
    ['local', 's3'],
    style,
  )
  assert.match(text, /^beach\.jpg is proven at s3\.$/m)
  assert.match(text, /^size {4}1\.21 KiB \(1234 bytes\)$/m)
  assert.match(
    text,
    /^□■ {2}original +s3 +digest held there \(L3\) +2026-01-02T11:00:00\.000Z +users\/u\/s3$/m,
  )
  assert.match(text, /^■◪ {2}preview +local/m)
  assert.match(text, /^▨□ {2}thumbnail +local +suspect/m)
})

test('a drill: what it does, how it ends, and how much is left of it', () => {
  const endsAt = new Date('2026-01-02T12:05:00Z')
  const drill = { locationId: 's3', startedAt: now, endsAt, leftMs: 299_900 }
  assert.equal(
    describeBegin(drill),
    "s3 can't be reached for 5 minutes, until 2026-01-02T12:05:00.000Z.\n" +
      'It ends by itself; glassine storage drill s3 --stop ends it earlier.',
  )
  assert.equal(timeLeft(299_900), '5 min 00 s left')
  assert.equal(timeLeft(61_000), '1 min 01 s left')
  const blocked = status({ offloaded: 1 })
  blocked.locations[0]!.drill = {
    startedAt: now.toISOString(),
    endsAt: new Date(now.getTime() + 125_000).toISOString(),
  }
  const lines = describeStatus({ status: blocked, queues: queues(), failures: none }, style, now)
  assert.match(lines, /s3: blocked by a drill, 2 min 05 s left/)
})

test('a probe: problems first, each with its remedy and what to paste below it; changes before all', () => {
  const features = {
    conditionalPut: null,
    conditionalComplete: null,
    enforcedDigests: [],
    attestedDigests: [],
    multipartEtagIsMd5OfParts: null,
    maxPutBytes: 1,
    multipart: null,
  }
  const text = describeProbe(
    {
      id: 's3',
      label: 'photos at https://s3.example.org',
      error: null,
      changes: [
        {
          id: 1,
          trait: 'etagIsMd5',
          what: 'the ETag of a put is its MD5',
          before: true,
          after: false,
          isWeaker: true,
          foundAt: '2026-01-02T11:00:00Z',
        },
      ],
      report: {
        at: now,
        ok: false,
        latencyMs: 3,
        features,
        findings: [
          { id: 'bucket', check: 'bucket', ok: true, critical: false, detail: 'photos is there' },
          {
            id: 'etag',
            check: 'etag',
            ok: false,
            critical: false,
            detail: 'says nothing',
            remedy: 'nothing to do',
          },
          {
            id: 'round-trip',
            check: 'round trip',
            ok: false,
            critical: true,
            detail: `denied ${'and why '.repeat(12)}`.trim(),
            remedy: 'allow it',
            paste: [{ title: 'The policy', text: '{\n  "Version": 1\n}' }],
          },
        ],
      },
    },
    style,
  )
  assert.deepEqual(text.split('\n'), [
    "s3 can't be used as it is.  photos at https://s3.example.org",
    '  the provider changed its behaviour: the ETag of a put is its MD5: was yes, is no',
    '  ▨  round trip  denied and why and why and why and why and why and why and why and why and why and why and',
    '                 why and why',
    '                 -> allow it',
    '                    The policy:',
    '                      {',
    '                        "Version": 1',
    '                      }',
    '  □  etag        says nothing',
    '                 -> nothing to do',
    '  ■  bucket      photos is there',
  ])
})

test('one line says by which strategy uploads go, and whose', () => {
  const line = (uploads: StorageOverview['uploads']) =>
    describeStatus({ status: { ...status({}), uploads }, queues: queues(), failures: none }, style, now)
      .split('\n')
      .filter((text) => text.startsWith('Uploads:'))
  const rollout = { strategy: 's3-first', percent: 10, namedUsers: 2, chosenUsers: 3, users: 1_200 } as const
  assert.deepEqual(line({ strategy: 's3-first', rollout: null, direct: null }), ['Uploads: s3-first.'])
  assert.deepEqual(line({ strategy: 'local-first', rollout, direct: null }), [
    'Uploads: s3-first for 3 of 1,200 users (10 % of them, and 2 by name), local-first for the others.',
  ])
  assert.deepEqual(
    line({ strategy: 'local-first', rollout: null, direct: { isOffered: true, reason: null } }),
    ['Uploads: local-first; clients may put files straight into the bucket.'],
  )
  const why = 'the bucket has not been reached yet'
  assert.deepEqual(
    line({ strategy: 'local-first', rollout: null, direct: { isOffered: false, reason: why } }),
    [`Uploads: local-first. None go straight into the bucket: ${why}.`],
  )
})

test('A5: "all are proven" is not said of what nobody has looked at for days, and missing files are', () => {
  const found = status({ offloaded: 9 })
  const bucket = found.locations[0]!
  const listing = {
    seenAt: '2026-01-02T09:00:00Z',
    finishedAt: '2026-01-02T09:01:00Z',
    listed: { count: 9, bytes: 9_000_000 },
    unknown: { count: 2, bytes: 2_000_000 },
    missing: 0,
    different: 0,
    underWay: null,
  }
  bucket.oldestProofAt = '2025-11-02T11:00:00Z'
  assert.match(sentence(found)!, /^9 originals, some of which were last proven or seen .* not known whether/)
  bucket.listing = listing
  assert.equal(sentence(found), 'All 9 originals are proven in object storage.')
  bucket.listing = { ...listing, seenAt: '2025-12-28T09:00:00Z' }
  assert.match(sentence(found)!, /it is not known whether/)

  bucket.listing = {
    ...listing,
    missing: 5,
    underWay: { begunAt: '2026-01-02T11:00:00Z', count: 3, error: 'no answer' },
  }
  const text = describeStatus(standing(found), style, now)
  assert.match(text, /s3: 5 proven files missing and 0 changed files in the listing of/)
  assert.match(text, /s3: its listing can't go on now: no answer/)
  assert.match(text, /s3: 2 files \(.*\) that Glassine does not know, left alone/)
  assert.match(text, /being listed: 3/)
})

const DISPUTED = {
  conflict: 'another-ledger',
  since: '2026-01-02T11:00:00Z',
  waiting: null,
  adoption: null,
} as const

test('A2: while a place has another ledger, nothing is said to be proven there, and the way on is named', () => {
  const found = status({ offloaded: 204 })
  found.locations[0]!.ledger = DISPUTED
  const text = describeStatus(standing(found), style, now)
  assert.equal(
    text.split('\n')[0],
    '204 originals. What s3 holds of them is not certain: another database has used it.',
  )
  assert.match(
    text,
    /^ {2}s3: another database has used it \(noticed 1 hour ago\); nothing is written or removed there/m,
  )
  assert.match(text, /^ {6}glassine storage adopt s3 /m)
  assert.doesNotMatch(text, /proven in|the bucket is missing/)

  const report = reportOf({ held: 1_200 })
  const adoption = { state: 'running', report, startedAt: now.toISOString(), finishedAt: null } as const
  found.locations[0]!.ledger = { ...DISPUTED, adoption }
  assert.match(
    describeStatus(standing(found), style, now),
    /^ {2}s3: another database has used it; it is being taken over: 1,200 files looked at$/m,
  )
})

test('A2: a moved installation says how long it still waits', () => {
  const found = status({ offloaded: 1 })
  found.locations[0]!.ledger = {
    conflict: null,
    since: null,
    waiting: { until: new Date(now.getTime() + 125_000).toISOString() },
    adoption: null,
  }
  assert.match(
    describeStatus(standing(found), style, now),
    /s3: this installation was moved or copied; it writes there again if it sees no other one by then, 2 min 05 s left/,
  )
})

test('A1: kept files are told where there are any', () => {
  const told = (count: number) => {
    const found = { ...status({ offloaded: 1 }), kept: { count, bytes: count * 1_024 } }
    return describeStatus(standing(found), style, now)
  }
  assert.doesNotMatch(told(0), /kept/)
  assert.match(told(1), /^1 file \(1\.00 KiB\) belongs to no photo and is kept: its upload may have been/m)
  assert.match(
    told(3),
    /^3 files \(3\.00 KiB\) belong to no photo and are kept: their uploads may have been/m,
  )
})

function reportOf(counts: Partial<Record<keyof AdoptionReport, number>>): AdoptionReport {
  const amount = (count = 0) => ({ count, bytes: count * 1_024 })
  return {
    held: amount(counts.held),
    confirmed: amount(counts.confirmed),
    adopted: amount(counts.adopted),
    missing: amount(counts.missing),
    wrong: amount(counts.wrong),
    unknown: amount(counts.unknown),
    toRead: amount(counts.toRead),
  }
}
const bucket = {
  id: 's3',
  label: 'photos at https://s3.example.org',
  kind: 's3',
  isDemonstration: false,
} as const

test('A1: a plan says in numbers what taking over would mean, and what to type', () => {
  const plan = reportOf({ held: 7, confirmed: 4, adopted: 2, toRead: 2, unknown: 1 })
  const text = describePlan(bucket, 'another-ledger', plan, style)
  assert.match(
    text,
    /^photos at https:\/\/s3\.example\.org: Something else has written there since this server last did/,
  )
  assert.match(text, /^Files there +7 +7\.00 KiB$/m)
  assert.match(text, /^Found again +2 +2\.00 KiB +This server has their photos/m)
  assert.match(text, /^Of these, to be read +2 /m)
  assert.match(
    text,
    /^Unknown +1 +1\.00 KiB +They belong to no photo that this server remembers; they stay where they are$/m,
  )
  assert.doesNotMatch(text, /^(Missing|Wrong)/m)
  assert.match(text, /^ {4}glassine storage adopt s3 --yes$/m)
  assert.match(text, /^ {4}storage: \{ s3: \{ prefix: copy\/ \} \}$/m)
  assert.match(text, /^ {4}npx glassine storage use-as-copy s3 --yes$/m)
  assert.ok(text.split('\n').every((line) => line.length <= 120))
  // A folder, and a place older than the database, are not left to an original.
  const disk = { ...bucket, id: 'local', kind: 'disk' } as const
  for (const other of [
    describePlan(disk, 'another-ledger', plan, style),
    describePlan(bucket, 'older-place', plan, style),
  ]) {
    assert.doesNotMatch(other, /use-as-copy/)
    assert.match(other, /restore the one that fits/)
  }
})

test('A1: a result says what it came to', () => {
  const result = reportOf({ held: 5, confirmed: 3, unknown: 2 })
  const text = describeAdoption(bucket, { report: result }, style)
  assert.match(text, /^s3 is taken over\. It belongs to this database again\./)
  assert.match(text, /^As remembered +3 /m)
  assert.doesNotMatch(text, /storage status/)
  const bad = describeAdoption(bucket, { report: reportOf({ held: 5, missing: 1 }) }, style)
  assert.match(bad, /^Missing +1 /m)
  assert.match(bad, /glassine storage status to see whether there are other copies of what is missing/)
})

test('the reading of metadata: how much waits where, and what a day may cost', () => {
  const none = { count: 0, bytes: 0 }
  const nothing = { atHand: none, inBucket: none, restoring: none, archived: none, tooLarge: none }
  const budget = {
    dailyBytes: 2 ** 30,
    archivedDailyBytes: 0,
    spentToday: { bucketBytes: 2 ** 20, archivedBytes: 0 },
  }
  const done = describeReading({ readerVersion: 1, read: 204, waiting: nothing, budget, daysLeft: 0 }, style)
  assert.equal(
    done,
    [
      'All metadata was read by the current reader.',
      '',
      'From buckets: 1.00 MiB of 1.00 GiB today (reading.dailyBytes).',
      'Restored: nothing (reading.archivedDailyBytes is 0).',
    ].join('\n'),
  )
  const waiting = {
    ...nothing,
    inBucket: { count: 1_200, bytes: 3 * 2 ** 30 },
    archived: { count: 7, bytes: 2 ** 20 },
  }
  const busy = describeReading({ readerVersion: 1, read: 4, waiting, budget, daysLeft: 3 }, style)
  assert.match(busy, /^1,207 originals wait to be read again, 4 are read\.\n/)
  assert.match(busy, /1,200 +3\.00 GiB +in a bucket, read within the budget of each day/)
  assert.match(busy, /7 +1\.00 MiB +in an archive, restored within its own budget/)
  assert.match(busy, /At that pace the buckets take 3 days\.$/)
})

test('files that wait for the end of their lock are named with the day, and locks that fail', () => {
  const found = status({ offloaded: 1 })
  found.locations[0]!.lock = {
    mode: 'governance',
    due: 3,
    failed: 1,
    firstEndsAt: null,
    waiting: { count: 2, bytes: 2048, onHold: 1, until: '2026-07-01T10:00:00.000Z' },
  }
  const lines = describeStatus({ status: found, queues: queues(), failures: none }, style, now)
  assert.match(
    lines,
    /2 deleted files \(2(\.0+)? KiB\) can't be removed yet: the last of them until 2026-07-01, by Object Lock \(1 on legal hold\)/,
  )
  assert.match(lines, /the lock of 1 file can't be prolonged/)
  assert.match(lines, /the locks of 2 files are being prolonged/)
})
