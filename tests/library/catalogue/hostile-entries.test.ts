/**
 * Entries of a catalogue that somebody who can write to the bucket has made up, and lines that are damaged.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { AssetEntry } from '../../../src/library/catalogue/entries.ts'
import { writeCatalogue } from '../../../src/library/catalogue/write-catalogue.ts'
import {
  addSidecar,
  entriesOf,
  headsOf,
  type Installation,
  openInstallation,
  plant,
  sidecarOf,
} from './support.ts'

const EVE = '0e0e0e0e-0000-4000-8000-00000000000e'
const AT = '2024-05-06T07:08:09.000Z'

/** Puts the bytes of a sidecar where the entry of an asset says that they are. */
function plantSidecar(one: Installation, owner: string, assetId: string): NonNullable<AssetEntry['sidecar']> {
  const bytes = Buffer.from(`<x:xmpmeta>${randomBytes(8).toString('hex')}</x:xmpmeta>`)
  const key = `users/${owner}/${assetId}/sidecar.${randomBytes(16).toString('hex')}.xmp`
  one.heldIn('s3').set(key, { bytes, modifiedAt: new Date() })
  return {
    ...{ id: randomUUID(), size: bytes.length, contentType: 'application/xml', extension: 'xmp' },
    sha256: createHash('sha256').update(bytes).digest('hex'),
    keys: { s3: key },
  }
}

const isPurging = async ({ pool }: Installation, objectId: string) =>
  (await pool.query('select state from stored_object where id = $1', [objectId])).rows[0]?.state !== 'live'

test("an entry of another owner can't replace the sidecar of somebody's photo", async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const { id } = await one.upload(anna.id)
  const own = await addSidecar(one, id)
  await one.write()
  const [known] = await entriesOf(one)
  const parents = await headsOf(one)
  const user = { id: EVE, email: 'eve@example.org', name: 'Eve', isAdmin: false, createdAt: AT }
  const sidecar = plantSidecar(one, EVE, id)
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents }, [
    { user: { ...user, deletedAt: null } },
    { asset: { ...known!, owner: EVE, original: { ...known!.original, keys: {} }, sidecar } },
  ])
  const report = await one.adopt({ isRebuild: false })
  assert.equal(report.sidecars, 0)
  assert.equal(report.refused.count, 1)
  assert.match(report.refused.examples.join(), /sidecar.*another/)
  assert.equal(await sidecarOf(one, id), own)
  assert.equal(await isPurging(one, own), false)
})

test('a sidecar that was changed here, or of a state that does not follow ours, replaces nothing', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const [changed, aside] = [await one.upload(anna.id, 'a.jpg'), await one.upload(anna.id, 'b.jpg')]
  const own = [await addSidecar(one, changed.id), await addSidecar(one, aside.id)]
  await one.write()
  const entries = await entriesOf(one)
  const withSidecar = (id: string) => ({
    asset: { ...entries.find((entry) => entry.id === id)!, sidecar: plantSidecar(one, anna.id, id) },
  })
  const installation = await one.installation()
  await plant(one.heldIn('s3'), { installation, parents: await headsOf(one) }, [withSidecar(changed.id)])
  // Of a state that never knew what this database has written.
  await plant(one.heldIn('s3'), { installation }, [withSidecar(aside.id)])
  await one.pool.query('update asset set is_favorite = true where id = $1', [changed.id])
  const report = await one.adopt({ isRebuild: false, isFresh: false })
  assert.equal(report.sidecars, 0)
  assert.deepEqual([await sidecarOf(one, changed.id), await sidecarOf(one, aside.id)], own)
  for (const id of own) assert.equal(await isPurging(one, id), false)
})

test('it replaces nothing either where changes were forgotten, since no catalogue is kept', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const { id } = await one.upload(anna.id)
  await addSidecar(one, id)
  await one.write()
  const [known] = await entriesOf(one)
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents: await headsOf(one) }, [
    { asset: { ...known!, sidecar: plantSidecar(one, anna.id, id) } },
  ])
  Object.assign(one.placement.settings, { catalogueEveryMs: 0 })
  const changed = await addSidecar(one, id)
  await writeCatalogue(one)
  const report = await one.adopt({ isRebuild: false, isFresh: false })
  assert.equal(report.sidecars, 0)
  assert.equal(await sidecarOf(one, id), changed)
  assert.equal(await isPurging(one, changed), false)
})

test('the sidecar of a later state takes the place of the one before', async (t) => {
  const one = await openInstallation(t)
  const anna = await one.user()
  const { id } = await one.upload(anna.id)
  const own = await addSidecar(one, id)
  await one.write()
  const [known] = await entriesOf(one)
  const sidecar = plantSidecar(one, anna.id, id)
  // The photo was changed with it, which is no change that somebody has made here.
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents: await headsOf(one) }, [
    { asset: { ...known!, localDateTime: '2020-01-02 03:04:05', sidecar } },
  ])
  const report = await one.adopt({ isRebuild: false })
  assert.equal(report.sidecars, 1)
  assert.equal(await sidecarOf(one, id), sidecar.id)
  assert.equal(await isPurging(one, own), true)
})

test('the second copy of a sidecar that is there already does not give it up', async (t) => {
  const buckets = ['s3', 'second']
  const one = await openInstallation(t, { buckets })
  const anna = await one.user()
  const { id } = await one.upload(anna.id)
  await one.write()
  const [known] = await entriesOf(one)
  const sidecar = plantSidecar(one, anna.id, id)
  const key = sidecar.keys.s3!
  one.heldIn('second').set(key, one.heldIn('s3').get(key)!)
  await plant(one.heldIn('s3'), { installation: await one.installation(), parents: await headsOf(one) }, [
    { asset: { ...known!, sidecar: { ...sidecar, keys: { s3: key, second: key } } } },
  ])
  const report = await one.adopt({ isRebuild: false })
  assert.equal(report.sidecars, 1)
  assert.equal(await sidecarOf(one, id), sidecar.id)
  assert.equal(await isPurging(one, sidecar.id), false)
  const { rows } = await one.pool.query(
    'select location_id, state from replica where object_id = $1 order by 1',
    [sidecar.id],
  )
  assert.deepEqual(
    rows.map(({ location_id, state }) => `${location_id} ${state}`),
    ['s3 verified', 'second verified'],
  )
})
