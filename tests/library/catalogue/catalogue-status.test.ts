/** What people are told of the catalogue: how old it is, where it is, and what waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogueStatus } from '../../../src/library/catalogue/catalogue-status.ts'
import { writeCatalogue } from '../../../src/library/catalogue/write-catalogue.ts'
import { catalogueSentences } from '../../../src/library/server/words/catalogue-words.ts'
import { openInstallation } from './support.ts'

test('a batch counts when it is verified wherever the catalogue belongs, and what waits is told', async (t) => {
  const one = await openInstallation(t, { buckets: ['s3', 'second'] })
  const status = async () => (await catalogueStatus(one.placement))!
  const said = async () => catalogueSentences(await status(), one.placement.now())
  const anna = await one.user()
  await one.upload(anna.id)
  const before = await status()
  assert.deepEqual([before.newest, before.batches, before.isLate], [null, 0, false])
  assert.notEqual(before.waitingSince, null)
  assert.match((await said())[0]!.text, /no catalogue yet/)

  await one.write()
  const { newest, waitingSince, batches, texts } = await status()
  assert.deepEqual([newest?.locations, waitingSince, batches, texts], [['s3', 'second'], null, 1, 1])
  assert.match((await said())[0]!.text, /at s3 and second holds every change\.$/)

  await one.upload(anna.id)
  await writeCatalogue(one, { isNow: true })
  const written = await status()
  assert.equal(written.newest?.madeAt, newest?.madeAt, 'the second batch is on this disk only')
  assert.notEqual(written.waitingSince, null)
  assert.deepEqual(
    (await said()).map(({ tone }) => tone),
    ['plain'],
  )
  await one.pool.query(
    "update catalogue_batch set made_at = now() - interval '32 minutes' where not is_snapshot",
  )
  assert.equal((await status()).isLate, true)
  const [late] = await said()
  assert.equal(late!.tone, 'warn')
  assert.match(late!.text, /lacks what changed since 32 minutes ago/)
})

test('where no catalogue is kept, nothing is said', async (t) => {
  const one = await openInstallation(t, { everyMs: 0 })
  assert.equal(await catalogueStatus(one.placement), null)
  assert.deepEqual(catalogueSentences(null, new Date()), [])
})
