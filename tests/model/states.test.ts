import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { everyLocation, nextSteps, type PlacedReplica } from '../../src/placement/policy.ts'
import { mayEvict, nextState, type ReplicaEvent, type ReplicaState } from '../../src/placement/states.ts'
import { policyOf } from '../support/placement.ts'

const STATES: (ReplicaState | 'absent')[] = ['absent', 'writing', 'verified', 'suspect', 'evicting']
const EVENTS: ReplicaEvent[] = [
  'begin',
  'proven',
  'abandoned',
  'found-bad',
  'found-good',
  'evict',
  'gone',
  'purge',
]

test('only proof makes a replica count, and nothing comes back from evicting', () => {
  for (const from of STATES) {
    for (const event of EVENTS) {
      const to = nextState(from, event)
      if (to === 'verified') assert.ok(event === 'proven' || event === 'found-good', `${from} ${event}`)
      if (from === 'evicting') assert.ok(to === null || to === 'absent')
      if (to === 'absent')
        assert.equal(from, 'evicting', 'bytes go only where nothing can be proven any more')
    }
  }
})

test('the last verified copy of a live object is never evicted, that of a purging one may be', () => {
  assert.equal(mayEvict('live', 0, 1), false)
  assert.equal(mayEvict('live', 1, 1), true)
  assert.equal(mayEvict('live', 1, 2), false)
  assert.equal(mayEvict('purging', 0, 1), true)
})

const replica: fc.Arbitrary<PlacedReplica> = fc.record({
  locationId: fc.constantFrom('local', 's3', 'archive'),
  state: fc.constantFrom<ReplicaState>('writing', 'verified', 'suspect', 'evicting'),
  proofLevel: fc.option(fc.integer({ min: 0, max: 4 })),
  // As far as the ledger's times go; a hold beyond the last date that JavaScript knows would be none.
  verifiedAt: fc.option(fc.date({ min: new Date(0), max: new Date('2200-01-01'), noInvalidDate: true })),
})

test('no step evicts while fewer wanted replicas than required are there and well proven', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(replica, { selector: ({ locationId }) => locationId }),
      fc.subarray(['local', 's3', 'archive'], { minLength: 1 }),
      fc.integer({ min: 1, max: 3 }),
      (replicas, wanted, given) => {
        const enough = Math.min(given, wanted.length)
        const policy = policyOf(wanted)
        const minCopies = { ...everyLocation(policy), original: enough }
        const rules = { policy, minCopies, holdMs: 1000, keepLocal: null }
        const steps = nextSteps({ state: 'live', kind: 'original' }, replicas, rules)
        const home = replicas.filter(
          ({ locationId, state, proofLevel }) =>
            wanted.includes(locationId) && state === 'verified' && (proofLevel ?? 0) >= 3,
        )
        for (const step of steps) {
          if (step.do !== 'evict') continue
          assert.ok(!wanted.includes(step.from), 'a wanted replica is not evicted')
          assert.ok(home.length >= enough)
          for (const { verifiedAt } of home)
            assert.ok(step.notBefore.getTime() >= (verifiedAt?.getTime() ?? 0) + 1000, 'the hold')
        }
        if (!replicas.some(({ state }) => state === 'verified')) return
        for (const id of wanted) {
          if (replicas.some(({ locationId, state }) => locationId === id && state === 'verified')) continue
          assert.ok(
            steps.some((step) => step.do === 'replicate' && step.to === id),
            'what is missing is made, however many there are',
          )
        }
      },
    ),
  )
})

test('with fewer copies than locations required, the source stays for an hour for those that are missing', () => {
  const verifiedAt = new Date()
  const policy = policyOf(['s3', 'nas'])
  const at = (locationId: string): PlacedReplica => ({
    locationId,
    state: 'verified',
    proofLevel: 4,
    verifiedAt,
  })
  const rules = { policy, minCopies: { ...everyLocation(policy), original: 1 }, holdMs: 0, keepLocal: null }
  const object = { state: 'live', kind: 'original' } as const
  assert.deepEqual(nextSteps(object, [at('local'), at('s3')], rules), [
    { do: 'replicate', to: 'nas' },
    { do: 'evict', from: 'local', notBefore: new Date(verifiedAt.getTime() + 3_600_000) },
  ])
  assert.deepEqual(nextSteps(object, [at('local'), at('s3'), at('nas')], rules), [
    { do: 'evict', from: 'local', notBefore: verifiedAt },
  ])
  assert.deepEqual(
    nextSteps(object, [at('local'), at('s3')], { ...rules, minCopies: everyLocation(policy) }),
    [{ do: 'replicate', to: 'nas' }],
  )
})

test('an object that is where it belongs has no next step', () => {
  const verifiedAt = new Date()
  const policy = policyOf(['s3'])
  const rules = { policy, minCopies: everyLocation(policy), holdMs: 0, keepLocal: null }
  const at = (locationId: string): PlacedReplica => ({
    locationId,
    state: 'verified',
    proofLevel: 3,
    verifiedAt,
  })
  assert.deepEqual(nextSteps({ state: 'live', kind: 'original' }, [at('s3')], rules), [])
  assert.deepEqual(nextSteps({ state: 'live', kind: 'thumbnail' }, [at('local')], rules), [])
  assert.deepEqual(nextSteps({ state: 'live', kind: 'original' }, [at('local')], rules), [
    { do: 'replicate', to: 's3' },
  ])
  assert.deepEqual(
    nextSteps({ state: 'live', kind: 'original' }, [at('local'), at('s3')], { ...rules, keepLocal: 'local' }),
    [],
  )
  assert.deepEqual(nextSteps({ state: 'purging', kind: 'original' }, [at('local')], rules), [{ do: 'purge' }])
})

test('with no verified replica there is nothing to copy from, and no busy loop', () => {
  const policy = policyOf(['s3'])
  const rules = { policy, minCopies: everyLocation(policy), holdMs: 0, keepLocal: null }
  const suspect: PlacedReplica = { locationId: 's3', state: 'suspect', proofLevel: 3, verifiedAt: null }
  assert.deepEqual(nextSteps({ state: 'live', kind: 'original' }, [suspect], rules), [])
})
