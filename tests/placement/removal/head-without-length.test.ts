/** A gateway before the bucket leaves the length out of its answers to HEAD: nothing is said of the size. */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { freshKey } from '../../../src/placement/keys.ts'
import { beginObject } from '../../../src/placement/ledger/replicas.ts'
import { sweepPlacement } from '../../../src/placement/maintenance/sweep.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { bodyOf } from '../../storage/contract/bodies.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { locationOfBackend, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const CREDENTIALS = { accessKeyId: 'gateway', secretAccessKey: 'gateway-secret' }

/** Passes everything on, but for the length of what a HEAD asks for. */
async function startGateway(t: TestContext, port: number): Promise<string> {
  const gateway = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    const passed = request({ host: '127.0.0.1', port, method, path: url, headers }, (answer) => {
      const told = { ...answer.headers }
      if (method === 'HEAD') delete told['content-length']
      outgoing.writeHead(answer.statusCode ?? 500, told)
      answer.pipe(outgoing)
    })
    incoming.pipe(passed)
  })
  gateway.listen(0, '127.0.0.1')
  await once(gateway, 'listening')
  t.after(() => gateway.close().closeAllConnections())
  return `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`
}

test('the right bytes of an upload that the ledger does not know as acknowledged are not taken for an empty file', async (t) => {
  const { db, pool, beforeDrop } = await testDatabase(t)
  const bucket = await startStrictS3({
    store: { kind: 'memory' },
    credentials: CREDENTIALS,
    buckets: ['photos'],
  })
  t.after(() => bucket.close())
  const endpoint = await startGateway(t, bucket.port)
  const settings = s3TestSettings({ endpoint, ...CREDENTIALS, bucket: 'photos' }, { prefix: '' })
  const backend = openS3Backend(settings, silentLog)
  const rig = await testPlacement(db, { remotes: [], extra: [locationOfBackend('s3', 's3', backend)] })
  beforeDrop(rig.close)

  const bytes = randomBytes(20_000)
  const what = { ownerId: randomUUID(), assetId: randomUUID(), kind: 'original', extension: 'jpg' } as const
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const object = { ...what, id: randomUUID(), size: bytes.length, sha256, contentType: 'image/jpeg' }
  const key = freshKey(what)
  await beginObject(db, object, { replicas: [{ locationId: 's3', key }], actor: 'test', leaseMs: 0 })
  const direct = openS3Backend(
    s3TestSettings({ endpoint: bucket.endpoint, ...CREDENTIALS, bucket: 'photos' }, { prefix: '' }),
    silentLog,
  )
  t.after(() => direct.close())
  await direct.put(key, bodyOf(bytes))
  await pool.query(`update stored_object set created_at = now() - interval '1 hour'`)

  await sweepPlacement(rig.placement)
  const held = (await bucket.stored.objects('photos')).map((one) => one.key)
  assert.ok(held.includes(key), 'they are there')
  assert.deepEqual(await placesOf(db, object.id), ['s3 writing'], 'and looked at again later')
})
