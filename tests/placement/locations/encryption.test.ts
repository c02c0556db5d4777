/** What another encryption, or a wrong key, means for what the ledger knows of a bucket. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type StrictS3, startStrictS3 } from 'strict-s3'
import { silentLog } from '../../../src/log.ts'
import { loadObject } from '../../../src/placement/ledger/replicas.ts'
import { evictReplica } from '../../../src/placement/lifecycle/evict.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { checkLocations } from '../../../src/placement/locations/health.ts'
import { confirmLocation, probeLocation } from '../../../src/placement/locations/locations.ts'
import { openChanges } from '../../../src/placement/locations/probe-changes.ts'
import { confirmedCopy } from '../../../src/placement/removal/twins.ts'
import { checkFully } from '../../../src/placement/replica-io/verify.ts'
import { RetryLater } from '../../../src/queue/retry-later.ts'
import { probeS3 } from '../../../src/storage/s3/probe/probe.ts'
import { describeEncryption, type S3Encryption } from '../../../src/storage/s3/requests/encryption.ts'
import { openS3Backend } from '../../../src/storage/s3/s3.ts'
import { s3TestSettings } from '../../storage/contract/s3-subject.ts'
import { ingestBytes, locationOfBackend, placesOf, testPlacement } from '../../support/placement.ts'
import { testDatabase } from '../../support/postgres.ts'

const credentials = { accessKeyId: 'suite', secretAccessKey: 'suite-secret' }
const KMS: S3Encryption = {
  type: 'sse-kms',
  keyId: 'a-key',
  bucketKey: true,
  context: null,
  previousKeys: [],
}
const ours = (key: Buffer): S3Encryption => ({ type: 'sse-c', key, previousKeys: [] })

let database: Awaited<ReturnType<typeof testDatabase>>
let server: StrictS3
let mediaLocation: string
let rigs: Awaited<ReturnType<typeof testPlacement>>[]
let probes: number

beforeEach(async () => {
  database = await testDatabase()
  server = await startStrictS3({ store: { kind: 'memory' }, credentials, buckets: ['photos'] })
  mediaLocation = await mkdtemp(join(tmpdir(), 'glassine-encryption-'))
  rigs = []
  probes = 0
})
afterEach(async () => {
  for (const rig of rigs) await rig.close()
  await server.close()
  await database.drop()
  await rm(mediaLocation, { recursive: true, force: true })
})

/** As a process that starts with this configuration on the same database, disk and bucket. */
async function start(encryption: S3Encryption | null) {
  const settings = s3TestSettings(
    { endpoint: server.endpoint, ...credentials, bucket: 'photos' },
    { encryption },
  )
  const asked = describeEncryption(encryption)
  const bucket = {
    ...locationOfBackend('bucket', 's3', openS3Backend(settings, silentLog)),
    ...(asked !== null && { encryption: asked }),
    ...(encryption?.type === 'sse-kms' && { isKeyElsewhere: true }),
    probe: () => {
      probes += 1
      return probeS3(settings, silentLog)
    },
  }
  const { db } = database
  const rig = await testPlacement(db, { remotes: [], originals: ['bucket'], extra: [bucket], mediaLocation })
  rigs.push(rig)
  return { placement: rig.placement, bucket }
}

test('with another encryption a bucket is probed before the next write, once, and has not changed', async () => {
  const before = await start(null)
  await probeLocation(before.placement, 'bucket')
  assert.deepEqual(before.bucket.backend.features.attestedDigests, ['md5', 'sha256'])

  const { placement, bucket } = await start(KMS)
  await Promise.all([confirmLocation(placement, bucket), confirmLocation(placement, bucket)])
  assert.equal(probes, 2)
  assert.deepEqual(bucket.backend.features.attestedDigests, ['sha256'])
  assert.equal(bucket.backend.features.multipartEtagIsMd5OfParts, false)
  assert.deepEqual([...(await openChanges(database.db))], [])
  await confirmLocation(placement, bucket)
  const again = await start(KMS)
  await confirmLocation(again.placement, again.bucket)
  assert.deepEqual(again.bucket.backend.features.attestedDigests, ['sha256'])
  assert.equal(probes, 2)
  const without = await start(null)
  await confirmLocation(without.placement, without.bucket)
  assert.equal(probes, 3)
})

