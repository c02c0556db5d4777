/** What a catalogue brings back, what it does not, and what an interruption leaves. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { AssetEntry } from '../../../src/library/catalogue/entries.ts'
import { assetEntry, moveBucket, openInstallation, plant } from './support.ts'

const EVE = { email: 'eve@example.org', name: 'Eve', password: 'a long password' }

test('all comes back with its ids, as verified copies whose bytes were read; twice changes nothing', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const uploads = [await from.upload(anna.id, 'a.jpg'), await from.upload(anna.id, 'b.jpg')]
  await from.write()
  await moveBucket(from, to)
  const before = new Map(to.heldIn('s3'))
  const report = await to.adopt()
  assert.deepEqual([report.users, report.assets, report.missing, report.wrong], [1, 2, 0, 0])
  assert.deepEqual(await to.assets(), await from.assets())
  const { rows } = await to.pool.query(
    `select o.id, r.state, r.proof_level, r.proof ->> 'method' as method, encode(o.sha256, 'hex') as sha256
     from asset join stored_object o on o.id = original_object_id join replica r on r.object_id = o.id
     where location_id = 's3' order by asset.id`,
  )
  assert.deepEqual(
    rows.map(({ state, proof_level, method, sha256 }) => [state, proof_level, method, sha256]),
    [...uploads]
      .sort((a, b) => (a.id < b.id ? -1 : 1))
      .map(({ bytes }) => ['verified', 4, 'read-back', createHash('sha256').update(bytes).digest('hex')]),
  )
  for (const [key, held] of before) assert.equal(to.heldIn('s3').get(key), held, `${key} was changed`)
  const user = await to.pool.query('select password_hash, is_admin, should_change_password from app_user')
  assert.equal(user.rows[0].should_change_password, true)
  const again = await to.adopt()
  assert.deepEqual([again.users, again.assets, again.already, again.missing], [0, 0, 0, 0])
  assert.deepEqual(await to.assets(), await from.assets())
  // What it writes from now on follows what it has read.
  await to.write()
  const heads = await to.pool.query('select heads from catalogue_state')
  assert.equal(heads.rows[0].heads.length, 1)
})

test('other bytes, another size or another SHA-1 than the catalogue says bring nothing back', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const uploads: { id: string; bytes: Buffer }[] = []
  for (const name of ['rotten.jpg', 'short.jpg', 'sha1.jpg', 'gone.jpg', 'right.jpg'])
    uploads.push(await from.upload(anna.id, name))
  await from.write()
  await moveBucket(from, to)
  const held = to.heldIn('s3')
  const keyOf = (at: number) => [...held.keys()].find((key) => key.includes(`${uploads[at]!.id}/original`))!
  const change = (at: number, bytes: Buffer) => held.set(keyOf(at), { bytes, modifiedAt: new Date() })
  change(0, Buffer.alloc(uploads[0]!.bytes.length))
  change(1, uploads[1]!.bytes.subarray(1))
  held.delete(keyOf(3))
  // Crafted: right bytes, and the SHA-1 of a file that somebody's phone would then delete.
  const { sha256 } = await headOf(from)
  const entries = await entriesOf(from)
  const crafted = { ...entries.find(({ id }) => id === uploads[2]!.id)!, sha1: 'ab'.repeat(20) }
  await plant(held, { installation: await from.installation(), parents: [sha256] }, [{ asset: crafted }])
  const report = await to.adopt()
  assert.deepEqual([report.assets, report.wrong, report.missing], [1, 3, 4])
  assert.deepEqual(
    (await to.assets()).map(({ id }) => id),
    [uploads[4]!.id],
  )
  assert.equal((await to.pool.query('select from replica where state <> $1', ['verified'])).rowCount, 0)
})

async function headOf(from: Awaited<ReturnType<typeof openInstallation>>) {
  const { rows } = await from.pool.query<{ heads: string[] }>('select heads from catalogue_state')
  return { sha256: rows[0]!.heads[0]! }
}

async function entriesOf(from: Awaited<ReturnType<typeof openInstallation>>): Promise<AssetEntry[]> {
  const { everything } = await import('../../../src/library/catalogue/collect.ts')
  const found: AssetEntry[] = []
  for await (const entry of everything(from.db)) if ('asset' in entry) found.push(entry.asset)
  return found
}

test("an entry can't take another user's file, nor a user's address, nor make an administrator", async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user({ ...EVE, email: 'anna@example.org', isAdmin: true })
  const { id: photo } = await one.upload(anna.id)
  await one.write()
  const [known] = await entriesOf(one)
  const installation = await one.installation()
  const eve = '0e0e0e0e-0000-4000-8000-00000000000e'
  const user = { id: eve, name: 'Eve', isAdmin: true, createdAt: known!.createdAt, deletedAt: null }
  const held = one.heldIn('s3')
  const key = known!.original.keys.s3!
  await plant(held, { installation }, [
    { user: { ...user, email: 'eve@example.org' } },
    { user: { ...user, id: '0e0e0e0e-0000-4000-8000-00000000000f', email: 'ANNA@example.org' } },
    assetEntry(eve, { original: known!.original, sha1: known!.sha1 }),
    // The same asset, of another owner.
    { asset: { ...known!, owner: eve, original: { ...known!.original, keys: {} } } },
  ])
  const report = await one.adopt({ isRebuild: false })
  assert.equal(report.assets, 0)
  assert.equal(report.refused.count, 2)
  assert.ok(report.refused.examples.some((text) => /another user has the address ANNA@/.test(text)))
  const { rows } = await one.pool.query('select id, is_admin from app_user order by id')
  assert.deepEqual(
    rows.map(({ id, is_admin }) => [id, is_admin]).sort(),
    [
      [anna.id, true],
      [eve, false],
    ].sort(),
  )
  assert.deepEqual(
    (await one.assets()).map(({ id, owner_id }) => [id, owner_id]),
    [[photo, anna.id]],
  )
  assert.ok(held.has(key))
})

test('what was deleted here stays deleted, and what a later state deleted is kept until somebody says so', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const [, gone] = [await one.upload(anna.id, 'kept.jpg'), await one.upload(anna.id, 'gone.jpg')]
  await one.write()
  const { sha256 } = await headOf(one)
  // This database gives one up itself, and its bytes are not removed yet.
  const deleted = await one.upload(anna.id, 'deleted.jpg')
  await one.write()
  await one.pool.query('delete from asset where id = $1', [deleted.id])
  assert.equal((await one.adopt({ isRebuild: false })).assets, 0)
  assert.ok(!(await one.assets()).some(({ id }) => id === deleted.id))
  await one.write()
  const head = (await headOf(one)).sha256
  assert.notEqual(head, sha256)
  // A state that came later has deleted one for good.
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents: [head] }, [
    { gone: { kind: 'asset', id: gone!.id } },
  ])
  const report = await one.adopt({ isRebuild: false })
  assert.deepEqual([report.deletedLater, report.trashed], [1, 0])
  assert.ok((await one.assets()).every(({ is_trashed }) => is_trashed === false))
})

test('with a word, what was deleted later goes into the trash, and no further', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const [, gone] = [await one.upload(anna.id, 'kept.jpg'), await one.upload(anna.id, 'gone.jpg')]
  await one.write()
  const parents = [(await headOf(one)).sha256]
  const [keptEntry] = (await entriesOf(one)).filter(({ id }) => id !== gone!.id)
  await plant(one.heldIn('s3'), { installation: await one.installation(), isSnapshot: true, parents }, [
    { asset: keptEntry! },
  ])
  const report = await one.adopt({ isRebuild: false, trashDeleted: true })
  assert.deepEqual([report.deletedLater, report.trashed], [1, 1])
  const trashed = (await one.assets()).filter(({ is_trashed }) => is_trashed)
  assert.deepEqual(
    trashed.map(({ id }) => id),
    [gone!.id],
  )
})

test('an adoption that is cut short goes on, and brings each back once', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  for (let count = 0; count < 6; count += 1) await from.upload(anna.id, `${count}.jpg`)
  await from.write()
  await moveBucket(from, to)
  // Every third read fails for good, so that the run ends in the middle.
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < 2; at += 1)
      to.remotes.get('s3')!.plan({ call: 'get', when: at === 0 ? 'after' : 'before' })
    await assert.rejects(to.adopt())
  }
  to.remotes.get('s3')!.clear()
  const report = await to.adopt()
  assert.equal(report.missing, 0)
  assert.deepEqual(await to.assets(), await from.assets())
  const { rows } = await to.pool.query("select from replica where location_id = 's3' and key like 'users/%'")
  assert.equal(rows.length, 6)
})

test('without a catalogue the keys say whose the originals are', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const { id } = await from.upload(anna.id)
  await moveBucket(from, to)
  // Of somebody whom nobody knows, a restore brings nothing back; a rebuild does.
  assert.equal((await to.adopt({ isRebuild: false })).assets, 0)
  const report = await to.adopt()
  assert.deepEqual([report.users, report.assets, report.byKeyAlone], [1, 1, 1])
  const { rows } = await to.pool.query(
    'select a.id, owner_id, email, is_admin from asset a join app_user u on u.id = owner_id',
  )
  assert.deepEqual(rows, [{ id, owner_id: anna.id, email: `${anna.id}@recovered.invalid`, is_admin: false }])
})

test('copies at two locations are both taken over', async (t) => {
  const buckets = ['s3', 'second']
  const [from, to] = [await openInstallation(t, { buckets }), await openInstallation(t, { buckets })]
  const anna = await from.user()
  await from.upload(anna.id)
  await from.write()
  await moveBucket(from, to)
  await moveBucket(from, to, 'second')
  assert.equal((await to.adopt()).assets, 1)
  const { rows } = await to.pool.query(
    "select location_id, state from replica where key like 'users/%' order by 1",
  )
  assert.deepEqual(rows, [
    { location_id: 's3', state: 'verified' },
    { location_id: 'second', state: 'verified' },
  ])
})

test('what was said of a photo later counts, unless this database was used since', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const [first, second] = [await one.upload(anna.id, 'a.jpg'), await one.upload(anna.id, 'b.jpg')]
  await one.pool.query('insert into asset_exif (asset_id) select id from asset')
  await one.write()
  const parents = [(await headOf(one)).sha256]
  const said = {
    ...{
      fields: ['description', 'password'],
      description: 'Grüße',
      rating: 5,
      latitude: null,
      longitude: null,
    },
    ...{ dateTimeOriginal: null, timeZone: null },
  }
  const changed = (await entriesOf(one)).map((asset) => ({
    asset: { ...asset, isFavorite: true, visibility: 'archive', name: `new ${asset.name}`, said },
  }))
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents }, changed)
  // Somebody has touched one here.
  await one.pool.query("update asset set visibility = 'locked' where id = $1", [second.id])
  await one.adopt({ isRebuild: false, isFresh: false })
  const { rows } = await one.pool.query(
    `select id, original_file_name as name, is_favorite, visibility, description, rating, user_set
     from asset join asset_exif on asset_id = id order by name`,
  )
  assert.deepEqual(rows, [
    {
      ...{ id: second.id, name: 'b.jpg', is_favorite: false, visibility: 'locked', description: '' },
      ...{ rating: null, user_set: [] },
    },
    {
      ...{ id: first.id, name: 'new a.jpg', is_favorite: true, visibility: 'archive', description: 'Grüße' },
      ...{ rating: null, user_set: ['description'] },
    },
  ])
})

test('an album shows the photo that it showed', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const uploads = [await from.upload(anna.id, 'a.jpg'), await from.upload(anna.id, 'b.jpg')]
  const album = '5f0c2d7e-7a44-4a77-9c0c-3f4f4cb0a111'
  await from.pool.query(`insert into album (id, name) values ($1, 'Süden')`, [album])
  await from.pool.query(`insert into album_user (album_id, user_id, role) values ($1, $2, 'owner')`, [
    album,
    anna.id,
  ])
  for (const { id } of uploads)
    await from.pool.query('insert into album_asset (album_id, asset_id) values ($1, $2)', [album, id])
  await from.write()
  // Chosen after the album was written.
  await from.pool.query('update album set thumbnail_asset_id = $2 where id = $1', [album, uploads[1]!.id])
  await from.write()
  await moveBucket(from, to)
  await to.adopt()
  const { rows } = await to.pool.query('select id, name, thumbnail_asset_id as cover from album')
  assert.deepEqual(rows, [{ id: album, name: 'Süden', cover: uploads[1]!.id }])
})
