/** What people do after a run that has left something over stays, whatever a later run brings back. */
import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import {
  addSidecar,
  entriesOf,
  type Installation,
  moveBucket,
  openInstallation,
  sidecarOf,
} from './support.ts'

const BEN = { email: 'ben@example.org', name: 'Ben', password: 'a long password' }
const LATER = { isRebuild: false, isFresh: false }

async function makeAlbum({ pool }: Installation, name: string, owner: string, assetIds: string[]) {
  const { rows } = await pool.query<{ id: string }>('insert into album (name) values ($1) returning id', [
    name,
  ])
  await pool.query(`insert into album_user (album_id, user_id, role) values ($1, $2, 'owner')`, [
    rows[0]!.id,
    owner,
  ])
  for (const id of assetIds)
    await pool.query('insert into album_asset (album_id, asset_id) values ($1, $2)', [rows[0]!.id, id])
}

async function removeUser({ pool }: Installation, id: string): Promise<void> {
  await pool.query('update app_user set deleted_at = now(), removal_begun_at = now() where id = $1', [id])
  await pool.query('delete from app_user where id = $1', [id])
}

/** Which leaves out what was deleted, and does not say so. */
async function writeSnapshot(one: Installation): Promise<void> {
  await one.pool.query('update catalogue_state set is_snapshot_due = true')
  await one.write()
}

const namesOf = async ({ pool }: Installation) =>
  (await pool.query('select name from album union all select email from app_user order by 1')).rows.map(
    ({ name }) => name,
  )

/** Two photos, of which the file of one is not there in the first run. */
async function openWithOneMissing(t: TestContext) {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const ben = await from.user(BEN)
  const late = await from.upload(anna.id, 'late.jpg')
  const there = await from.upload(anna.id, 'there.jpg')
  await makeAlbum(from, 'Süden', anna.id, [late.id, there.id])
  await makeAlbum(from, 'Norden', anna.id, [late.id, there.id])
  await from.write()
  await moveBucket(from, to)
  const held = to.heldIn('s3')
  const key = [...held.keys()].find((each) => each.includes(`${late.id}/original`))!
  const file = held.get(key)!
  held.delete(key)
  assert.equal((await to.adopt()).missing, 1)
  return { from, to, anna, ben, late, there, bringBack: () => held.set(key, file) }
}

test('a user and an album that were deleted after a run stay so when a later one brings a file back', async (t) => {
  const { to, ben, late, bringBack } = await openWithOneMissing(t)
  await to.write()
  await removeUser(to, ben.id)
  await to.pool.query(`delete from album where name = 'Norden'`)
  await writeSnapshot(to)
  bringBack()
  const report = await to.adopt(LATER)
  assert.deepEqual([report.assets, report.users, report.albums, report.missing], [1, 0, 0, 0])
  assert.deepEqual(await namesOf(to), ['Süden', 'anna@example.org'])
  const { rows } = await to.pool.query(
    'select name from album_asset join album on id = album_id where asset_id = $1',
    [late.id],
  )
  assert.deepEqual(rows, [{ name: 'Süden' }])
  // Nothing is left over any more.
  assert.deepEqual((await to.pool.query('select from catalogue_left_over')).rowCount, 0)
})

test('photos of somebody who was removed after a run are missed no more', async (t) => {
  const { to, anna, bringBack } = await openWithOneMissing(t)
  await to.write()
  await to.pool.query('delete from album')
  await to.pool.query('delete from asset')
  await removeUser(to, anna.id)
  await writeSnapshot(to)
  bringBack()
  const report = await to.adopt(LATER)
  assert.deepEqual([report.assets, report.missing, report.users], [0, 0, 0])
  assert.deepEqual(await namesOf(to), ['ben@example.org'])
})

test('a machine that is lost after such a run loses nothing of what was left over', async (t) => {
  const { from, to, bringBack } = await openWithOneMissing(t)
  await to.write()
  bringBack()
  const third = await openInstallation(t)
  await moveBucket(to, third)
  const report = await third.adopt()
  assert.deepEqual([report.missing, report.byKeyAlone], [0, 0])
  assert.deepEqual(await third.assets(), await from.assets())
})

test('a photo whose sidecar comes later keeps what people have changed since', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const { id } = await from.upload(anna.id)
  await makeAlbum(from, 'Süden', anna.id, [id])
  const sidecar = await addSidecar(from, id)
  await from.write()
  const [entry] = await entriesOf(from)
  await moveBucket(from, to)
  assert.equal((await to.adopt()).missingSidecars, 1)
  await to.pool.query(`update asset set original_file_name = 'new.jpg', is_favorite = true`)
  await to.pool.query('delete from album_asset')
  await to.write()
  const [original, copy] = [from, to].map(({ mediaLocation }) =>
    join(mediaLocation, entry!.sidecar!.keys.local!),
  )
  await cp(original!, copy!)
  const report = await to.adopt(LATER)
  assert.deepEqual([report.sidecars, report.missingSidecars], [1, 0])
  assert.equal(await sidecarOf(to, id), sidecar)
  const [asset] = await to.assets()
  assert.deepEqual([asset!.original_file_name, asset!.is_favorite], ['new.jpg', true])
  assert.equal((await to.pool.query('select from album_asset')).rowCount, 0)
  await rm(copy!)
})

test('a batch that comes back after a run is read by the next one', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  await from.user()
  await from.write()
  await makeAlbum(from, 'Süden', (await from.user(BEN)).id, [])
  await from.write()
  const [, second] = from.batchKeys()
  await from.pool.query(`update app_user set name = 'Anna B.' where email = 'anna@example.org'`)
  await from.write()
  await moveBucket(from, to)
  const held = to.heldIn('s3')
  const keys = from.batchKeys()
  // The one in the middle: it is named by the last.
  const batches = await Promise.all(keys.map(async (key) => [key, held.get(key)!] as const))
  const middle = batches.find(([, { bytes }]) => gunzipSync(bytes).toString().includes('Süden'))!
  assert.ok(second)
  held.delete(middle[0])
  const first = await to.adopt()
  assert.deepEqual([first.unusable.length, await namesOf(to)], [1, ['anna@example.org']])
  await to.write()
  // It is told once: from then on the database stands for all that it has.
  assert.deepEqual((await to.adopt(LATER)).unusable, [])
  held.set(...middle)
  const report = await to.adopt(LATER)
  assert.deepEqual([report.users, report.albums], [1, 1])
  assert.deepEqual(await namesOf(to), ['Süden', 'anna@example.org', 'ben@example.org'])
})
