/**
 * A part of the crash matrix that is small enough for every run; `npm run test:crash -- --all` runs all of
 * it. Which cases come is decided by the seed, which `CRASH_SEED` names.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openMatrix } from './matrix.ts'
import { newlyUnreached, readUnreached, unreachedOf } from './unreached.ts'

const SEED = process.env.CRASH_SEED ?? 'one'
const CASES = Number(process.env.CRASH_CASES ?? 10)

test('kills at awaited steps lose nothing that was acknowledged, and leave nothing halfway', {
  timeout: 900_000,
}, async (t) => {
  // Each scenario is run without a kill first, and checked like a case.
  const matrix = await openMatrix({ lanes: 1 })
  t.after(() => matrix.close())

  const found = newlyUnreached(unreachedOf(matrix), readUnreached())
  assert.deepEqual(
    found,
    [],
    'a new awaited step needs a scenario that comes to it (tests/crash/matrix/scenarios), or a place in the list of those that none reaches: npm run test:crash -- --limit 1 --note-unreached',
  )

  const cases = matrix.cases(SEED).slice(0, CASES)
  const results = await matrix.run(cases, {})
  t.diagnostic(`seed ${SEED}: ${JSON.stringify(results.map(({ id, outcome }) => `${outcome} ${id}`))}`)
  const failed = results.filter(({ outcome }) => outcome === 'failed')
  assert.deepEqual(failed, [], `seed ${SEED}`)
  const passed = results.filter(({ outcome }) => outcome === 'passed').length
  assert.ok(passed >= CASES / 2, `only ${passed} of ${CASES} processes came to their step`)
})
