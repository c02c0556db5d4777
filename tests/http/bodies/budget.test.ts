import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBodyBudget } from '../../../src/http/bodies/budget.ts'

function budgetUnderTest(maxBytes: number) {
  const budget = createBodyBudget(maxBytes)
  const givenUp: string[] = []
  const open = (owner: string, name: string) => budget.open(owner, () => givenUp.push(name))
  return { budget, givenUp, open }
}

test('B2: without room, the oldest unfinished body of who holds most is given up, never anybody else', () => {
  const { budget, givenUp, open } = budgetUnderTest(100)
  open('attacker', 'first').grow(40)
  open('attacker', 'second').grow(30)
  const friend = open('friend', 'friend')
  friend.grow(30)
  open('stranger', 'stranger').grow(20)
  assert.deepEqual(givenUp, ['first'])
  assert.equal(budget.heldBytes(), 80)
  open('stranger', 'another').grow(30)
  assert.deepEqual(givenUp, ['first', 'stranger'])
  friend.release()
  friend.release()
  assert.equal(budget.heldBytes(), 60)
})

test('B2: who holds most has no room made for more', () => {
  const { budget, givenUp, open } = budgetUnderTest(100)
  open('friend', 'friend').grow(40)
  const only = open('attacker', 'attacker')
  only.grow(60)
  assert.throws(() => only.grow(1), { code: 'unavailable' })
  assert.equal(budget.heldBytes(), 40)
  assert.deepEqual(givenUp, [])
})

test('a body that is here as a whole is not given up; without room the newcomer is refused', () => {
  const { budget, givenUp, open } = budgetUnderTest(100)
  const whole = open('a', 'whole')
  whole.grow(90)
  whole.complete()
  const next = open('b', 'next')
  assert.throws(() => next.grow(20), { code: 'unavailable' })
  whole.release()
  open('b', 'again').grow(100)
  assert.deepEqual([givenUp, budget.heldBytes()], [[], 100])
})