test('no copy is given up for one whose key opens nothing any more, although a HEAD says that it is there', async () => {
  const { placement } = await start(KMS)
  await probeLocation(placement, 'bucket')
  const objectId = await ingestBytes(placement, randomBytes(1_000))
  await replicateObject(placement, { objectId, to: 'bucket' })
  const off = server.faults.add({
    match: { operation: 'GetObject', key: /users\// },
    fault: { kind: 'status', status: 403, code: 'AccessDenied' },
  })
  const evict = () => evictReplica(placement, { objectId, from: 'local' })
  await assert.rejects(evict(), RetryLater)
  assert.ok(off.hits > 0)
  const loaded = (await loadObject(database.db, objectId))!
  const away = loaded.replicas.filter(({ locationId }) => locationId === 'bucket')
  const asTwin = () => confirmedCopy(placement, { ...loaded, replicas: away })
  assert.equal(await asTwin(), null, 'nor for one that is there twice')
  assert.deepEqual(await placesOf(database.db, objectId), ['bucket verified', 'local verified'])
  server.faults.clear()
  const reads = server.faults.add({
    match: { operation: 'GetObject', key: /users\// },
    fault: { kind: 'delay', ms: 0 },
  })
  await evict()
  assert.equal(reads.hits, 1)
  assert.ok(await asTwin())
  assert.deepEqual(await placesOf(database.db, objectId), ['bucket verified'])
})

test('SSE-C that the service ignores: the new setting is refused before anything is written', async () => {
  const before = await start(null)
  await probeLocation(before.placement, 'bucket')
  server.profile.ignoresCustomerKeys = true
  const { placement, bucket } = await start(ours(randomBytes(32)))
  await assert.rejects(confirmLocation(placement, bucket), /did not encrypt/)
  const objectId = await ingestBytes(placement, randomBytes(1_000))
  await assert.rejects(replicateObject(placement, { objectId, to: 'bucket' }))
  assert.ok((await placesOf(database.db, objectId)).includes('local verified'))
  assert.ok((await server.stored.objects()).every(({ key }) => !key.includes('users/')))
})

test('with a wrong key nothing is missing, doubted or removed, and the right one finds all as it was', async () => {
  const { db } = database
  const key = randomBytes(32)
  const right = await start(ours(key))
  await probeLocation(right.placement, 'bucket')
  const objectId = await ingestBytes(right.placement, randomBytes(1_000))
  await replicateObject(right.placement, { objectId, to: 'bucket' })
  const places = await placesOf(db, objectId)
  assert.deepEqual(places, ['bucket verified', 'local verified'])
  const held = await server.stored.objects()

  const { placement, bucket } = await start(ours(randomBytes(32)))
  const { object, replicas } = (await loadObject(db, objectId))!
  const replica = replicas.find(({ locationId }) => locationId === 'bucket')!
  const check = await checkFully(placement, object, replica)
  assert.equal(check.answer, 'unknown')
  assert.match(check.reason, /fingerprint/)
  await assert.rejects(confirmLocation(placement, bucket), /fingerprint/)
  await checkLocations(placement)
  const row = await db.selectFrom('location').selectAll().where('id', '=', 'bucket').executeTakeFirstOrThrow()
  assert.equal(row.is_healthy, false)
  assert.match(row.health_error ?? '', /encrypted with the key of fingerprint [0-9a-f]{16}/)
  await assert.rejects(evictReplica(placement, { objectId, from: 'local' }))
  assert.deepEqual(await placesOf(db, objectId), places)
  assert.deepEqual(await server.stored.objects(), held)

  const again = await start(ours(key))
  await checkLocations(again.placement)
  assert.equal((await checkFully(again.placement, object, replica)).answer, 'same')
  await evictReplica(again.placement, { objectId, from: 'local' })
  assert.deepEqual(await placesOf(db, objectId), ['bucket verified'])
})
