import type { Mutation } from './mutation.ts'

const RESTORED = 'tests/placement/removal/restored-ledger.test.ts'
const LISTING = 'tests/placement/listing/check-listing.test.ts'
const RECORD = 'src/placement/locations/counter/record.ts'

/** Whether a place is the one that the ledger knows, and what is believed of its answers. */
export const ofLocations: Mutation[] = [
  {
    name: 'another-ledger-is-not-noticed',
    file: RECORD,
    changes: [
      {
        from: "return held.value < row.value ? 'older-place' : 'another-ledger'",
        to: "return 'own'",
      },
    ],
    failing: [
      {
        file: RESTORED,
        name: 'A1: a snapshot that is older than a minute is known for one: nothing is written or removed until somebody decides',
      },
      {
        file: RESTORED,
        name: 'A2: a copy of the installation is started beside it: it waits, sees the original, and removes nothing',
      },
    ],
    why: 'An older database would remove what it does not know.',
  },
  {
    name: 'a-conflict-that-is-known-is-ignored',
    file: 'src/placement/locations/counter/conflict.ts',
    changes: [{ from: 'if (conflict !== null) throw', to: "if (conflict === ('nothing' as string)) throw" }],
    failing: [
      {
        file: 'tests/placement/removal/set-back-clock.test.ts',
        name: 'who finds a conflict in the ledger, while an earlier look at the place is good, owns it no more',
      },
    ],
    why: 'What one process found out has to stop all the others.',
  },
  {
    name: 'the-marker-is-ignored',
    file: RECORD,
    changes: [
      {
        from: 'if (marker === recorded && (held?.marker ?? recorded) === recorded) return',
        to: 'if (isAsked !== null) return',
      },
    ],
    failing: [
      {
        file: 'tests/placement/lifecycle/offload.test.ts',
        name: 'a media location whose mount is missing is refused, not written beside',
      },
    ],
    why: 'Photos would be written into the folder below a missing mount.',
  },
  {
    name: 'an-address-that-was-changed-is-the-same-place',
    file: 'src/placement/locations/locations.ts',
    changes: [
      {
        from: 'if (isKnown && recorded.identity !== location.identity) {',
        to: 'if (isKnown && recorded.identity === location.identity && marker404) {',
      },
      {
        from: 'const isKnown = recorded !== undefined',
        to: 'const marker404 = false\n  const isKnown = recorded !== undefined',
      },
    ],
    failing: [
      {
        file: 'tests/placement/lifecycle/offload.test.ts',
        name: 'a bucket that became another one is refused before the first write',
      },
    ],
    why: 'All copies of the first bucket would be looked for in the second.',
  },
  {
    name: 'a-listing-is-believed-without-asking',
    file: 'src/placement/listing/check-listing.ts',
    changes: [
      {
        from: 'const held = await backend.head(replica.key)',
        to: 'const held = listed === null ? null : await backend.head(replica.key)',
      },
    ],
    failing: [
      {
        file: LISTING,
        name: 'A5: a listing that leaves out hundreds of files that are there is given up, not asked after one by one',
      },
    ],
    why: 'Truncated and empty listings would end every copy of a bucket.',
  },
  {
    name: 'what-is-missing-at-another-bucket-is-missing',
    file: 'src/placement/listing/check-listing.ts',
    changes: [
      {
        from: '  await confirmLocationNow(placement, location.id)\n  for (const { replica, isMissing, reason } of bad) {',
        to: '  for (const { replica, isMissing, reason } of bad) {',
      },
    ],
    failing: [
      {
        file: LISTING,
        name: 'A5: the place changes while it is listed: what was found missing is forgotten again',
      },
    ],
    why: 'A bucket that was swapped for a while would end every copy of the right one.',
  },
  {
    name: 'a-listing-in-no-order-is-taken-as-it-comes',
    file: 'src/placement/listing/list-location.ts',
    changes: [
      {
        from: 'if (page[0] !== undefined && compareKeys(page[0].key, last) <= 0)',
        to: 'if (page[0] === null)',
      },
    ],
    failing: [
      {
        file: 'tests/placement/listing/list-location.test.ts',
        name: 'A5: a listing in no order at all is refused, and nothing is taken for missing',
      },
    ],
    why: 'What comes late in an unsorted listing would be taken for missing.',
  },
  {
    name: 'a-missing-bucket-has-lost-its-files',
    file: 'src/storage/s3/requests/errors.ts',
    changes: [
      {
        from: "NoSuchBucket: {\n    kind: 'unavailable',",
        to: "NoSuchBucket: {\n    kind: 'not-found',",
      },
    ],
    failing: [
      {
        file: 'tests/storage/s3/faults.test.ts',
        name: 'a bucket that is not there is unavailable, never "not found": its objects are not known to be lost',
      },
    ],
    why: 'A mistake in the name of a bucket would end every copy in it.',
  },
  {
    name: 'a-404-of-head-is-believed-of-a-missing-bucket',
    file: 'src/storage/s3/reads/read.ts',
    changes: [{ from: '    await bucket.assertPresent(signal)\n', to: '' }],
    failing: [
      {
        file: 'tests/storage/s3/faults.test.ts',
        name: 'a bucket that is not there is unavailable, never "not found": its objects are not known to be lost',
      },
    ],
    why: 'HEAD has no body: a missing bucket answers it as a missing file does.',
  },
  {
    name: 'a-missing-mount-has-lost-its-files',
    file: 'src/storage/disk/mount.ts',
    changes: [{ from: 'if (id !== seen.id) {', to: "if (id === 'nothing') {" }],
    failing: [
      {
        file: 'tests/storage/disk/faults.test.ts',
        name: 'a mount that goes away while we run: nothing is "not found", nothing is written beside it',
      },
    ],
    why: 'Every photo of the disk would be taken for lost, and new ones written beside it.',
  },
  {
    name: 'a-read-at-another-bucket-makes-copies-suspect',
    file: 'src/placement/replica-io/mark-bad.ts',
    changes: [
      {
        from: '  forgetLook(placement, location)\n  await confirmLocation(placement, location)',
        to: '  await confirmLocation(placement, location)',
      },
    ],
    failing: [
      {
        file: 'tests/placement/locations/counter-attacks.test.ts',
        name: 'a read at another bucket of the same name makes nothing suspect',
      },
    ],
    why: 'A look that is a minute old knows nothing of the bucket that answers now.',
  },
]
