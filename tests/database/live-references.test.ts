/** The database's own fence: nothing of the library refers to an object that is on its way out. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { markForPurge } from '../../src/placement/lifecycle/purge.ts'
import { ingestBytes } from '../support/placement.ts'
import { startTestServer } from '../support/server.ts'

test('a file, an original and a profile picture must be live', async (t) => {
  const { admin, db, placement, pool } = await startTestServer(t)
  const { id: assetId } = await admin.upload(randomBytes(1_000), 'photo.jpg')
  const objectId = await ingestBytes(placement, randomBytes(1_000), { kind: 'sidecar' })
  const statements = [
    `insert into asset_file (asset_id, kind, object_id) values ('${assetId}', 'sidecar', '${objectId}')`,
    `update asset_file set object_id = '${objectId}'`,
    `update asset set original_object_id = '${objectId}'`,
    `update app_user set profile_image_object_id = '${objectId}'`,
  ]
  const [insert, update, ...others] = statements as [string, string, string, string]
  await pool.query(insert)
  await db.transaction().execute((tx) => markForPurge(tx, [objectId], 'refused'))
  for (const statement of [update, ...others])
    await assert.rejects(pool.query(statement), { code: 'GL004' }, statement)
  await pool.query('delete from asset_file')
  await assert.rejects(pool.query(insert), { code: 'GL004' })
})

test('a purge waits for whoever makes something refer to the object', async (t) => {
  const { admin, db, placement, pool } = await startTestServer(t)
  const { id: assetId } = await admin.upload(randomBytes(1_000), 'photo.jpg')
  const objectId = await ingestBytes(placement, randomBytes(1_000), { kind: 'sidecar' })
  const linking = await pool.connect()
  t.after(() => linking.release())
  await linking.query('begin')
  await linking.query(
    `insert into asset_file (asset_id, kind, object_id) values ('${assetId}', 'sidecar', '${objectId}')`,
  )
  await assert.rejects(
    db.transaction().execute(async (tx) => {
      await tx
        .selectFrom('stored_object')
        .select('id')
        .where('id', '=', objectId)
        .forUpdate()
        .noWait()
        .execute()
    }),
    { code: '55P03' },
  )
  await linking.query('commit')
})
