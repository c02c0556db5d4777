/**
 * Random histories of two users, several requests at once: what the database keeps of counts is what a full
 * count of the assets says, after every step, merged or not.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { readMigrations } from '../../src/database/migrate.ts'
import { mergeCounts } from '../../src/library/assets/asset-counts.ts'
import { purgeExpiredTrash } from '../../src/library/assets/trash.ts'
import type { Client } from '../support/client.ts'
import { sendJson } from '../support/http/live-photos.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

const GROUP = 'owner_id, month, type, visibility, is_trashed, is_favorite'
const COUNTED = `select owner_id, date_trunc('month', local_date_time)::date::text as month, type, visibility,
  deleted_at is not null as is_trashed, is_favorite, count(*)::text as assets,
  sum(coalesce(round(width::numeric / height, 9), 1))::float8 as ratio, sum(file_size)::text as bytes
  from asset group by 1, 2, 3, 4, 5, 6 order by 1, 2, 3, 4, 5, 6`
const KEPT = `select owner_id, month::text, type, visibility, is_trashed, is_favorite, sum(assets)::text as assets,
  sum(ratio)::float8 as ratio, sum(bytes)::text as bytes
  from asset_count group by ${GROUP} having sum(assets) <> 0 or sum(ratio) <> 0 or sum(bytes) <> 0
  order by ${GROUP}`

const who = fc.constantFrom(0, 1)
const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 4 })
const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('upload' as const),
      who,
      fileName: fc.constantFrom('a.jpg', 'b.mp4'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('change' as const),
      who,
      picks,
      to: fc.constantFrom(
        { isFavorite: true },
        { isFavorite: false },
        { visibility: 'archive' },
        { visibility: 'timeline' },
        { dateTimeOriginal: '2019-07-31T23:30:00.000Z' },
        { dateTimeOriginal: '2019-08-01T00:00:00.000Z' },
        { description: 'of no account' },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('measure' as const),
      who,
      picks,
      width: fc.integer({ min: 1, max: 9_000 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trash' as const), who, picks }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restore' as const), who, picks }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), who, picks }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('expire' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('empty' as const), who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('merge' as const) }) },
)
type Command = typeof command extends fc.Arbitrary<infer One> ? One : never
type World = { server: TestServer; users: Client[]; ids: string[][] }

test('counts are kept as a full count finds them, whatever happens at once', async (t) => {
  const server = await startTestServer(t)
  const users = [server.admin, await server.newUser('other')]
  const world: World = { server, users, ids: [[], []] }
  let compared = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(command, { minLength: 1, maxLength: 4 }), { minLength: 4, maxLength: 12 }),
      async (steps) => {
        for (const step of steps) {
          await Promise.all(step.map((one) => run(world, one)))
          compared += await compare(world)
        }
        await compareAnswers(world)
      },
    ),
    { numRuns: Number(process.env.MODEL_RUNS ?? 20), endOnFailure: true },
  )
  assert.ok(compared > 100, `${compared} groups were compared: too little has happened`)

  await mergeCounts(server.db)
  const { rows } = await server.pool.query(
    'select count(*)::int as count from asset_count where not is_merged',
  )
  assert.equal(rows[0].count, 0)
  await compare(world)

  // An older database gets them from the assets that it has.
  await server.pool.query(`drop table asset_count; drop function ratio_of, count_added_assets, count_removed_assets,
    count_changed_asset cascade`)
  const migration = (await readMigrations()).find(({ name }) => name === '0053-asset-counts')
  await server.pool.query(migration!.text)
  await compare(world)
})

async function run({ server, users, ids }: World, step: Command): Promise<void> {
  const { pool } = server
  const some = (owner: number, numbers: number[]) =>
    ids[owner]!.length === 0
      ? []
      : [...new Set(numbers.map((number) => ids[owner]![number % ids[owner]!.length]!))]
  switch (step.do) {
    case 'upload': {
      const { id } = await users[step.who]!.upload(randomBytes(100), step.fileName)
      ids[step.who]!.push(id)
      return
    }
    case 'change':
      // Some are deleted already, or meanwhile: what is refused changes nothing.
      await sendJson(users[step.who]!, 'PUT', '/assets', { ids: some(step.who, step.picks), ...step.to })
      return
    case 'measure':
      await pool.query('update asset set width = $2, height = 3000 where id = any($1::uuid[])', [
        some(step.who, step.picks),
        step.width,
      ])
      return
    case 'trash':
      await sendJson(users[step.who]!, 'DELETE', '/assets', { ids: some(step.who, step.picks) })
      return
    case 'restore':
      await sendJson(users[step.who]!, 'POST', '/trash/restore/assets', { ids: some(step.who, step.picks) })
      return
    case 'delete':
      await sendJson(users[step.who]!, 'DELETE', '/assets', { ids: some(step.who, step.picks), force: true })
      return
    case 'expire':
      await pool.query(
        `update asset set deleted_at = now() - interval '31 days' where deleted_at is not null`,
      )
      await purgeExpiredTrash(server.db)
      return
    case 'empty':
      await sendJson(users[step.who]!, 'POST', '/trash/empty', {})
      return
    case 'merge':
      await mergeCounts(server.db)
      return
  }
}

async function compare({ server }: World): Promise<number> {
  const [counted, kept] = [await server.pool.query(COUNTED), await server.pool.query(KEPT)]
  assert.deepEqual(kept.rows, counted.rows)
  return kept.rows.length
}

/** What the API answers from them. */
async function compareAnswers({ server, users }: World): Promise<void> {
  for (const { json } of users) {
    const { id } = await json<{ id: string }>('/users/me')
    for (const [query, where] of [
      ['', `visibility in ('timeline', 'archive') and deleted_at is null`],
      ['?isFavorite=true', `visibility in ('timeline', 'archive') and deleted_at is null and is_favorite`],
      ['?isTrashed=true', `visibility in ('timeline', 'archive') and deleted_at is not null`],
      ['?visibility=archive&order=asc', `visibility = 'archive' and deleted_at is null`],
    ] as const) {
      const direction = query.includes('asc') ? 'asc' : 'desc'
      const { rows } = await server.pool.query(
        `select to_char(date_trunc('month', local_date_time), 'YYYY-MM-DD') as "timeBucket", count(*)::int as count,
           round(sum(coalesce(width::numeric / height, 1)), 3)::float8 as "ratioSum"
         from asset where owner_id = $1 and ${where} group by 1 order by 1 ${direction}`,
        [id],
      )
      assert.deepEqual(await json(`/timeline/buckets${query}`), rows)
    }
    const { rows } = await server.pool.query(
      `select count(*) filter (where type = 'IMAGE')::int as images, count(*) filter (where type = 'VIDEO')::int as videos,
         count(*)::int as total
       from asset where owner_id = $1 and deleted_at is null and visibility in ('timeline', 'archive')`,
      [id],
    )
    assert.deepEqual(await json('/assets/statistics'), rows[0])
  }
}
