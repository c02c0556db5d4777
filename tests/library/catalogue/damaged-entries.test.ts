/** One line, key or file that can't be used is told, and all others come back. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { type AssetEntry, readEntry } from '../../../src/library/catalogue/entries.ts'
import { partsOfKey } from '../../../src/placement/keys.ts'
import { StorageError } from '../../../src/storage/backend.ts'
import { assetEntry, moveBucket, openInstallation, plant } from './support.ts'

const OWNER = '0e0e0e0e-0000-4000-8000-00000000000e'
const AT = '2024-05-06T07:08:09.000Z'
const SAID = {
  ...{ fields: ['description'], description: 'x', rating: 5, latitude: null, longitude: null },
  ...{ dateTimeOriginal: null, timeZone: null },
}
const USER = {
  id: OWNER,
  email: 'anna@example.org',
  name: 'Anna',
  isAdmin: false,
  createdAt: AT,
  deletedAt: null,
}
const ALBUM = {
  ...{ id: randomUUID(), name: 'A', description: '', order: 'asc', cover: null, createdAt: AT },
  members: [{ user: OWNER, role: 'owner' }],
}

const said = (changes: object) => assetEntry(OWNER, { said: { ...SAID, ...changes } })
const asset = (changes: object) => assetEntry(OWNER, changes as Partial<AssetEntry>)
function withKeyName(name: string) {
  const entry = assetEntry(OWNER)
  entry.asset.original.keys = { [name]: Object.values(entry.asset.original.keys)[0]! }
  return entry
}

/** What PostgreSQL refuses, so that the whole batch would be tried again for ever. */
const REFUSED: Record<string, object> = {
  'zero byte in a zone': asset({ timeZone: 'UTC\0' }),
  'zero byte in a description': said({ description: 'a\0b' }),
  'zero byte in a field': said({ fields: ['\0'] }),
  'zero byte in the name of a location': withKeyName('s3\0'),
  'zero byte in an unknown key': { asset: { ...assetEntry(OWNER).asset, 'x\0y': 1 } },
  'zero byte in an album': { album: { ...ALBUM, description: '\0' } },
  'half a character in a name': asset({ name: 'a\ud800.jpg' }),
  'half a character in a description': said({ description: '\udc00' }),
  'half a character of a user': { user: { ...USER, name: '\ud83d' } },
  'half a character in an album': { album: { ...ALBUM, name: '\ud83d' } },
  'half a character in an unknown key': { gone: { kind: 'asset', id: OWNER, '\ud800': 1 } },
  'a month 13': asset({ localDateTime: '2024-13-45 99:99:99' }),
  'a day that is none': asset({ localDateTime: '2023-02-29 12:00:00' }),
  'an hour 24': asset({ localDateTime: '2023-02-28 24:00:00' }),
  'the year 0 on the wall': asset({ localDateTime: '0000-01-01 00:00:00' }),
  'the end of time': asset({ localDateTime: '9999-12-31 23:59:59.9995' }),
  'the year 0': asset({ fileCreatedAt: '0000-01-01T00:00:00Z' }),
  'the last day': asset({ fileModifiedAt: '9999-12-31T23:59:59Z' }),
  'the year 0 of a word': said({ dateTimeOriginal: '0000-06-01T00:00:00Z' }),
  'the year 0 of a user': { user: { ...USER, createdAt: '0000-01-01T00:00:00Z' } },
  'a rating': said({ rating: 99_999_999_999 }),
  'another rating': said({ rating: 6 }),
  'no zone': asset({ timeZone: 'Nowhere/Atlantis' }),
  'no zone of a word': said({ timeZone: 'UTC+99' }),
}

const RIGHT: Record<string, object> = {
  'a zone': asset({ timeZone: 'Europe/Berlin' }),
  'an offset': said({ timeZone: 'UTC+05:45', rating: -1, description: 'Grüße 😀' }),
  'the first year': asset({
    fileCreatedAt: '0001-01-02T00:00:00.000Z',
    localDateTime: '0001-01-01 00:00:00',
  }),
  'a leap day': asset({ localDateTime: '2024-02-29 23:59:59.999999' }),
}

