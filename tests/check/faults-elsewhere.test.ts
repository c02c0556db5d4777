/** The table of docs/durability.md: each fault that was seen elsewhere has a test, which exists. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileNamesTest } from '../support/runner/test-names.ts'

const ROOT = join(import.meta.dirname, '../..')
const HEADING = '## Faults seen elsewhere'

test('each fault that was seen elsewhere names a test that exists', () => {
  const page = readFileSync(join(ROOT, 'docs/durability.md'), 'utf8')
  const section = page.slice(page.indexOf(HEADING) + HEADING.length).split('\n## ')[0]!
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| (-+|what happened) /.test(line))
  assert.ok(rows.length >= 30, `only ${rows.length} rows`)
  for (const row of rows) {
    const cells = row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, ''))
    assert.equal(cells.length, 3, row)
    const [what, file, name] = cells as [string, string, string]
    assert.ok(fileNamesTest(join(ROOT, file), name), `${what}: no test in ${file} is called "${name}"`)
  }
})
