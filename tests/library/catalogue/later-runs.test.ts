/** What one run could not bring back a later one can; what two runs do at the same time does no harm. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { loadFound } from '../../../src/library/catalogue/adoption/load-found.ts'
import { planCatalogueAdoption } from '../../../src/library/catalogue/adoption/plan-adoption.ts'
import type { AssetEntry } from '../../../src/library/catalogue/entries.ts'
import { assetEntry, type Installation, moveBucket, openInstallation, plant } from './support.ts'

const keyOf = (one: Installation, assetId: string) =>
  [...one.heldIn('s3').keys()].find((key) => key.includes(`${assetId}/original`))!

async function headsOf(one: Installation): Promise<string[]> {
  const { rows } = await one.pool.query<{ heads: string[] }>('select heads from catalogue_state')
  return rows[0]!.heads
}

async function makeAlbum(one: Installation, owner: string, assetIds: readonly string[]): Promise<void> {
  const { rows } = await one.pool.query<{ id: string }>(
    `insert into album (name) values ('Süden') returning id`,
  )
  const album = rows[0]!.id
  await one.pool.query(`insert into album_user (album_id, user_id, role) values ($1, $2, 'owner')`, [
    album,
    owner,
  ])
  for (const id of assetIds)
    await one.pool.query('insert into album_asset (album_id, asset_id) values ($1, $2)', [album, id])
}

async function namesInAlbum(one: Installation): Promise<string[]> {
  const { rows } = await one.pool.query<{ name: string }>(
    `select original_file_name as name from album_asset join asset on asset.id = asset_id order by name`,
  )
  return rows.map(({ name }) => name)
}

test('a file that comes back after a run is brought back by the next one, as what it was', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const late = await from.upload(anna.id, 'late.jpg')
  const there = await from.upload(anna.id, 'there.jpg')
  await makeAlbum(from, anna.id, [late.id, there.id])
  await from.write()
  await moveBucket(from, to)
  const held = to.heldIn('s3')
  const key = keyOf(to, late.id)
  const bytes = held.get(key)!
  held.delete(key)
  assert.deepEqual([(await to.adopt()).missing, await namesInAlbum(to)], [1, ['there.jpg']])
  // The server goes on, and writes its own catalogue.
  await to.write()
  await to.write()
  held.set(key, bytes)
  const again = await to.adopt({ isRebuild: false, isFresh: false })
  assert.deepEqual([again.assets, again.byKeyAlone, again.missing], [1, 0, 0])
  assert.deepEqual(await to.assets(), await from.assets())
  assert.deepEqual(await namesInAlbum(to), ['late.jpg', 'there.jpg'])
})

test('while a run is cut, nothing is written of the half that came; albums are whole afterwards', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const ids: string[] = []
  for (const name of ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg']) ids.push((await from.upload(anna.id, name)).id)
  await makeAlbum(from, anna.id, ids)
  await from.write()
  await moveBucket(from, to)
  const { backend } = to.remotes.get('s3')!
  const { get } = backend
  let reads = 0
  backend.get = async (key, options) => {
    reads += key.startsWith('users/') ? 1 : 0
    if (reads === 3) throw new Error('the bucket is away')
    return get(key, options)
  }
  await assert.rejects(to.adopt(), /the bucket is away/)
  backend.get = get
  assert.equal((await to.assets()).length, 2)
  await assert.rejects(to.write(), { code: 'conflict' })
  await to.adopt()
  assert.deepEqual(await namesInAlbum(to), ['a.jpg', 'b.jpg', 'c.jpg', 'd.jpg'])
})

test('the same bytes under a later id stand for the older asset, which is not put into the trash', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const older = await one.upload(anna.id, 'photo.jpg')
  await one.write()
  const { everything } = await import('../../../src/library/catalogue/collect.ts')
  let entry: AssetEntry | undefined
  for await (const each of everything(one.db)) if ('asset' in each) entry = each.asset
  // After this database: the photo was deleted for good, and sent again.
  const held = one.heldIn('s3')
  held.delete(keyOf(one, older.id))
  await one.pool.query(`update replica set state = 'suspect' where location_id = 's3' and key like 'users/%'`)
  const again = assetEntry(anna.id, { sha1: entry!.sha1, name: 'again.jpg' }).asset
  const key = `users/${anna.id}/${again.id}/original.${randomBytes(16).toString('hex')}.jpg`
  again.original = { ...entry!.original, id: again.original.id, keys: { s3: key } }
  held.set(key, { bytes: older.bytes, modifiedAt: new Date() })
  await one.pool.query(`update asset set deleted_at = now() - interval '20 days'`)
  await one.pool.query('delete from catalogue_change')
  await plant(held, { installation: await one.installation(), parents: await headsOf(one) }, [
    { gone: { kind: 'asset', id: older.id } },
    { asset: again },
  ])
  const report = await one.adopt({ isRebuild: false, trashDeleted: true })
  assert.deepEqual([report.deletedLater, report.trashed, report.missing], [0, 0, 0])
  const { rows } = await one.pool.query(
    `select key, state from replica where location_id = 's3' and key like 'users/%'`,
  )
  assert.deepEqual(rows, [{ key, state: 'verified' }])
  assert.deepEqual(
    (await one.assets()).map(({ id, is_trashed }) => [id, is_trashed]),
    [[older.id, false]],
    'it was sent again: it is out of the trash',
  )
})

test('a run whose reading was begun anew by another one concludes nothing', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  await from.upload(anna.id, 'a.jpg')
  await from.write()
  await moveBucket(from, to)
  const places = [...to.placement.locations.values()].filter(({ id }) => id !== 'local')
  const { backend } = to.remotes.get('s3')!
  const { get } = backend
  let isBegun = false
  backend.get = async (key, options) => {
    if (key.startsWith('users/') && !isBegun) {
      isBegun = true
      await assert.rejects(planCatalogueAdoption({ db: to.db, placement: to.placement }), {
        code: 'conflict',
      })
      await loadFound(to.db, places, { what: 'adoption', installation: await to.installation(), heads: [] })
    }
    return get(key, options)
  }
  await assert.rejects(to.adopt(), { code: 'conflict' })
  assert.ok(isBegun)
  assert.deepEqual(await headsOf(to), [])
  assert.equal((await to.adopt()).missing, 0)
  assert.deepEqual(await to.assets(), await from.assets())
})

test('what a batch leaves out is not taken for deleted while something of the catalogue could not be read', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const kept = await one.upload(anna.id, 'kept.jpg')
  await one.write()
  const parents = await headsOf(one)
  await plant(one.heldIn('s3'), { installation: await one.installation(), isSnapshot: true, parents }, [
    { user: { id: anna.id, nonsense: true } },
  ])
  const report = await one.adopt({ isRebuild: false, trashDeleted: true })
  assert.deepEqual([report.refused.count, report.deletedLater, report.trashed], [1, 0, 0])
  assert.deepEqual(
    (await one.assets()).map(({ id, is_trashed }) => [id, is_trashed]),
    [[kept.id, false]],
  )
})
