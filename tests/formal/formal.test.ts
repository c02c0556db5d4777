/**
 * The model of placement beside this file, explored exhaustively: with all rules no state breaks the promise,
 * and without any one of them one does. README.md says what each run covers. `GLASSINE_TEST_FORMAL=long` adds
 * runs that take minutes and gigabytes.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { buildVerifier, needsSpin, type Verdict, type Verifier } from '../support/services/spin.ts'

type Run = { covers: string; objects?: 2; switches: string; reaches: string[] }

const OWNERS = ['notices_conflict', 'adopts_location', 'settles']
const REMOVALS = ['deletes_local', 'deletes_remote', 'adopts_written', 'returns_to_verified']
const COPIES = ['copy_starts', 'wait_begins', 'wait_is_over', 'compares_token', ...OWNERS]

const WHOLE: Run[] = [
  {
    covers: 'a snapshot put back, at any time and again, with readers, users, damage and losses',
    switches: 'restore outside_loss',
    reaches: [
      'snapshot_is_restored',
      'is_lost_outside',
      'user_deletes',
      'purges_remote',
      ...OWNERS,
      ...REMOVALS,
    ],
  },
  {
    covers: 'a snapshot put back while deletions of a dead process are on their way',
    switches: 'restore late_deletes advance_at_once nobody_deletes',
    reaches: ['snapshot_is_restored', 'deletion_lands', 'old_requests_are_over', ...OWNERS, ...REMOVALS],
  },
  {
    covers: 'the same with keys that no row names: old bytes of class changes, puts that land late',
    switches: 'restore late_deletes strays advance_at_once nobody_deletes',
    reaches: ['changes_class', 'clears_stray', 'adopts_stray', 'deletion_lands', ...OWNERS, ...REMOVALS],
  },
  {
    covers: 'a copy beside the original',
    switches: 'advance_at_once few_moves nobody_deletes',
    reaches: [...COPIES, ...REMOVALS],
  },
  {
    covers: 'a copy, direct uploads, users who delete in either',
    switches: 'advance_at_once only_direct',
    reaches: [
      ...COPIES,
      'direct_upload_is_acknowledged',
      'user_deletes',
      'user_deletes_in_vain',
      'purges_remote',
    ],
  },
  {
    covers: 'two ledgers on one disk',
    switches: 'one_disk advance_at_once few_moves nobody_deletes',
    reaches: [...COPIES, ...REMOVALS],
  },
  {
    covers: 'two objects with the same bytes, and a snapshot put back',
    objects: 2,
    switches: 'restore advance_at_once few_moves only_direct nobody_deletes',
    reaches: ['snapshot_is_restored', 'twin_gives_up', 'deletes_remote', ...OWNERS],
  },
  {
    covers: 'tokens by themselves, advanced in three steps',
    switches: 'only_tokens',
    reaches: [...COPIES, 'waits_anew', 'intends_token', 'advances_token', 'commits_token'],
  },
  {
    covers: 'R1 and R2 alone keep some copy beside two ledgers that know nothing of one another',
    switches: 'without_R3 only_promise nobody_deletes',
    reaches: ['copy_starts', ...REMOVALS],
  },
  {
    covers: 'the same with two objects of the same bytes',
    objects: 2,
    switches: 'without_R3 only_promise few_moves only_direct nobody_deletes',
    reaches: ['copy_starts', 'twin_gives_up', 'deletes_remote'],
  },
]

/** Minutes and gigabytes. */
const LONG: Run[] = [
  {
    covers: 'a copy and users who delete in either',
    switches: 'advance_at_once few_moves',
    reaches: [...COPIES, ...REMOVALS, 'user_deletes_in_vain', 'purges_local', 'purges_remote'],
  },
  {
    covers: 'a copy, readers, damage',
    switches: 'advance_at_once nobody_deletes',
    reaches: [...COPIES, ...REMOVALS, 'bit_flips', 'finds_suspect', 'repair_is_acknowledged'],
  },
  {
    covers: 'a copy while deletions of a dead process are on their way',
    switches: 'advance_at_once few_moves late_deletes nobody_deletes',
    reaches: [...COPIES, ...REMOVALS, 'deletion_lands', 'old_requests_are_over'],
  },
  {
    covers: 'A2 as it was found (uploads through the server) needs R3 only',
    switches: 'advance_at_once few_moves nobody_deletes without_R1',
    reaches: [...COPIES, 'gives_up_written', 'deletes_remote'],
  },
]

/** What leads to the violation, the last move of which is made by `assert`. */
type Removed = { name: string; objects?: 2; switches: string; trace: RegExp }

