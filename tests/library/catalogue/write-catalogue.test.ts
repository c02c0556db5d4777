/** What goes into the catalogue, when, and with how many requests. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  adoptCatalogue,
  beginCatalogueAdoption,
  noteCatalogueAdoption,
} from '../../../src/library/catalogue/adoption/adopt-catalogue.ts'
import { writeCatalogue } from '../../../src/library/catalogue/write-catalogue.ts'
import { isCatalogueKey } from '../../../src/placement/keys.ts'
import { untilLockIsAwaited } from '../../support/database/lock-waits.ts'
import { type Installation, openInstallation } from './support.ts'

type Line = Record<string, Record<string, unknown> & { id: string }>

function linesOf(one: Installation, key: string): Line[] {
  const text = gunzipSync(one.heldIn('s3').get(key)!.bytes).toString()
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

test('a batch says what changed, one request for each location, and no more', async (t) => {
  const one = await openInstallation(t, { buckets: ['s3', 'second'] })
  const anna = await one.user()
  const uploads = [await one.upload(anna.id, 'a.jpg'), await one.upload(anna.id, 'b.jpg')]
  const before = ['s3', 'second'].map((id) => one.remotes.get(id)!.calls.put)
  await one.write()
  const puts = ['s3', 'second'].map((id, at) => one.remotes.get(id)!.calls.put - before[at]!)
  assert.deepEqual(puts, [2, 2], 'a batch and the text of a month')
  const [first] = one.batchKeys()
  assert.ok(isCatalogueKey(first!, await one.installation()))
  const lines = linesOf(one, first!)
  assert.equal(lines[0]!.isSnapshot, true)
  assert.deepEqual(lines.flatMap(({ asset }) => asset?.id ?? []).sort(), uploads.map(({ id }) => id).sort())
  const [named] = lines.flatMap(({ asset }) => asset ?? [])
  assert.deepEqual(Object.keys((named!.original as { keys: object }).keys).sort(), ['local', 's3', 'second'])
  const text = JSON.stringify(lines)
  assert.ok(text.includes(ANNA_MAIL) && !text.includes('scrypt'))

  // Nothing changed; then one asset, which a text names once an hour only.
  assert.equal((await writeCatalogue(one, { isNow: true })).batch, null)
  await one.pool.query('update asset set is_favorite = true where id = $1', [uploads[1]!.id])
  await one.pool.query("update catalogue_change set at = now() - interval '2 minutes'")
  const later = await writeCatalogue(one)
  assert.ok(later.batch !== null)
  assert.equal(later.texts, 0)
  await one.write()
  const second = one.batchKeys().find((key) => key !== first)!
  const changed = linesOf(one, second)
  assert.equal(changed[0]!.isSnapshot, false)
  assert.equal((changed[0]!.parents as unknown as string[]).length, 1)
  assert.ok(changed.some(({ asset }) => asset?.id === uploads[1]!.id && asset.isFavorite === true))
  assert.ok(!changed.some(({ user }) => user !== undefined))
})

const ANNA_MAIL = 'anna@example.org'

test('a change waits for its time, and is not lost when the catalogue was off', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  await one.upload(anna.id)
  assert.equal((await writeCatalogue(one)).batch, null, 'younger than a minute')
  await one.write()
  const settings = one.placement.settings as { catalogueEveryMs: number }
  settings.catalogueEveryMs = 0
  const { id } = await one.upload(anna.id)
  await writeCatalogue(one)
  assert.equal((await one.pool.query('select from catalogue_change')).rowCount, 0)
  settings.catalogueEveryMs = 60_000
  await one.upload(anna.id)
  await one.write()
  const lines = one.batchKeys().map((key) => linesOf(one, key))
  const last = lines.find((batch) => (batch[0]!.parents as unknown as string[]).length === 1)!
  assert.equal(last[0]!.isSnapshot, true)
  assert.ok(last.some(({ asset }) => asset?.id === id))
})

test('where no catalogue is kept, what changes while one is brought back is remembered until that is done', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const changes = async () => (await one.pool.query('select from catalogue_change')).rowCount
  await one.write()
  Object.assign(one.placement.settings, { catalogueEveryMs: 0 })
  await beginCatalogueAdoption(one.db, { isRebuild: false, isFresh: false, trashDeleted: true })
  await one.upload(anna.id)
  const before = await changes()
  assert.notEqual(before, 0)
  await writeCatalogue(one)
  assert.equal(await changes(), before)
  await adoptCatalogue(one)
  await writeCatalogue(one)
  assert.equal(await changes(), 0)
})

test('one that begins at the moment when changes are forgotten finds that out', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  await one.write()
  Object.assign(one.placement.settings, { catalogueEveryMs: 0 })
  await one.upload(anna.id)
  // Its beginning is committed while `writeCatalogue` waits for the row that says how it stands.
  let forgetting: Promise<unknown> | undefined
  await one.db.transaction().execute(async (tx) => {
    await noteCatalogueAdoption(tx, { isRebuild: false, isFresh: false, trashDeleted: true })
    forgetting = writeCatalogue(one)
    await untilLockIsAwaited(one.pool)
  })
  await forgetting
  assert.notEqual((await one.pool.query('select from catalogue_change')).rowCount, 0)
})

test('of two writers of the same moment one counts, and nothing is forgotten', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  await one.upload(anna.id)
  const results = await Promise.allSettled([
    writeCatalogue(one, { isNow: true }),
    writeCatalogue(one, { isNow: true }),
  ])
  const counts = results.filter(({ status }) => status === 'fulfilled').length
  assert.ok(counts >= 1)
  const { rows } = await one.pool.query('select from catalogue_batch')
  assert.equal(
    rows.length,
    results.filter((one) => one.status === 'fulfilled' && one.value.batch !== null).length,
  )
  assert.equal((await one.pool.query('select from catalogue_change')).rowCount, 0)
})

test('two generations stay; what lies before them goes when the newest is everywhere', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  for (let round = 0; round < 3; round += 1) {
    await one.upload(anna.id)
    await one.pool.query('update catalogue_state set is_snapshot_due = true')
    await writeCatalogue(one, { isNow: true })
    assert.equal(
      (
        await one.pool.query(
          "select from stored_object where state = 'purging' and kind = 'catalogue' and extension = 'gz'",
        )
      ).rowCount,
      0,
    )
    if (round < 2) await one.write()
  }
  await one.write()
  const retired = await writeCatalogue(one)
  const { rows } = await one.pool.query(
    "select from stored_object where state = 'purging' and kind = 'catalogue' and extension = 'gz'",
  )
  assert.equal(rows.length, 1)
  assert.ok(retired.retired <= 1)
})

test('a batch that has lost its last copy is made up for by a whole one, once', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const { id } = await one.upload(anna.id)
  await one.write()
  await one.pool.query('update asset set is_favorite = true')
  const { batch } = await one.write()
  assert.equal((await writeCatalogue(one)).batch, null)
  await one.pool.query("update replica set state = 'suspect' where object_id = $1", [batch])
  const before = new Set(one.batchKeys())
  assert.ok((await writeCatalogue(one)).batch)
  await one.write()
  const [made, ...others] = one.batchKeys().filter((key) => !before.has(key))
  assert.deepEqual(others, [])
  const lines = linesOf(one, made!)
  assert.equal(lines[0]!.isSnapshot, true)
  assert.ok(lines.some(({ asset }) => asset?.id === id && asset.isFavorite === true))
  assert.equal((await writeCatalogue(one)).batch, null)
})
