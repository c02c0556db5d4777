import assert from 'node:assert/strict'
import { test } from 'node:test'
import { effects, troubleSentence } from '../../web/src/lib/storage/outage-words.ts'
import { proofInWords, replicaMark } from '../../web/src/lib/storage/replica-mark.ts'
import {
  barParts,
  cacheSentence,
  movingSentences,
  queueRows,
  safetySentence,
  uploadsSentence,
} from '../../web/src/lib/storage/safety.ts'

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
function location(label: string, health: 'healthy' | 'unhealthy') {
  return {
    id: label,
    kind: 's3' as const,
    label,
    isDemonstration: false,
    health,
    error: null,
    healthChangedAt: null,
    drill: null,
    lastProbeAt: null,
    latencyMs: null,
    oldestProofAt: null,
    objects: amount(0),
    freeBytes: null,
    totalBytes: null,
    findings: [],
    changes: [],
    browserReach: [],
  }
}

test('the one sentence', () => {
  const ok = [location('Bucket photos', 'healthy')]
  assert.deepEqual(safetySentence({ originals: originals({}), locations: ok }), {
    text: 'No originals yet, so nothing to lose.',
    tone: 'good',
  })
  assert.equal(
    safetySentence({ originals: originals({ both: 48_000, localOnly: 213 }), locations: ok }).text,
    '48,213 originals. Every one has a verified copy.',
  )
  assert.deepEqual(safetySentence({ originals: originals({ both: 10, atRisk: 1 }), locations: ok }), {
    text: '1 original of 11 has no verified copy.',
    tone: 'bad',
  })
  assert.deepEqual(
    safetySentence({
      originals: originals({ both: 3 }),
      locations: [location('Bucket photos', 'unhealthy')],
    }),
    {
      text: '3 originals. Every one has a verified copy. Bucket photos is not well.',
      tone: 'warn',
    },
  )
})

test('what is moved, and where to', () => {
  assert.deepEqual(movingSentences([]), [])
  assert.deepEqual(movingSentences([{ to: 's3', label: 'Bucket photos', count: 1200, bytes: 2048 }]), [
    'Moving 1,200 files (2.00 KiB) to Bucket photos',
  ])
})

test('by which strategy uploads go, and whose', () => {
  const rollout = { strategy: 's3-first', percent: 10, namedUsers: 2, chosenUsers: 3, users: 1_200 } as const
  assert.equal(uploadsSentence({ strategy: 's3-first', rollout: null, direct: null }), 'Uploads: s3-first')
  assert.equal(
    uploadsSentence({ strategy: 'local-first', rollout, direct: { isOffered: true, reason: null } }),
    'Uploads: s3-first for 3 of 1,200 users (10 % of them, and 2 by name), local-first for the others; ' +
      'clients may put files straight into the bucket',
  )
  assert.equal(
    uploadsSentence({
      strategy: 'local-first',
      rollout: null,
      direct: { isOffered: false, reason: 'it is away' },
    }),
    'Uploads: local-first; none straight into the bucket: it is away',
  )
})

test('the cache in words', () => {
  const cache = { files: 1200, bytes: 2 ** 30, maxBytes: 2 ** 31, limitBytes: 2 ** 31, isCounted: true }
  assert.equal(cacheSentence(cache), '1.00 GiB of 2.00 GiB, in 1,200 files.')
  assert.match(
    cacheSentence({ ...cache, limitBytes: 1.5 * 2 ** 30 }),
    /of 1\.50 GiB, less than its 2\.00 GiB, because the disk is nearly full/,
  )
  assert.match(cacheSentence({ ...cache, isCounted: false }), /being counted; it may take 2\.00 GiB/)
})

test('one original at risk is seen among a million', () => {
  const parts = barParts(originals({ offloaded: 1_000_000, atRisk: 1 }))
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

test('a proof level has words', () => {
  const words = [null, 0, 1, 2, 3, 4].map(proofInWords)
  assert.equal(new Set(words).size, 6)
  assert.match(proofInWords(4), /SHA-256/)
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
    ['metadataExtraction', 'migration'],
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
  }
  assert.match(
    troubleSentence(place, now),
    /^Photos at https:\/\/s3\.example\.org can't be reached since \d\d:05 \(5 min ago\)\.$/,
  )
  assert.match(troubleSentence({ ...place, isAway: false, since: null }, now), / is not well\.$/)
  assert.match(
    troubleSentence({ ...place, drillEndsAt: '2026-05-04T12:13:20Z' }, now),
    /has been blocked by a drill since \d\d:05 \(5 min ago\); it ends by itself in 4 min\.$/,
  )
  assert.equal(
    effects({ works: ['browsing', 'uploading'], waits: ['opening originals', 'copying'] }),
    'Works: browsing, uploading. Waits: opening originals; copying.',
  )
})
