/** What a bucket does wrong for a few requests, and then no more. All of it was seen somewhere. */
import type { Fault, FaultMatch } from 'strict-s3/faults'
import type { Random } from './random.ts'
import type { Bucket } from './world.ts'

type Kind = { name: string; match: FaultMatch; fault: (random: Random) => Fault }

/** Bytes of people, and not the marker and the counter, about which a place may lie once and no more. */
const OURS = /^(users|backups)\//
const READS: FaultMatch = { method: 'GET' }
const WRITES: FaultMatch = { method: 'PUT' }
const LISTS: FaultMatch = { operation: 'ListObjectsV2' }
const GET: FaultMatch = { operation: 'GetObject', key: OURS }

const KINDS: readonly Kind[] = [
  { name: '503', match: {}, fault: () => ({ kind: 'status', status: 503, code: 'SlowDown' }) },
  { name: '500', match: {}, fault: () => ({ kind: 'status', status: 500, code: 'InternalError' }) },
  { name: '500 after the commit', match: WRITES, fault: () => ({ kind: 'commit-then-500' }) },
  { name: '500 after a deletion', match: { method: 'DELETE' }, fault: () => ({ kind: 'commit-then-500' }) },
  { name: 'error in 200', match: { operation: 'CopyObject' }, fault: () => ({ kind: 'error-in-200' }) },
  {
    name: 'error in 200 after the commit',
    match: { operation: 'CopyObject' },
    fault: () => ({ kind: 'error-in-200', commit: true }),
  },
  { name: 'reset', match: {}, fault: () => ({ kind: 'reset' }) },
  { name: 'reset after the commit', match: WRITES, fault: () => ({ kind: 'reset', commit: true }) },
  {
    name: 'request cut',
    match: WRITES,
    fault: (random) => ({ kind: 'cut-request', atByte: random.below(400_000) }),
  },
  {
    name: 'answer cut',
    match: READS,
    fault: (random) => ({ kind: 'cut-response', atByte: random.below(400_000) }),
  },
  { name: 'truncated read', match: GET, fault: () => ({ kind: 'truncate', declare: 'full' }) },
  { name: 'short read that says so', match: GET, fault: () => ({ kind: 'truncate', declare: 'short' }) },
  { name: 'read without a length', match: GET, fault: () => ({ kind: 'truncate', declare: 'none' }) },
  { name: 'flipped read', match: GET, fault: () => ({ kind: 'wrong-bytes' }) },
  { name: 'another range', match: GET, fault: () => ({ kind: 'other-range' }) },
  { name: 'stale 404', match: { key: OURS }, fault: () => ({ kind: 'stale-404' }) },
  { name: 'wrong ETag', match: { key: OURS }, fault: () => ({ kind: 'wrong-etag' }) },
  {
    name: 'truncated listing',
    match: LISTS,
    fault: (random) => ({ kind: 'short-listing', keep: random.below(4) }),
  },
  { name: 'empty listing', match: LISTS, fault: () => ({ kind: 'short-listing', keep: 0 }) },
  {
    name: 'unsorted listing',
    match: LISTS,
    fault: () => ({ kind: 'short-listing', keep: 1_000, isReversed: true }),
  },
  {
    name: 'expired credentials',
    match: {},
    fault: () => ({ kind: 'status', status: 400, code: 'ExpiredToken' }),
  },
  {
    name: 'credentials that are taken away',
    match: {},
    fault: () => ({ kind: 'status', status: 403, code: 'AccessDenied' }),
  },
]

/** Up to three faults at a bucket, for the requests to come; what they are, in words. */
export function addFaults(random: Random, bucket: Bucket): string[] {
  const count = random.below(3) + 1
  return Array.from({ length: count }, () => {
    if (random.isOne(12)) return skewClock(random, bucket)
    const { name, match, fault } = random.pick(KINDS)
    const [after, times] = [random.below(4), random.below(5) + 1]
    bucket.server.faults.add({ match, after, times, fault: fault(random) })
    return `${bucket.id}: ${name}, ${times} times after ${after}`
  })
}

/** Stays until the faults end. */
function skewClock(random: Random, { id, clock }: Bucket): string {
  clock.skewMs = (random.below(120) - 60) * 60_000
  return `${id}: a clock that is ${clock.skewMs / 60_000} min ahead`
}

export function endFaults({ server, clock }: Bucket): void {
  server.faults.clear()
  server.profile.unsortedLists = false
  clock.skewMs = 0
}
