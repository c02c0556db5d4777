import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { LONGEST_FILES, longestFirst } from '../file-order.ts'

const ROOT = join(import.meta.dirname, '../..')

test('the longest files begin first, in the order of the list; each of the others comes once, as given', () => {
  const [longest, second] = LONGEST_FILES as [string, string]
  const given = ['packages/a.test.ts', second, 'tests/b.test.ts', longest, 'tests/c.test.ts']
  const rest = ['packages/a.test.ts', 'tests/b.test.ts', 'tests/c.test.ts']
  assert.deepEqual(longestFirst(given), [longest, second, ...rest])
  assert.deepEqual(longestFirst(rest), rest)
})

test('every file of the list is there, and is there once', () => {
  assert.deepEqual(
    LONGEST_FILES.filter((file) => !existsSync(join(ROOT, file))),
    [],
  )
  assert.equal(new Set(LONGEST_FILES).size, LONGEST_FILES.length)
})
