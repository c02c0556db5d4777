import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { wantedPlaces } from '../../src/placement/belonging.ts'
import {
  afterMove,
  CAMPAIGN_OBJECT_STATES,
  type CampaignObjectState,
  OBJECT_MOVES,
  type ObjectMove,
  placesAfter,
  placesMeanwhile,
} from '../../src/placement/migration/object-states.ts'
import {
  actionsIn,
  afterAction,
  afterEnd,
  isRunning,
  type Phase,
  type PhaseAction,
} from '../../src/placement/migration/phases.ts'
import { everyLocation } from '../../src/placement/policy.ts'
import { policyOf } from '../support/placement.ts'
import { testDatabase } from '../support/postgres.ts'

const MOVES = Object.keys(OBJECT_MOVES) as ObjectMove[]
const STATES = CAMPAIGN_OBJECT_STATES
const PLACES = ['local', 'a', 'b', 'c']

test('whatever is asked in whatever order, nothing is reclaimed that was not proven and held', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...MOVES), { maxLength: 40 }), (moves) => {
      let state: CampaignObjectState = 'pending'
      let wasHeld = false
      for (const move of moves) {
        const next = afterMove(state, move)
        if (next === null) continue
        if (next === 'held' || next === 'kept') wasHeld = true
        if (next === 'reclaimed') assert.ok(wasHeld && state === 'reclaiming')
        assert.ok(!['reclaimed', 'returned', 'gone'].includes(state), `${state} is an end`)
        if (next === 'pending') wasHeld = false
        state = next
      }
    }),
  )
})

type Asked = PhaseAction | 'end'
const asked = fc.constantFrom<Asked>(
  'check',
  'rehearse',
  'start',
  'reclaim',
  'roll-back',
  'cancel',
  'retry',
  'end',
)

test('no phase gives anything up before a dry run, a rehearsal without failures, copying, and a hold', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(asked, fc.nat({ max: 2 }), fc.nat({ max: 2 })), { maxLength: 60 }),
      (events) => {
        let phase: Phase = 'proposed'
        let passed: Phase[] = []
        for (const [event, failedSamples, kept] of events) {
          const next: Phase | null =
            event === 'end' ? afterEnd(phase, { failedSamples, kept }) : afterAction(phase, event)
          if (next === null) continue
          if (phase === 'rehearsing' && failedSamples > 0) assert.equal(next, 'checked')
          // A new dry run counts all anew.
          passed = next === 'checking' ? ['checking'] : [...passed, next]
          if (next === 'reclaiming')
            for (const before of ['checked', 'rehearsed', 'copying', 'holding'] as const)
              assert.ok(passed.includes(before), `${before} is missing in ${passed.join(', ')}`)
          if (next === 'done' || next === 'rolled-back') assert.equal(kept, 0)
          phase = next
        }
        if (['done', 'rolled-back', 'cancelled'].includes(phase)) assert.deepEqual(actionsIn(phase), [])
        if (isRunning(phase)) assert.notEqual(afterEnd(phase, { failedSamples: 0, kept: 0 }), null)
      },
    ),
  )
})

const some = (minLength: number) => fc.subarray(PLACES, { minLength })

test('both copies are wanted meanwhile, and afterwards the new one and what does not leave', () => {
  fc.assert(
    fc.property(some(1), some(0), some(1), (before, from, to) => {
      const way = { fromIds: from.filter((id) => !to.includes(id)), toIds: to }
      const meanwhile = placesMeanwhile(before, way)
      const after = placesAfter(before, way)
      for (const id of [...before, ...after]) assert.ok(meanwhile.includes(id))
      for (const id of way.fromIds) assert.ok(!after.includes(id))
      for (const id of [...to, ...before.filter((one) => !way.fromIds.includes(one))])
        assert.ok(after.includes(id))
      assert.equal(new Set(after).size, after.length)
      assert.deepEqual(after.slice(0, to.length), to)
    }),
  )
})

const LONG_AGO = new Date(1_000)
const NOW = new Date(2_000)

test('an assignment never leaves an object with fewer places than copies that are kept', () => {
  fc.assert(
    fc.property(
      some(1),
      some(1),
      some(0),
      some(1),
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom(LONG_AGO, NOW),
      (policyAt, assignedTo, drained, configured, given, at) => {
        const policy = policyOf(policyAt)
        const enough = Math.min(given, policyAt.length)
        const wanted = wantedPlaces(
          { kind: 'original', createdAt: LONG_AGO, assigned: { to: assignedTo, at } },
          {
            policy,
            minCopies: { ...everyLocation(policy), original: enough },
            belonging: { drained, kinds: { original: { since: NOW, held: null } } },
            locations: new Map(configured.map((id) => [id, id])),
          },
        )
        const isByPolicy = wanted.join() === policyAt.join()
        assert.ok(wanted.length >= enough)
        if (at < NOW) assert.ok(isByPolicy, 'it is older than the configuration')
        else if (!isByPolicy)
          for (const id of wanted)
            assert.ok(assignedTo.includes(id) && configured.includes(id) && !drained.includes(id))
      },
    ),
  )
})

test('the database allows the same moves', async () => {
  const { pool, drop } = await testDatabase()
  try {
    await pool.query(`insert into campaign (id, actor, reason, kinds, from_ids, to_ids)
      values ('00000000-0000-0000-0000-000000000001', 'test', 'asked', '{original}', '{a}', '{b}')`)
    const allowed = new Set(
      Object.values(OBJECT_MOVES).flatMap(({ from, to }) => from.map((one: string) => `${one} ${to}`)),
    )
    for (const from of STATES) {
      for (const to of STATES) {
        if (from === to) continue
        await pool.query('delete from campaign_object')
        await pool.query(
          `insert into campaign_object (campaign_id, object_id, kind, size, state)
            values ('00000000-0000-0000-0000-000000000001', gen_random_uuid(), 'original', 1, $1)`,
          [from],
        )
        const isAllowed = await pool.query('update campaign_object set state = $1', [to]).then(
          () => true,
          (error: { code?: string }) => error.code !== 'GL001',
        )
        assert.equal(isAllowed, allowed.has(`${from} ${to}`), `${from} -> ${to}`)
      }
    }
  } finally {
    await drop()
  }
})
