/**
 * A photo of the backup has lost its copy, and its bytes came to the bucket again under a key that has
 * another photo's id: as a later upload, or as a direct upload that has repaired it.
 */
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { planCatalogueAdoption } from '../../../src/library/catalogue/adoption/plan-adoption.ts'
import type { AssetEntry } from '../../../src/library/catalogue/entries.ts'
import { entriesOf, headsOf, moveBucket, openInstallation, plant } from './support.ts'

/** As a backup has it: in the trash, without a verified copy. Its bytes lie under another key. */
async function openWithLostCopy(t: TestContext) {
  const one = await openInstallation(t)
  const anna = await one.user()
  const photo = await one.upload(anna.id)
  await one.write()
  const [entry] = await entriesOf(one)
  const held = one.heldIn('s3')
  held.delete(entry!.original.keys.s3!)
  await one.pool.query(`update replica set state = 'suspect' where location_id = 's3' and key like 'users/%'`)
  await one.pool.query(`begin; set local session_replication_role = replica;
    delete from replica where location_id = 'local' and key like 'users/%'; commit`)
  await one.pool.query(`update asset set deleted_at = now() - interval '20 days'`)
  await one.pool.query('delete from catalogue_change')
  const key = `users/${anna.id}/${randomUUID()}/original.${randomBytes(16).toString('hex')}.jpg`
  held.set(key, { bytes: photo.bytes, modifiedAt: new Date() })
  const copies = async () =>
    (await one.pool.query(`select key, state from replica where location_id = 's3' and key like 'users/%'`))
      .rows
  return { one, entry: entry!, photo, key, copies }
}

const trashed = (assets: Record<string, unknown>[]) => assets.map(({ id, is_trashed }) => [id, is_trashed])

test('the same bytes as a later upload that no catalogue names are the copy of the photo that has none', async (t) => {
  const { one, photo, key, copies } = await openWithLostCopy(t)
  const report = await one.adopt({ isRebuild: false })
  assert.deepEqual([report.assets, report.already, report.byKeyAlone], [0, 1, 0])
  assert.deepEqual(await copies(), [{ key, state: 'verified' }])
  assert.deepEqual(trashed(await one.assets()), [[photo.id, false]], 'it was sent again')
})

test('other bytes under such a key are a photo of their own', async (t) => {
  const { one, key, copies } = await openWithLostCopy(t)
  one.heldIn('s3').set(key, { bytes: randomBytes(50), modifiedAt: new Date() })
  assert.equal((await one.adopt({ isRebuild: false })).byKeyAlone, 1)
  assert.deepEqual((await copies()).map(({ state }) => state).sort(), ['suspect', 'verified'])
})

/** What the catalogue says after the repair: another object, under a key with the id of the upload. */
async function plantRepaired(
  { one, entry, key }: Awaited<ReturnType<typeof openWithLostCopy>>,
  changes: Partial<AssetEntry> = {},
): Promise<void> {
  const original = { ...entry.original, id: randomUUID(), keys: { s3: key } }
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents: await headsOf(one) }, [
    { asset: { ...entry, ...changes, original } },
  ])
}

test('a photo that a direct upload has repaired after the backup has its copy again', async (t) => {
  const opened = await openWithLostCopy(t)
  const { one, photo, key, copies } = opened
  await plantRepaired(opened)
  const report = await one.adopt({ isRebuild: false })
  assert.deepEqual([report.assets, report.byKeyAlone, report.wrong, report.missing], [0, 0, 0, 0])
  assert.deepEqual(await copies(), [{ key, state: 'verified' }])
  assert.deepEqual(trashed(await one.assets()), [[photo.id, false]])
})

test('a photo that somebody has thrown away here since gets its copy, and stays in the trash', async (t) => {
  const opened = await openWithLostCopy(t)
  const { one, photo, key, copies } = opened
  await plantRepaired(opened)
  for (const at of ['null', 'now()']) await one.pool.query(`update asset set deleted_at = ${at}`)
  await one.adopt({ isRebuild: false, isFresh: false })
  assert.deepEqual(await copies(), [{ key, state: 'verified' }])
  assert.deepEqual(trashed(await one.assets()), [[photo.id, true]])
})

test('a photo whose key has another id comes back as what the catalogue says, and as nothing else', async (t) => {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const photo = await from.upload(anna.id, 'private.jpg')
  await from.pool.query("update asset set visibility = 'locked', deleted_at = now()")
  await from.write()
  const [entry] = await entriesOf(from)
  await moveBucket(from, to)
  const held = to.heldIn('s3')
  held.delete(entry!.original.keys.s3!)
  const key = `users/${anna.id}/${randomUUID()}/original.${randomBytes(16).toString('hex')}.jpg`
  held.set(key, { bytes: photo.bytes, modifiedAt: new Date() })
  const original = { ...entry!.original, id: randomUUID(), keys: { s3: key } }
  await plant(held, { installation: await from.installation(), parents: await headsOf(from) }, [
    { asset: { ...entry!, original } },
  ])
  const plan = await planCatalogueAdoption({ db: to.db, placement: to.placement })
  assert.deepEqual([plan.assets, plan.missing], [1, 0])
  const report = await to.adopt()
  assert.deepEqual([report.assets, report.byKeyAlone, report.missing], [1, 0, 0])
  assert.deepEqual(await to.assets(), await from.assets())
})

test('a file that an entry names, and whose bytes are others, is no photo of its own', async (t) => {
  const opened = await openWithLostCopy(t)
  const { one, key } = opened
  await plantRepaired(opened)
  one.heldIn('s3').set(key, { bytes: randomBytes(opened.photo.bytes.length), modifiedAt: new Date() })
  const report = await one.adopt({ isRebuild: false })
  assert.deepEqual([report.byKeyAlone, report.wrong], [0, 1])
  assert.equal((await one.assets()).length, 1)
})
