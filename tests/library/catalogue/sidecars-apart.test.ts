/** Sidecars that belong at another place than their originals, which is listed before it. */
import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { addSidecar, entriesOf, headsOf, moveBucket, openInstallation, plant, sidecarOf } from './support.ts'

/** The database is lost; the bucket has the original, and the media disk, which survived, the sidecar. */
async function openWithSurvivingDisk(t: TestContext) {
  const [from, to] = [await openInstallation(t), await openInstallation(t)]
  const anna = await from.user()
  const { id } = await from.upload(anna.id)
  const sidecar = await addSidecar(from, id)
  await from.write()
  const [entry] = await entriesOf(from)
  assert.deepEqual(Object.keys(entry!.sidecar!.keys), ['local'])
  await moveBucket(from, to)
  const file = join(to.mediaLocation, entry!.sidecar!.keys.local!)
  await cp(join(from.mediaLocation, entry!.sidecar!.keys.local!), file)
  return { from, to, id, sidecar, entry: entry!, file }
}

test('a sidecar that is listed before its photo comes back', async (t) => {
  const { to, id, sidecar } = await openWithSurvivingDisk(t)
  const report = await to.adopt()
  assert.deepEqual([report.assets, report.sidecars, report.missingSidecars], [1, 1, 0])
  assert.equal(await sidecarOf(to, id), sidecar)
  const { rows } = await to.pool.query('select location_id, state from replica where object_id = $1', [
    sidecar,
  ])
  assert.deepEqual(rows, [{ location_id: 'local', state: 'verified' }])
})

test('it comes back as well under a key that the catalogue does not name', async (t) => {
  const { from, to, id, sidecar, entry } = await openWithSurvivingDisk(t)
  await plant(to.heldIn('s3'), { installation: await from.installation(), parents: await headsOf(from) }, [
    { asset: { ...entry, sidecar: { ...entry.sidecar!, keys: {} } } },
  ])
  assert.equal((await to.adopt()).sidecars, 1)
  assert.equal(await sidecarOf(to, id), sidecar)
})

test('a sidecar that is nowhere is told, and comes back when its file does', async (t) => {
  const { from, to, id, sidecar, entry, file } = await openWithSurvivingDisk(t)
  await rm(file)
  const report = await to.adopt()
  assert.deepEqual([report.assets, report.sidecars, report.missingSidecars], [1, 0, 1])
  await cp(join(from.mediaLocation, entry.sidecar!.keys.local!), file)
  const again = await to.adopt({ isRebuild: false, isFresh: false })
  assert.deepEqual([again.sidecars, again.missingSidecars], [1, 0])
  assert.equal(await sidecarOf(to, id), sidecar)
})

test('a file with other bytes is no sidecar of the photo', async (t) => {
  const { from, to, id, entry, file } = await openWithSurvivingDisk(t)
  await rm(file)
  const other = await openInstallation(t)
  const eve = await other.user()
  await addSidecar(other, (await other.upload(eve.id)).id)
  const [foreign] = await entriesOf(other)
  assert.equal(foreign!.sidecar!.size, entry.sidecar!.size)
  await cp(join(other.mediaLocation, foreign!.sidecar!.keys.local!), file)
  const report = await to.adopt()
  assert.deepEqual([report.sidecars, report.wrong, report.missingSidecars], [0, 1, 1])
  assert.equal(await sidecarOf(to, id), undefined)
  assert.equal((await from.assets()).length, 1)
})
