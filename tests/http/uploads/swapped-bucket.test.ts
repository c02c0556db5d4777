/** Direct uploads in parts while another bucket, or one with another database, answers at the address. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type TestContext, test } from 'node:test'
import { forgetLooks } from '../../../src/placement/locations/counter/confirmations.ts'
import { MARKER_NAME } from '../../../src/storage/object-key.ts'
import {
  ask,
  type DirectServer,
  post,
  sendParts,
  startDirectServer,
} from '../../support/http/direct-upload.ts'

const PART_BYTES = 512 * 1024
const IN_PARTS_BYTES = 6.5 * PART_BYTES

const start = (t: TestContext): Promise<DirectServer> =>
  startDirectServer(t, {
    profile: { minPartBytes: PART_BYTES },
    settings3: { partBytes: PART_BYTES },
    maxPutBytes: 6 * PART_BYTES,
  })

const uploadIds = async ({ pool }: DirectServer) =>
  (await pool.query<{ upload_id: string }>('select upload_id from replica where upload_id is not null')).rows

test('no upload in parts is begun where another database is', async (t) => {
  const server = await start(t)
  const upload = await ask(server.admin, randomBytes(IN_PARTS_BYTES), 'film.mp4')
  await server.pool.query(
    `update location_counter set conflict = 'another-ledger', conflict_since = now() where location_id = 's3'`,
  )
  forgetLooks(server.placement)
  const part = { number: 1, size: PART_BYTES, md5: '0'.repeat(32) }
  const answer = await post(server.admin, `/${upload.id}/parts`, { parts: [part] })
  assert.equal(answer.status, 409, await answer.text())
  assert.deepEqual(await uploadIds(server), [{ upload_id: '' }])
  const { multipart } = server.placement.locations.get('s3')!.backend
  assert.deepEqual(await Array.fromAsync(multipart!.listUnfinished('')), [])
})

test('that another bucket of the name knows nothing of an upload is no reason to forget it', async (t) => {
  const server = await start(t)
  const bytes = randomBytes(IN_PARTS_BYTES)
  const upload = await ask(server.admin, bytes, 'film.mp4')
  await sendParts(server.admin, upload, bytes, [1, 2])
  const before = await uploadIds(server)
  const fault = server.bucket.faults.add({
    match: { operation: 'ListParts' },
    fault: { kind: 'status', status: 404, code: 'NoSuchUpload' },
  })
  const keys = (await server.bucket.stored.objects()).map(({ key }) => key)
  await server.bucket.stored.vanish(keys.find((key) => key.endsWith(MARKER_NAME))!)
  const answer = await server.admin.call(`/storage/uploads/${upload.id}`)
  assert.notEqual(answer.status, 200, 'no parts would mean: send them all again')
  assert.deepEqual(await uploadIds(server), before)
  assert.ok(before[0]?.upload_id)
  assert.equal(fault.hits, 1)
})
