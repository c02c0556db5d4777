/** Nobody makes the catalogue unreadable for others, whatever they write and however much. */
import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { fitted } from '../../../src/library/catalogue/fit-entry.ts'
import { assetEntry, batchKey, moveBucket, openInstallation } from './support.ts'

const BEN = { email: 'ben@example.org', name: 'Ben', password: 'a long password' }
const AT = '2024-05-06T07:08:09.000Z'

test('a photo with the longest description in thousands of albums comes back, and so do all others', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const ben = await from.user(BEN)
  const photo = await from.upload(anna.id, 'long.jpg')
  const other = await from.upload(ben.id, 'other.jpg')
  const description = '\u0001'.repeat(100_000)
  await from.pool.query(
    `insert into asset_exif (asset_id, description, user_set) values ($1, $2, '{description}')`,
    [photo.id, description],
  )
  await from.pool.query(
    `with made as (insert into album (name) select 'album ' || n from generate_series(1, 10001) n returning id),
      owned as (insert into album_user (album_id, user_id, role) select id, $1, 'owner' from made)
     insert into album_asset (album_id, asset_id) select id, $2 from made`,
    [anna.id, photo.id],
  )
  await from.write()
  await moveBucket(from, to)
  const report = await to.adopt()
  assert.deepEqual([report.unusable, report.refused.count, report.users, report.assets], [[], 0, 2, 2])
  const { rows } = await to.pool.query<{ description: string; albums: number }>(
    `select description, (select count(*)::float8 from album_asset) as albums from asset_exif where asset_id = $1`,
    [photo.id],
  )
  assert.deepEqual([rows[0]!.description === description, rows[0]!.albums], [true, 10_000])
  assert.ok((await to.assets()).some(({ id }) => id === other.id))
})

test('one line that is too long is refused, and no other one', async (t) => {
  const one = await openInstallation(t)
  const installation = await one.installation()
  const user = {
    id: randomUUID(),
    email: BEN.email,
    name: 'Ben',
    isAdmin: false,
    createdAt: AT,
    deletedAt: null,
  }
  const header = {
    glassine: 'catalogue',
    version: 1,
    installation,
    isSnapshot: true,
    parents: [],
    madeAt: AT,
  }
  const lines = [
    JSON.stringify(header),
    JSON.stringify({ user: { ...user, id: randomUUID(), name: 'x'.repeat(9 * 1024 * 1024) } }),
    JSON.stringify({ user }),
  ]
  const text = `${lines.join('\n')}\n`
  const end = { end: true, entries: 2, sha256: createHash('sha256').update(text).digest('hex') }
  one.heldIn('s3').set(batchKey(installation), {
    bytes: gzipSync(`${text}${JSON.stringify(end)}\n`),
    modifiedAt: new Date(),
  })
  const report = await one.adopt()
  assert.deepEqual([report.unusable, report.refused.count, report.users], [[], 1, 1])
  assert.match(report.refused.examples.join(), /longer than/)
})

test('of an entry that nobody would believe as a whole, what can be believed is written', () => {
  const said = {
    ...{ fields: ['rating'], description: '', rating: 77, latitude: null, longitude: null },
    ...{ dateTimeOriginal: null, timeZone: null },
  }
  const { asset } = assetEntry(randomUUID())
  const whole = { asset: { ...asset, timeZone: 'Nowhere/Atlantis', said } }
  assert.deepEqual(fitted(whole), {
    entry: { asset: { ...asset, timeZone: null, said: null } },
    lost: 'asset.timeZone: is no time zone',
  })
  assert.deepEqual(fitted({ asset }), { entry: { asset }, lost: null })
  // Nothing is left of it that could be told.
  assert.equal(fitted({ asset: { ...asset, sha1: 'none' } }).entry, null)
})
