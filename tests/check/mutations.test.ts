/** The mistakes that the suite must notice still fit the product, and their tests exist. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { mutate } from '../mutations/mutation.ts'
import { MUTATIONS } from '../mutations/mutations.ts'
import { fileNamesTest, namesTest } from '../support/runner/test-names.ts'

const ROOT = join(import.meta.dirname, '../..')

test('each mutation has a name of its own, a reason, and stands in its file exactly once', () => {
  const names = MUTATIONS.map(({ name }) => name)
  assert.deepEqual(
    names.filter((name, at) => names.indexOf(name) !== at),
    [],
  )
  for (const mutation of MUTATIONS) {
    assert.match(mutation.name, /^[a-z0-9]+(-[a-z0-9]+)+$/)
    assert.match(mutation.why, /^[A-Z].*\.$/, mutation.name)
    const text = readFileSync(join(ROOT, mutation.file), 'utf8')
    assert.notEqual(mutate(text, mutation), text, mutation.name)
  }
})

test('each mutation names tests that exist', () => {
  for (const { name, failing } of MUTATIONS) {
    assert.ok(failing.length > 0, name)
    for (const one of failing) {
      assert.ok(readFileSync(join(ROOT, one.file), 'utf8').includes('test'), one.file)
      const isThere = fileNamesTest(join(ROOT, one.writtenIn ?? one.file), one.name)
      assert.ok(isThere, `${name}: no test in ${one.writtenIn ?? one.file} is called ${one.name}`)
    }
  }
})

test('a change that does not fit, or fits twice, is refused', () => {
  const changes = [{ from: 'a', to: 'b' }]
  assert.equal(mutate('xay', { file: 'f', changes }), 'xby')
  assert.throws(() => mutate('xy', { file: 'f', changes }), /0 times instead of once/)
  assert.throws(() => mutate('aa', { file: 'f', changes }), /2 times instead of once/)
})

test('the names of tests are read out of their files', () => {
  const text = [
    "test('plain', () => {})",
    'test("it\'s quoted", () => {})',
    ['test(`made of ', '{what} and ', '{size} bytes`, () => {})'].join('$'),
    "  test(\n    'on a line of its own',",
    "latest('not a test')",
  ].join('\n')
  for (const name of ['plain', "it's quoted", 'made of this and 7 bytes', 'on a line of its own'])
    assert.ok(namesTest(text, name), name)
  for (const name of ['plai', 'not a test', 'made of and bytes']) assert.ok(!namesTest(text, name), name)
})
