import type { Mutation } from './mutation.ts'

const GUARD = 'src/database/migrations/0031-copies-of-each-kind.sql'
const LAST_COPY = 'tests/placement/ledger/last-copy.test.ts'

/** Fences of the database: the last line, whatever the code above it believes. */
export const ofDatabase: Mutation[] = [
  {
    name: 'no-guard-of-last-copies',
    file: GUARD,
    changes: [{ from: 'if remaining < required then', to: 'if false then' }],
    failing: [
      {
        file: LAST_COPY,
        name: 'refused: the only copy; beside one being written; beside a suspect; fewer than the kind keeps',
      },
      { file: LAST_COPY, name: 'refused: both copies in one statement' },
    ],
    why: 'The fence is what keeps the last copy when the code above it is wrong.',
  },
  {
    name: 'racing-evictions-do-not-conflict',
    file: GUARD,
    changes: [
      {
        from: `update stored_object set placement_version = placement_version + 1
      where id = old.object_id returning state, kind, is_linked into object_state, object_kind, is_acknowledged;`,
        to: `select state, kind, is_linked into object_state, object_kind, is_acknowledged
      from stored_object where id = old.object_id for update;`,
      },
    ],
    failing: [{ file: LAST_COPY, name: 'of two racing evictions at most one wins (repeatable read)' }],
    why: 'Under repeatable read each of two evictions counts the copy that the other one gives up.',
  },
  {
    name: 'a-key-is-used-again',
    file: GUARD,
    changes: [
      {
        from: 'insert into used_key (location_id, key) values (new.location_id, new.key);\n    end if;',
        to: 'insert into used_key (location_id, key) values (new.location_id, new.key) on conflict do nothing;\n    end if;',
      },
    ],
    failing: [{ file: LAST_COPY, name: 'a key is used once, ever, also after its replica is gone' }],
    why: 'A deletion that is carried out late would meet the new bytes under the old key.',
  },
  {
    name: 'wrong-write-goes-though-nothing-else-is-left',
    file: GUARD,
    changes: [
      {
        from: "elsif new.removal = 'wrong-bytes' and is_acknowledged and remaining < 1 then",
        to: 'elsif false then',
      },
    ],
    failing: [
      {
        file: LAST_COPY,
        name: 'A1: a write that nobody finished goes for a reason only, and never as the last right bytes may',
      },
    ],
    why: 'What an older ledger takes for unfinished may be all that there is of an acknowledged file.',
  },
  {
    name: 'a-live-object-is-removed-as-decided',
    file: GUARD,
    changes: [{ from: "if new.removal = 'decided' and object_state <> 'purging' then", to: 'if false then' }],
    failing: [{ file: LAST_COPY, name: 'refused: a removal that nobody decided, of a live object' }],
    why: 'Only what its owner has deleted goes without another copy.',
  },
  {
    name: 'what-is-being-given-up-comes-back-unproven',
    file: GUARD,
    changes: [
      {
        from: "if old.state = 'evicting' and new.state = 'verified' and new.proof_level < 3 then",
        to: 'if false then',
      },
    ],
    failing: [{ file: LAST_COPY, name: 'what is being given up comes back by a proof only' }],
    why: 'Its bytes may be gone already; another copy would be given up for nothing.',
  },
  {
    name: 'the-library-refers-to-what-is-purged',
    file: 'src/database/migrations/0024-live-references.sql',
    changes: [{ from: 'if not found then', to: 'if false then' }],
    failing: [
      {
        file: 'tests/database/live-references.test.ts',
        name: 'a file, an original and a profile picture must be live',
      },
    ],
    why: 'A photo would be acknowledged whose bytes are on their way out.',
  },
  {
    name: 'commits-are-acknowledged-before-they-are-on-the-disk',
    file: 'src/database/connect.ts',
    changes: [
      {
        from: "where current_setting('synchronous_commit') = 'off'",
        to: "where current_setting('synchronous_commit') = 'nothing'",
      },
    ],
    failing: [
      {
        file: 'tests/database/acknowledged-commits.test.ts',
        name: 'a commit outlives a crash of a PostgreSQL that commits later by its configuration',
      },
    ],
    why: 'After a crash an acknowledged photo has no row.',
  },
]
