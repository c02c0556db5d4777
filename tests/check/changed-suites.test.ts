import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { suitesOf } from '../changed-suites.ts'

const ROOT = join(import.meta.dirname, '../..')
const SUITES = [
  'packages/strict-s3/tests/listing.test.ts',
  'tests/http/routes/albums.test.ts',
  'tests/http/send/media.test.ts',
  'tests/library/server/sweep.test.ts',
  'tests/placement/reads/serve.test.ts',
  'tests/placement/removal/late-answers.test.ts',
  'tests/queue/worker.test.ts',
  'tests/web/timeline/moves.test.ts',
  'tests/web/zoom.test.ts',
]
const chosen = (...changed: string[]) => suitesOf(changed, SUITES)

test('a changed file has the suites of the folder of its name', () => {
  assert.deepEqual(chosen('src/placement/reads/serve.ts'), {
    suites: ['tests/placement/reads/serve.test.ts'],
    allBecauseOf: null,
  })
  assert.deepEqual(chosen('src/placement/keys.ts').suites, [
    'tests/placement/reads/serve.test.ts',
    'tests/placement/removal/late-answers.test.ts',
  ])
  assert.deepEqual(chosen('packages/strict-s3/src/wire/xml.ts').suites, [
    'packages/strict-s3/tests/listing.test.ts',
  ])
  assert.deepEqual(chosen('web/src/lib/timeline/moves.ts').suites, ['tests/web/timeline/moves.test.ts'])
})

test('where no folder has the name, those of the folder above it', () => {
  assert.deepEqual(chosen('src/library/albums/albums.ts').suites, ['tests/library/server/sweep.test.ts'])
  assert.deepEqual(chosen('web/src/lib/viewer/zoom.ts').suites, [
    'tests/web/timeline/moves.test.ts',
    'tests/web/zoom.test.ts',
  ])
})

test('a changed suite is itself; another file among the tests has the suites of its folder; one that is gone has none', () => {
  assert.deepEqual(chosen('tests/http/send/media.test.ts').suites, ['tests/http/send/media.test.ts'])
  assert.deepEqual(chosen('tests/queue/handlers.ts').suites, ['tests/queue/worker.test.ts'])
  assert.deepEqual(chosen('tests/http/send/gone.test.ts').suites, [])
})

test('several changes have the suites of each, once', () => {
  assert.deepEqual(
    chosen('src/queue/worker/worker.ts', 'tests/queue/worker.test.ts', 'src/http/send/zip.ts').suites,
    ['tests/http/send/media.test.ts', 'tests/queue/worker.test.ts'],
  )
})

test('what is no code has none', () => {
  assert.deepEqual(chosen('README.md', 'docs/storage.md', 'bench/run.ts').suites, [])
})

for (const path of [
  'tests/support/server.ts',
  'tests/run.ts',
  'package.json',
  'package-lock.json',
  'src/database/migrations',
  'src/app.ts',
  'src/jobs/index.ts',
]) {
  test(`${path}: all suites, and it says why`, () => {
    assert.ok(existsSync(join(ROOT, path)), 'or this test is about nothing')
    const changed = path.endsWith('migrations') ? `${path}/0099-more.sql` : path
    assert.deepEqual(chosen('src/queue/worker/worker.ts', changed), { suites: SUITES, allBecauseOf: changed })
  })
}