const REMOVED: Removed[] = [
  {
    name: 'A1: without the look before a removal (R1), a snapshot put back loses an acknowledged original',
    switches: 'restore advance_at_once few_moves nobody_deletes without_R1',
    trace: /snapshot_is_restored.* gives_up_written.* deletes_\w+ PROMISE_IS_BROKEN$/,
  },
  {
    name: 'A2: without one ledger for a bucket (R3), a copy robs the original',
    switches: 'advance_at_once few_moves nobody_deletes without_R3',
    trace: /copy_starts.* deletes_remote ORIGINAL_IS_ROBBED$/,
  },
  {
    name: 'A2: one ledger for a bucket (R3) without the look (R1) loses a direct upload that the copy acknowledges',
    switches: 'advance_at_once only_direct nobody_deletes without_R1',
    trace:
      /copy_starts.* gives_up_written.* direct_upload_is_acknowledged.* deletes_remote PROMISE_IS_BROKEN$/,
  },
  {
    name: 'A3: without a verified copy behind "duplicate", a user deletes the last file',
    switches: 'restore advance_at_once outside_loss nobody_deletes without_duplicate_check',
    trace: /is_lost_outside.* duplicate_is_acknowledged PROMISE_IS_BROKEN$/,
  },
  {
    name: 'F5: without a look now behind "duplicate", it is said of what has just been lost',
    switches: 'restore advance_at_once outside_loss nobody_deletes duplicate_without_look',
    trace: /is_lost_outside.* duplicate_is_acknowledged PROMISE_IS_BROKEN$/,
  },
  {
    name: 'A4: without the look (R1), an answer that was lost and one bit of the local file lose the original',
    switches: 'alone advance_at_once without_R1',
    trace: /answer_is_lost.* bit_flips.* gives_up_written deletes_remote PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R1a: when twins in one bucket stand for one another, two ledgers remove both',
    objects: 2,
    switches: 'without_R3 only_promise few_moves only_direct nobody_deletes without_R1a',
    trace: /twin_gives_up.* twin_gives_up.* PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R2: without the look at the other copy, an eviction removes the last right bytes',
    switches: 'alone advance_at_once without_R2',
    trace: /bit_flips.* turns_\w+ deletes_\w+ PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R3: without the wait, a copy takes the bucket from a living original',
    switches: 'advance_at_once few_moves nobody_deletes without_wait',
    trace: /copy_starts.* deletes_remote ORIGINAL_IS_ROBBED$/,
  },
  {
    name: 'R3a: when an intended token is copied, two ledgers take it for their own',
    switches: 'only_tokens without_R3a',
    trace: /intends_token copy_starts.* advances_token( \w+)*$/,
  },
  {
    name: 'R3b: when the wait ends although the token changed, a copy takes the bucket from a living original',
    switches: 'only_tokens without_R3b',
    trace: /wait_begins advances_token wait_is_over/,
  },
  {
    name: 'R3c: without a period before the first removal, a paused process goes on where a newcomer began',
    switches: 'one_disk advance_at_once few_moves nobody_deletes without_R3c',
    trace: /turns_local.* wait_is_over.* deletes_local.* PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R3c: without it on the own disk, a copy gives up its file for bytes that are not its own yet',
    switches: 'advance_at_once few_moves without_R3c_at_home',
    trace: /turns_local.* deletes_remote.* deletes_local PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R4: without the check before a purge, a decision in a copy removes the bytes of the original',
    switches: 'advance_at_once few_moves without_R4',
    trace: /copy_starts user_deletes_in_vain purges_remote PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R5: without the check of what is read, a reader gets wrong bytes',
    switches: 'alone advance_at_once without_R5',
    trace: /bit_flips READER_GETS_WRONG_BYTES$/,
  },
  {
    name: 'R6: without patience after a start, the deletion of a dead process removes the last copy',
    switches: 'restore late_deletes advance_at_once nobody_deletes without_R6',
    trace: /deletes_remote snapshot_is_restored.* deletes_local deletion_lands PROMISE_IS_BROKEN$/,
  },
  {
    name: 'R6: when the ledger names a key again that it asked to be removed, the late deletion removes the last copy',
    switches: 'alone late_deletes strays advance_at_once nobody_deletes without_R6_for_strays',
    trace: /clears_stray adopts_stray.* deletes_local deletion_lands PROMISE_IS_BROKEN$/,
  },
]

const VIOLATIONS = ['PROMISE_IS_BROKEN', 'ORIGINAL_IS_ROBBED', 'READER_GETS_WRONG_BYTES']

describe('the formal model of placement', { ...(await needsSpin()) }, () => {
  let verifiers: Record<1 | 2, Verifier>
  const taken = new Map<string, number>()

  before(async () => {
    const [one, two] = await Promise.all([buildVerifier(1), buildVerifier(2)])
    verifiers = { 1: one, 2: two }
  })
  after(() => Promise.all(Object.values(verifiers).map((verifier) => verifier.remove())))

  function explore({ objects, switches }: { objects?: 2; switches: string }): Promise<Verdict> {
    return verifiers[objects ?? 1].explore(switches)
  }

  const runs = process.env.GLASSINE_TEST_FORMAL === 'long' ? [...WHOLE, ...LONG] : WHOLE
  describe('with all rules', () => {
    for (const { covers, reaches, ...run } of runs) {
      test(`no state breaks the promise: ${covers}`, async (context) => {
        const verdict = await explore(run)
        context.diagnostic(`${verdict.states} states`)
        assert.deepEqual(verdict.trace, [])
        assert.deepEqual(
          reaches.filter((move) => !verdict.taken.get(move)),
          [],
          'what the run is about was never reached',
        )
        for (const [move, times] of verdict.taken) taken.set(move, (taken.get(move) ?? 0) + times)
      })
    }

    test('every move of the model is made in some run', () => {
      const never = [...taken].filter(([, times]) => times === 0).map(([move]) => move)
      assert.deepEqual(never, VIOLATIONS)
    })
  })

  describe('with one rule less', () => {
    for (const { name, trace, ...run } of REMOVED) {
      test(name, async () => {
        const verdict = await explore(run)
        assert.match(verdict.trace.map((line) => line.replace(/^.*: /, '')).join(' '), trace)
      })
    }
  })

  test('a switch that does not exist is refused', async () => {
    await assert.rejects(explore({ switches: 'without_R7' }), /no such switch: without_R7/)
  })
})
