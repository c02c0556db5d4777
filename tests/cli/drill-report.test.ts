import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isGood } from '../../src/cli/backups/drill.ts'
import { emptyCatalogueReport } from '../../src/placement/catalogue/adoption-state.ts'

test('a drill is good only when nothing is missing and all of the catalogue could be read', () => {
  const later = emptyCatalogueReport()
  const good = { assets: 2, found: 2, later }
  assert.equal(isGood(good), true)
  assert.equal(isGood({ ...good, found: 1 }), false)
  for (const wrong of [
    { missing: 1 },
    { refused: { count: 1, examples: [] } },
    { unusable: [{ location: 's3', key: 'x', reason: 'it ends early' }] },
  ])
    assert.equal(isGood({ ...good, later: { ...later, ...wrong } }), false, JSON.stringify(wrong))
})