test('what the database would refuse is no entry; all else is', () => {
  for (const [name, entry] of Object.entries(REFUSED)) {
    const read = readEntry(JSON.parse(JSON.stringify(entry)))
    assert.ok('refused' in read, `${name} was believed`)
    assert.ok(read.refused.isWellFormed() && !read.refused.includes('\0'), `${name}: ${read.refused}`)
    assert.ok(read.refused.length < 300, name)
  }
  for (const [name, entry] of Object.entries(RIGHT)) assert.ok(!('refused' in readEntry(entry)), name)
})

test('lines that are refused keep no other line from coming back', async (t) => {
  const one = await openInstallation(t)
  await plant(one.heldIn('s3'), { installation: await one.installation() }, [
    { user: USER },
    ...Object.values(REFUSED),
    { album: ALBUM },
  ])
  const report = await one.adopt()
  assert.equal(report.refused.count, Object.keys(REFUSED).length)
  assert.deepEqual([report.users, report.albums], [1, 1])
})

test('a key whose id is none is nobody’s', async (t) => {
  const hyphens = '-'.repeat(36)
  const random = 'a'.repeat(32)
  for (const key of [
    `users/${OWNER}/${hyphens}/original.${random}.jpg`,
    `users/${hyphens}/${OWNER}/original.${random}.jpg`,
    `catalogue/${hyphens}/2026-05-04T03-02-01Z.${random}.jsonl.gz`,
    `backups/${hyphens}/2026-05-04T03-02-01Z.${random}.age`,
  ])
    assert.equal(partsOfKey(key), null, key)
  const one = await openInstallation(t)
  const key = `users/${OWNER}/${hyphens}/original.${random}.jpg`
  one.heldIn('s3').set(key, { bytes: Buffer.from('x'), modifiedAt: new Date() })
  assert.equal((await one.adopt()).assets, 0)
})

test('a file that can’t be read is counted, and the others come back', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const uploads: { id: string }[] = []
  for (const name of ['hidden.jpg', 'denied.jpg', 'corrupt.jpg', 'right.jpg'])
    uploads.push(await from.upload(anna.id, name))
  await from.write()
  await moveBucket(from, to)
  const { inner } = to.remotes.get('s3')!
  const { head, get } = inner
  const failing = (key: string, at: number) => key.includes(`/${uploads[at]!.id}/`)
  inner.head = (key, options) => {
    if (failing(key, 0)) throw new StorageError('hidden', 'a delete marker stands before it')
    return head.call(inner, key, options)
  }
  inner.get = (key, options) => {
    if (failing(key, 1)) throw new StorageError('denied', 'no')
    if (failing(key, 2)) throw new StorageError('corrupt', 'another checksum')
    return get.call(inner, key, options)
  }
  const report = await to.adopt()
  assert.deepEqual([report.assets, report.missing], [1, 3])
  assert.ok(report.unreadable >= 3)
  assert.deepEqual(
    (await to.assets()).map(({ id }) => id),
    [uploads[3]!.id],
  )
})

test('an archived file whose restored copy is there is read', async (t) => {
  const from = await openInstallation(t)
  const anna = await from.user()
  const { id } = await from.upload(anna.id)
  await from.write()
  /** Once its copy was there until a second ago, and once it is for an hour. */
  async function adoptedUntil(availableUntil: Date) {
    const to = await openInstallation(t)
    await moveBucket(from, to)
    const { inner } = to.remotes.get('s3')!
    const { head } = inner
    inner.head = async (key, options) => {
      const held = await head.call(inner, key, options)
      if (held === null || !key.includes(`/${id}/`)) return held
      return { ...held, storageClass: 'GLACIER', restore: { isOngoing: false, availableUntil } }
    }
    const { assets } = await to.adopt()
    const { rows } = await to.pool.query(
      `select state, storage_class from replica where location_id = 's3' and key like 'users/%'`,
    )
    return { assets, rows }
  }
  assert.deepEqual(await adoptedUntil(new Date(Date.now() - 1000)), { assets: 0, rows: [] })
  assert.deepEqual(await adoptedUntil(new Date(Date.now() + 3_600_000)), {
    assets: 1,
    rows: [{ state: 'verified', storage_class: 'GLACIER' }],
  })
})
