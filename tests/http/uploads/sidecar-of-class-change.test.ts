/**
 * A sidecar whose named bytes are lost, while the right ones lie under a key that no replica names: it is not
 * replaced by another one.
 */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { changeClass } from '../../../src/placement/classes/change-class.ts'
import { beginClassChange } from '../../../src/placement/classes/class-changes.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { noteKeyToClear } from '../../../src/placement/ledger/keys-to-clear.ts'
import type { Replica } from '../../../src/placement/ledger/objects.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { bodyOf } from '../../storage/contract/bodies.ts'
import { type DirectServer, startDirectServer } from '../../support/http/direct-upload.ts'
import { placesOf } from '../../support/placement.ts'
import { photo } from '../../support/server-with-bucket.ts'
import { passClassTime } from '../../support/storage/class-bucket.ts'

/** Larger than what the class takes for its price. */
const xmp = (rating: number) =>
  `<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="${rating}"/></rdf:RDF></x:xmpmeta>${' '.repeat(200 * 1024)}`

async function post({ admin }: DirectServer, bytes: Buffer, sidecar: string): Promise<Response> {
  const form = new FormData()
  const now = new Date().toISOString()
  form.set('fileCreatedAt', now)
  form.set('fileModifiedAt', now)
  form.set('assetData', new Blob([new Uint8Array(bytes)]), 'photo.jpg')
  form.set('sidecarData', new Blob([sidecar]), 'photo.jpg.xmp')
  return admin.call('/assets', { method: 'POST', body: form })
}

/** A photo with a sidecar of rating 3 at one place. */
async function startWithSidecar(t: TestContext, { at }: { at: 's3' | 'local' }) {
  const server = await startDirectServer(t)
  const { placement, bucket, db } = server
  Object.assign(placement.policy, { sidecar: [at] })
  const bytes = await photo()
  const { id } = (await (await post(server, bytes, xmp(3))).json()) as { id: string }
  await server.runJobs()
  const linked = async () =>
    (
      await db
        .selectFrom('asset_file')
        .select('object_id')
        .where('asset_id', '=', id)
        .where('kind', '=', 'sidecar')
        .executeTakeFirstOrThrow()
    ).object_id
  const sidecar = await linked()
  assert.deepEqual(await placesOf(db, sidecar), [`${at} verified`])
  const named = async (): Promise<Replica> => (await loadObject(db, sidecar))!.replicas[0]!
  const sendAnother = () => post(server, bytes, xmp(5))
  /** The one fault: the bucket loses the copy that the replica names. */
  const loseNamed = async () => {
    const { key } = await named()
    const held = await bucket.stored.objects()
    await bucket.stored.vanish(held.find((one) => one.key.endsWith(key))!.key)
  }
  /** It stays the asset's, and is safe when all that was noted is cleared. */
  const assertKept = async () => {
    await server.runJobs()
    await passClassTime(db)
    await server.pool.query('update key_to_clear set clear_at = now(), retry_at = null')
    await sweepPlacement(placement)
    await server.runJobs()
    assert.equal(await linked(), sidecar)
    assert.deepEqual(await placesOf(db, sidecar), [`${at} verified`])
    const { stream } = await placement.locations.get(at)!.backend.get((await named()).key)
    assert.equal(Buffer.concat(await stream.toArray()).toString(), xmp(3))
  }
  return { server, sidecar, linked, named, sendAnother, loseNamed, assertKept }
}

type Started = Awaited<ReturnType<typeof startWithSidecar>>

async function changeItsClass({ server: { placement }, sidecar }: Started): Promise<void> {
  Object.assign(placement, { classes: { sidecar: { class: 'STANDARD_IA', rules: [] } } })
  await changeClass(placement, { objectId: sidecar, at: 's3' })
}

for (const isAnotherSent of [false, true])
  test(`a sidecar whose copy was lost after a class change comes back from the old key${isAnotherSent ? ', also when another one is sent' : ''}`, async (t) => {
    const started = await startWithSidecar(t, { at: 's3' })
    await changeItsClass(started)
    await started.loseNamed()
    if (isAnotherSent) assert.equal((await started.sendAnother()).status, 200)
    await started.assertKept()
  })

test('a sidecar whose last copy was put anew, and lost, comes back from the key before, also when another one is sent', async (t) => {
  const started = await startWithSidecar(t, { at: 's3' })
  const { server, sidecar, named } = started
  // An eviction that was cut short, and that nothing stands for any more: its last copy is put anew.
  await server.pool.query('alter table replica disable trigger user')
  await server.pool.query(
    `update replica set state = 'evicting', removal = 'other-copy', lease_expires_at = now() - interval '1 minute' where object_id = $1`,
    [sidecar],
  )
  await server.pool.query('alter table replica enable trigger user')
  const before = await named()
  await evictReplica(server.placement, { objectId: sidecar, from: 's3' })
  assert.notEqual((await named()).key, before.key)
  await started.loseNamed()
  assert.equal((await started.sendAnother()).status, 200)
  await started.assertKept()
})

test('a sidecar on this disk comes back from a key that is looked after', async (t) => {
  const started = await startWithSidecar(t, { at: 'local' })
  const { server, sidecar, named } = started
  const { placement, db } = server
  const { object } = (await loadObject(db, sidecar))!
  const key = freshKey(object)
  await noteKeyToClear(db, { objectId: sidecar, locationId: 'local', key }, 0)
  await placement.local.backend.put(key, bodyOf(Buffer.from(xmp(3))), {})
  await rm(join(placement.mediaLocation, (await named()).key))
  assert.equal((await started.sendAnother()).status, 200)
  assert.equal((await named()).key, key)
  await started.assertKept()
})

test('a sidecar that the bucket holds under its old key, and can not take anew, is not replaced', async (t) => {
  const started = await startWithSidecar(t, { at: 's3' })
  const { server, sidecar, linked } = started
  await changeItsClass(started)
  await started.loseNamed()
  const fault = server.bucket.faults.add({
    match: { method: 'PUT', key: /\/sidecar\./ },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  const refused = await started.sendAnother()
  assert.equal(refused.status, 503)
  assert.match(((await refused.json()) as { message: string }).message, /s3 holds it, and takes no further/)
  assert.equal(await linked(), sidecar)
  fault.remove()
  await started.assertKept()
})

test('a sidecar is not replaced while a copy of it may still come, and is when none can', async (t) => {
  const started = await startWithSidecar(t, { at: 's3' })
  const { server, sidecar, named, linked } = started
  const { placement, db } = server
  const { key: fromKey } = await named()
  const change = {
    objectId: sidecar,
    locationId: 's3',
    fromKey,
    toKey: freshKey((await loadObject(db, sidecar))!.object),
    toClass: 'STANDARD_IA',
    keyToDelete: null,
  }
  assert.ok(await beginClassChange(db, change, { actor: 'test', leaseMs: 60_000 }))
  await started.loseNamed()
  assert.equal((await started.sendAnother()).status, 503)
  // Its writer is dead: the copy is given up, and may have been asked for.
  await passClassTime(db)
  await sweepPlacement(placement)
  assert.equal((await started.sendAnother()).status, 503)
  assert.equal(await linked(), sidecar)
  await passClassTime(db)
  await sweepPlacement(placement)
  assert.equal((await started.sendAnother()).status, 200)
  assert.notEqual(await linked(), sidecar)
})
