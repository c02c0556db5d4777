import assert from 'node:assert/strict'
import { test } from 'node:test'
import { migrate, readMigrations } from '../../src/database/migrate.ts'
import { silentLog } from '../../src/log.ts'
import { emptyDatabase } from '../support/postgres.ts'

const ids = (count: number) =>
  Array.from({ length: count }, (_, at) => `00000000-0000-4000-8000-00000000000${at}`)

test('the video of a still that is not in the trash comes out of it, and no other does', async (t) => {
  const { pool } = await emptyDatabase(t)
  const all = await readMigrations()
  const before = all.filter(({ name }) => name < '0023-stills-of-videos')
  await migrate(pool, silentLog, before)
  const [ofLiving, ofTrashed, ofNone, living, trashed] = ids(5) as [string, string, string, string, string]
  await pool.query(`insert into app_user (id, email, name, password_hash) values ($1, 'a@b.c', 'a', 'x')`, [
    living,
  ])
  const rows = [
    { id: ofLiving, visibility: 'hidden', isTrashed: true, video: null },
    { id: ofTrashed, visibility: 'hidden', isTrashed: true, video: null },
    { id: ofNone, visibility: 'timeline', isTrashed: true, video: null },
    { id: living, visibility: 'timeline', isTrashed: false, video: ofLiving },
    { id: trashed, visibility: 'timeline', isTrashed: true, video: ofTrashed },
  ]
  for (const { id, visibility, isTrashed, video } of rows) {
    await pool.query(
      `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
       values ($1::uuid, $2, 'original', 1, sha256($1::uuid::text::bytea), 'video/mp4', 'mp4')`,
      [id, living],
    )
    await pool.query(
      `insert into asset (id, owner_id, type, checksum, original_object_id, original_file_name, original_mime_type,
         file_size, file_created_at, file_modified_at, local_date_time, visibility, deleted_at, live_photo_video_id)
       values ($1::uuid, $2, 'VIDEO', substring(sha256($1::uuid::text::bytea) for 20), $1::uuid, 'a.mov', 'video/mp4',
         1, now(), now(), now(), $3, case when $4 then now() end, $5)`,
      [id, living, visibility, isTrashed, video],
    )
  }
  await migrate(pool, silentLog, all)
  const left = await pool.query<{ id: string }>(
    'select id from asset where deleted_at is not null order by id',
  )
  assert.deepEqual(
    left.rows.map(({ id }) => id),
    [ofTrashed, ofNone, trashed],
  )
})
