/** Every awaited step gets a failpoint, and what could not get one stops the matrix. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { instrument } from './failpoints/instrument.ts'
import { instrumentedFiles, PROJECT } from './failpoints/sources.ts'

const idsOf = (source: string) => instrument('src/x.ts', source).points.map(({ id }) => id)

test('each awaited step of a function has a failpoint before and after it', () => {
  const source = `
async function outer(db: Db): Promise<number> {
  const all = await load(await connect(db))
  for await (const row of all.rows<Row>()) await keep(row)
  await using file = await open()
  return (await Promise.all(all.map(async (one) => await count(one)))).length
}
const named = async () => await outer(1 as never)
`
  const { code, points } = instrument('src/x.ts', source)
  assert.deepEqual(
    points.map(({ id }) => id),
    [...Array.from({ length: 8 }, (_, index) => `src/x.ts:outer:${index + 1}`), 'src/x.ts:named:1'],
  )
  assert.equal(code.split('\n').length, source.split('\n').length, 'no line is moved')
  assert.equal(
    instrument('src/x.ts', 'const f = async () => await g()').code,
    'const f = async () => __failpoint.after("src/x.ts:f:1",await (__failpoint.before("src/x.ts:f:1"),g()))',
  )
})

test('a new awaited step is a new failpoint', () => {
  const before = 'async function write() { await put() }'
  const after = 'async function write() { await put(); await sync() }'
  assert.deepEqual(idsOf(before), ['src/x.ts:write:1'])
  assert.deepEqual(idsOf(after), ['src/x.ts:write:1', 'src/x.ts:write:2'])
})

test('an await that gets no failpoint fails, and says where', () => {
  assert.throws(() => idsOf('\nawait put()'), /src\/x\.ts:2: an await outside of any function/)
  assert.throws(
    () => idsOf('async function f() { for (await using x of y) {} }'),
    /src\/x\.ts:1: `for \(await using \.\.\.\)` gets no failpoint/,
  )
  assert.throws(
    () => idsOf('async function f() { for await (await using x of y) {} }'),
    /src\/x\.ts:1: `for await \(await using \.\.\.\)` gets no failpoint/,
  )
})

test('all files of the named folders are instrumented', async () => {
  const files = instrumentedFiles()
  let awaits = 0
  let points = 0
  for (const file of files) {
    const source = await readFile(join(PROJECT, file), 'utf8')
    points += instrument(file, source).points.length
    // Counted in another way than by the walk: comments and texts say "await" as well.
    awaits += source.match(/^(?!\s*(\/\/|\*|\/\*)).*\bawait\b/gm)?.length ?? 0
  }
  assert.ok(points >= awaits, `${points} failpoints in ${files.length} files for ${awaits} lines that await`)
})
