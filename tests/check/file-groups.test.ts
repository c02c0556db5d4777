import assert from 'node:assert/strict'
import { test } from 'node:test'
import { groupFiles } from '../file-groups.ts'
import { LONGEST_FILES } from '../file-order.ts'

const ORDINARY = "import { test } from 'node:test'\ntest('a', () => undefined)\n"
const names = (count: number, folder = 'tests/library') =>
  Array.from({ length: count }, (_, at) => `${folder}/${String(at).padStart(2, '0')}.test.ts`)

test('files of a folder share processes of seven; each is in one of them, and in the order that was given', () => {
  const files = [...names(16), ...names(2, 'tests/http/access'), ...names(1, 'tests/http/send')]
  const groups = groupFiles(files, () => ORDINARY)
  assert.deepEqual(
    groups.map(({ files: held }) => held.length),
    [7, 7, 2, 2, 1],
  )
  assert.deepEqual(
    groups.flatMap(({ files: held }) => held),
    files,
  )
  assert.equal(new Set(groups.map(({ name }) => name)).size, groups.length)
})

for (const [why, source] of [
  ['has a hook for all tests', 'beforeEach(async () => undefined)\n'],
  ['changes the environment', "  process.env.GLASSINE_X = 'a'\n"],
  ['removes of it', '  delete process.env.GLASSINE_X\n'],
  ['measures the memory of the process', '  const { rss } = process.memoryUsage()\n'],
])
  test(`a file that ${why} is alone`, () => {
    const [one, two, three] = names(3) as [string, string, string]
    const groups = groupFiles([one, two, three], (file) => (file === two ? ORDINARY + source : ORDINARY))
    assert.deepEqual(
      groups.map(({ files }) => files),
      [[one, three], [two]],
    )
    assert.equal(groups[1]!.name, two)
  })

test('so are the longest files, and those of the folders of killed programs', () => {
  const files = [...LONGEST_FILES.slice(0, 2), ...names(2, 'tests/crash')]
  const groups = groupFiles(files, () => ORDINARY)
  assert.deepEqual(
    groups.map(({ name }) => name),
    files,
  )
})

test('a hook in a suite, and one for the end, forbid nothing', () => {
  const source = `${ORDINARY}after(() => undefined)\ndescribe('b', () => {\n  beforeEach(() => undefined)\n})\n`
  assert.equal(groupFiles(names(3), () => source).length, 1)
})
