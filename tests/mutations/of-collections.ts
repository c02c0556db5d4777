import type { Mutation } from './mutation.ts'

const ITEMS = 'src/placement/collect/items.ts'
const JUDGE = 'src/placement/collect/judge.ts'
const COLLECT = 'tests/placement/collect/collect.test.ts'
const UNREAD = 'tests/placement/collect/unread-catalogue.test.ts'
const SENTINEL = 'tests/placement/collect/sentinel.test.ts'

/** When files that nothing names may go. */
export const ofCollections: Mutation[] = [
  {
    name: 'collected-without-a-sentinel',
    file: 'src/placement/collect/collect-due.ts',
    changes: [{ from: 'if (!(await listsItsMarker(placement, location)))', to: 'if (placement === null)' }],
    failing: [
      {
        file: COLLECT,
        name: 'nothing is removed where the location stops listing its own marker before a batch',
      },
    ],
    why: 'Another bucket or prefix is full of files that this ledger does not know.',
  },
  {
    name: 'sightings-without-a-sentinel',
    file: 'src/placement/listing/listing-runs.ts',
    changes: [{ from: 'row.is_sound && showsEnough(row)', to: 'row.is_sound || showsEnough(row)' }],
    failing: [
      {
        file: SENTINEL,
        name: 'a listing that does not show the marker of its location is no sighting, at its beginning or at its end',
      },
    ],
    why: 'What another place lists says nothing of this one.',
  },
  {
    name: 'young-files-are-offered',
    file: JUDGE,
    changes: [
      { from: 'when lived_since(s.last_modified) <', to: 'when false and lived_since(s.last_modified) <' },
    ],
    failing: [
      {
        file: COLLECT,
        name: 'a file that is younger than the age limit is kept, in the plan and when its time has come',
      },
    ],
    why: 'A writer may be at work whose row comes a moment later.',
  },
  {
    name: 'young-files-are-collected',
    file: ITEMS,
    changes: [{ from: 'and lived_since(i.last_modified) >=', to: 'or lived_since(i.last_modified) >=' }],
    failing: [
      {
        file: COLLECT,
        name: 'a file that is younger than the age limit is kept, in the plan and when its time has come',
      },
    ],
    why: 'The age limit may have been raised since it was decided.',
  },
  {
    name: 'collected-after-one-sighting',
    file: JUDGE,
    changes: [
      { from: 'when s.sightings < 2', to: 'when s.sightings < 1' },
      { from: '24 * 3_600_000', to: '-1' },
    ],
    failing: [
      {
        file: COLLECT,
        name: 'a file that was seen once, or twice within a day, or changed in between is kept',
      },
    ],
    why: 'One listing may be wrong, or may have seen a write in between.',
  },
  {
    name: 'collected-without-a-look-at-the-rows',
    file: ITEMS,
    changes: [
      {
        from: 'const IS_NAMED = namesKeySql(sql`i.location_id`, sql`i.key`)',
        to: 'const IS_NAMED = sql<boolean>`false`',
      },
    ],
    failing: [
      {
        file: COLLECT,
        name: 'a file that something names by now is kept, and so is one that becomes a replica while it waits',
      },
    ],
    why: 'Within the hold time something may have begun to use the key.',
  },
  {
    name: 'last-copies-are-collected',
    file: ITEMS,
    changes: [{ from: "(i.upload_id = '' and i.kind = any(", to: "(i.upload_id = '?' and i.kind = any(" }],
    failing: [
      {
        file: COLLECT,
        name: 'the bytes of a file that has lost its copy become that copy, and are never removed',
      },
    ],
    why: 'What nothing names may hold the only bytes of a photo that are left.',
  },
  {
    name: 'changed-files-are-collected',
    file: 'src/placement/removal/remove-stray.ts',
    changes: [{ from: 'if (!isSame(location, stray, held))', to: 'if (held.size < 0)' }],
    failing: [
      {
        file: COLLECT,
        name: 'a file that was changed between the decision and its removal is kept, and shown',
      },
    ],
    why: 'Nobody has decided about the file that lies there now.',
  },
  {
    name: 'decisions-outlive-a-takeover',
    file: ITEMS,
    changes: [{ from: "a.state = 'running' or a.finished_at >= c.decided_at", to: "a.state = 'running'" }],
    failing: [{ file: SENTINEL, name: 'a decision from before a takeover is not carried out' }],
    why: 'Another state of the ledger may have put the files to use.',
  },
  {
    name: 'collected-though-a-catalogue-is-unread',
    file: ITEMS,
    changes: [{ from: 'if (mayBeNamed && (await', to: 'if (!mayBeNamed && (await' }],
    failing: [{ file: UNREAD, name: 'a catalogue that appears after the decision keeps what was decided' }],
    why: 'A location with the catalogue of a later state may be attached while the decision waits.',
  },
]
