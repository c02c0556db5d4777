/**
 * kill -9 in the middle of an offload that goes in parts: while it is begun, while its parts are sent, and
 * while they become an object. Each time the bucket holds the server up at that very step, so that the kill
 * is known to have cut it. In the end no part is left that somebody would pay for without knowing, and every
 * byte that was acknowledged is there.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { OperationName } from 'strict-s3/operation-names'
import { eventually } from '../support/eventually.ts'
import {
  drained,
  heldKeys,
  probed,
  type ServerWithBucket,
  startServerWithBucket,
} from '../support/server-with-bucket.ts'
import { WRITE_LEASE_SECONDS } from '../support/spawn-server.ts'

const MIB = 1024 * 1024
const LIMIT_MS = 180_000
let running: ServerWithBucket

before(async () => {
  running = await startServerWithBucket({ upload: `writeLeaseSeconds: ${WRITE_LEASE_SECONDS}` })
  await probed(running.client)
})
after(() => running?.close())

/** Each of a file with an extension of its own, by which the fault meets no earlier file's next try. */
const CUTS: { operation: OperationName; commit: boolean; after: number; extension: string }[] = [
  { operation: 'CreateMultipartUpload', commit: true, after: 0, extension: 'mp4' },
  { operation: 'UploadPart', commit: false, after: 1, extension: 'mov' },
  { operation: 'CompleteMultipartUpload', commit: false, after: 0, extension: 'mkv' },
  { operation: 'CompleteMultipartUpload', commit: true, after: 0, extension: 'webm' },
]

test('large offloads that kill -9 cuts leave no part behind, and lose nothing', {
  timeout: 600_000,
}, async (t) => {
  const { bucket } = running
  const uploaded = new Map<string, string>()
  for (const { operation, commit, after, extension } of CUTS) {
    const bytes = randomBytes(33 * MIB)
    const held = bucket.faults.add({
      match: { operation, key: new RegExp(`^users/.*\\.${extension}$`) },
      after,
      fault: { kind: 'hang', commit },
    })
    const { id } = await running.client.upload(bytes, `film.${extension}`)
    uploaded.set(id, createHash('sha256').update(bytes).digest('hex'))
    await eventually(() => assert.ok(held.hits > 0), LIMIT_MS)
    await running.server.kill9()
    bucket.faults.clear()
    const left = await bucket.stored.unfinishedUploads()
    t.diagnostic(`killed during ${operation}${commit ? ', which was done' : ''}: ${left.length} unfinished`)
    if (!(operation === 'CompleteMultipartUpload' && commit)) {
      assert.ok(
        left.some(({ key }) => key.includes(id)),
        'the kill left an upload in the middle',
      )
    }
    await running.start()
  }
  await drained(running.client, LIMIT_MS)
  // A probe that a kill cut is the next probe's to clear up.
  const left = (await bucket.stored.unfinishedUploads()).filter(({ key }) => key.startsWith('users/'))
  assert.deepEqual(left, [], 'parts are left, and paid for')
  for (const [id, sha256] of uploaded) assert.equal(await running.client.sha256OfOriginal(id), sha256)
  const keys = await heldKeys(bucket)
  for (const id of uploaded.keys()) {
    const originals = keys.filter((key) => key.includes(`${id}/original.`))
    assert.equal(originals.length, 1, 'one object each, and no other one that no row tells of')
  }
})
