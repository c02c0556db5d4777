import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeBegin, timeLeft } from '../../src/cli/storage-drill.ts'
import { describeProbe } from '../../src/cli/storage-probe.ts'
import { describeReceipt } from '../../src/cli/storage-receipt.ts'
import { describeStatus } from '../../src/cli/storage-status.ts'
import { styleFor } from '../../src/cli/text.ts'
import type { StorageOverview } from '../../src/library/storage-overview.ts'
import type { StorageStatus } from '../../src/placement/status.ts'
import { QUEUE_NAMES, type QueueCounts } from '../../src/queue/queues.ts'

const style = styleFor(false, true)
const now = new Date('2026-01-02T12:00:00Z')
const idle: QueueCounts = { waiting: 0, active: 0, delayed: 0, dead: 0, failed: 0, isPaused: false }
const queues = () =>
  Object.fromEntries(QUEUE_NAMES.map((name) => [name, { ...idle }])) as Parameters<
    typeof describeStatus
  >[0]['queues']

function status(
  counts: Partial<Record<keyof StorageStatus['originals'], number>>,
  isDemonstration = false,
): StorageOverview {
  const amount = (count = 0) => ({ count, bytes: count * 1_000_000 })
  const parts = ['localOnly', 'both', 'offloaded', 'atRisk', 'inFlight'] as const
  const total = parts.reduce((sum, part) => sum + (counts[part] ?? 0), 0)
  return {
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
        health: 'unhealthy',
        error: 'the bucket is missing',
        healthChangedAt: null,
        drill: null,
        lastProbeAt: null,
        latencyMs: null,
        oldestProofAt: '2026-01-02T11:00:00Z',
        objects: amount(counts.offloaded),
        freeBytes: null,
        totalBytes: null,
        findings: [],
        changes: [],
        browserReach: [],
      },
    ],
    moving: [],
    uploads: { strategy: 'local-first', rollout: null, direct: null },
    cache: null,
  }
}
const sentence = (found: StorageOverview) =>
  describeStatus({ status: found, queues: queues(), failures: [] }, style, now).split('\n')[0]

test('the first line says whether everything is safe', () => {
  assert.equal(sentence(status({})), 'No photos or videos yet.')
  assert.equal(sentence(status({ offloaded: 1_200 })), 'All 1,200 originals are proven in object storage.')
  assert.equal(sentence(status({ offloaded: 1 })), 'The one original is proven in object storage.')
  assert.equal(
    sentence(status({ offloaded: 2 }, true)),
    'All 2 originals are proven in the demonstration bucket, on this machine.',
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

test('then where, what happens, and whether the places are healthy', () => {
  const busy = { ...queues(), replication: { ...idle, active: 2, waiting: 10, isPaused: true } }
  const failure = {
    job: 'replicate-object',
    queue: 'replication',
    payload: {},
    attempt: 1,
    error: 'the bucket is missing',
    isFinal: false,
    at: new Date('2026-01-02T11:58:00Z'),
  } as const
  const text = describeStatus(
    {
      status: {
        ...status({ offloaded: 3, localOnly: 1 }),
        moving: [{ to: 's3', label: 'photos at https://s3.example.org', count: 1_200, bytes: 3_400_000_000 }],
      },
      queues: busy,
      failures: [failure],
    },
    style,
    now,
  )
  assert.match(text, /^■□ {2}only on this disk {2}1 +977 KiB/m)
  assert.match(text, /^□■ {2}offloaded +3 +2\.86 MiB/m)
  assert.match(text, /^Moving 1,200 files \(3\.17 GiB\) to s3 \(photos at https:\/\/s3\.example\.org\)\.$/m)
  assert.match(text, /^replication +2 +10 +0 +0 {2}paused$/m)
  assert.match(text, /2 minutes ago: replicate-object: the bucket is missing/)
  assert.match(text, /^▨ {2}s3 +3 +2\.86 MiB {2}oldest proof 1 hour ago .*photos at https/m)
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
  const lines = describeStatus({ status: blocked, queues: queues(), failures: [] }, style, now)
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
          { check: 'bucket', ok: true, critical: false, detail: 'photos is there' },
          { check: 'etag', ok: false, critical: false, detail: 'says nothing', remedy: 'nothing to do' },
          {
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
    describeStatus({ status: { ...status({}), uploads }, queues: queues(), failures: [] }, style, now)
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
    [`Uploads: local-first; none straight into the bucket: ${why}.`],
  )
})
