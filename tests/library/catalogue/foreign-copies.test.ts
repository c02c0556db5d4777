/** A file of somebody else has the bytes of a photo that lacks a copy, and becomes that copy. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { fitted } from '../../../src/library/catalogue/fit-entry.ts'
import { adoptWhereNeeded } from '../../../src/placement/collect/adopt-needed.ts'
import { freshKey, partsOfKey } from '../../../src/placement/keys.ts'
import { ANNA, assetEntry, entriesOf, moveBucket, openInstallation } from './support.ts'

/** A photo of Ben's has lost its copies; its bytes lie under a key that is not his, and that is to go. */
async function openWithStray(t: TestContext, what: { kind?: 'original' | 'profile-image' } = {}) {
  const one = await openInstallation(t)
  const anna = await one.user()
  const ben = await one.user({ ...ANNA, email: 'ben@example.org', name: 'Ben' })
  const photo = await one.upload(ben.id, 'of ben.jpg')
  const { pool } = one
  const held = one.heldIn('s3')
  const [entry] = await entriesOf(one)
  held.delete(entry!.original.keys.s3!)
  await pool.query("update replica set state = 'suspect' where key like 'users/%'")
  const isPicture = what.kind === 'profile-image'
  const key = freshKey({
    ...{ ownerId: isPicture ? ben.id : anna.id, assetId: isPicture ? null : randomUUID() },
    ...{ kind: what.kind ?? 'original', extension: 'jpg' },
  })
  held.set(key, { bytes: photo.bytes, modifiedAt: new Date() })
  await pool.query(
    `with made as (insert into collection (id, location_id, actor, plan_id, files, uploads, bytes, decided_at, collect_after)
       values (gen_random_uuid(), 's3', 'test', 'plan', 1, 0, $2, now(), now() + interval '7 days') returning id)
     insert into collection_item (collection_id, location_id, key, upload_id, kind, size, last_modified)
     select id, 's3', $1, '', $3, $2, now() from made`,
    [key, photo.bytes.length, what.kind ?? 'original'],
  )
  const collect = () => adoptWhereNeeded(one.placement, one.placement.locations.get('s3')!)
  return { one, ben, photo, key, held, collect }
}

for (const kind of ['original', 'profile-image'] as const)
  test(`the copy has a key of its own where what was found is ${kind === 'original' ? 'another user’s' : 'another kind of file'}`, async (t) => {
    const { one, ben, photo, key, held, collect } = await openWithStray(t, { kind })
    assert.equal(await collect(), 1)
    const { rows } = await one.pool.query<{ key: string }>(
      "select key from replica where location_id = 's3' and state = 'verified' and key like 'users/%'",
    )
    const ids = { ownerId: ben.id, assetId: photo.id, kind: 'original' }
    assert.deepEqual(
      rows.map((row) => partsOfKey(row.key)),
      [ids],
    )
    assert.ok(held.has(key), 'what was found may be needed')
    const { rows: cleared } = await one.pool.query('select key from key_to_clear where key = $1', [key])
    assert.deepEqual(cleared, [])

    await one.write()
    const to = await openInstallation(t)
    await moveBucket(one, to)
    await to.adopt()
    const his = (await to.assets()).find(({ id }) => id === photo.id)
    assert.deepEqual([his?.owner_id, his?.original_file_name], [ben.id, 'of ben.jpg'])
  })

test('an entry with a key of somebody else is written without that one', () => {
  const owner = randomUUID()
  const { asset } = assetEntry(owner)
  const foreign = freshKey({
    ...{ ownerId: randomUUID(), assetId: asset.id, kind: 'original', extension: 'jpg' },
  })
  const { keys } = asset.original
  const withKeys = (all: Record<string, string>) => ({
    asset: { ...asset, original: { ...asset.original, keys: all } },
  })
  const { entry, lost } = fitted(withKeys({ ...keys, old: foreign }))
  assert.deepEqual(entry, withKeys(keys))
  assert.match(lost!, /is no key of an original of this user/)
  assert.deepEqual(fitted(withKeys({ s3: foreign })).entry, withKeys({}), 'its id tells where it is')
})
