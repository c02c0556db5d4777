/**
 * The database's own fence: whoever asks, in whatever isolation level, the last verified copy of a live
 * object stays.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import type pg from 'pg'
import { testDatabase } from '../../support/postgres.ts'

let database: Awaited<ReturnType<typeof testDatabase>>
before(async () => {
  database = await testDatabase()
  for (const id of ['a', 'b', 'c']) {
    await database.pool.query(
      `insert into location (id, kind, identity, marker) values ($1, 'memory', $1, gen_random_uuid())`,
      [id],
    )
  }
})
after(() => database.drop())

const LEVELS = ['read committed', 'repeatable read', 'serializable']

for (const level of LEVELS) {
  test(`of two racing evictions at most one wins (${level})`, async () => {
    const id = await object({ a: 'verified', b: 'verified' })
    const [one, two] = [await database.pool.connect(), await database.pool.connect()]
    try {
      for (const client of [one, two]) await client.query(`begin isolation level ${level}`)
      // Both have taken their snapshot before either writes.
      for (const client of [one, two]) await client.query('select * from replica where object_id = $1', [id])
      await evict(one, id, 'a')
      const second = evict(two, id, 'b').then(
        () => two.query('commit'),
        (error: Error) => two.query('rollback').then(() => error),
      )
      await one.query('commit')
      await second
    } finally {
      one.release()
      two.release()
    }
    assert.equal(await verifiedCount(id), 1)
  })
}

test('refused: the only copy; beside one being written; beside a suspect; fewer than the kind keeps', async () => {
  const cases: Record<string, string>[] = [
    { a: 'verified' },
    { a: 'verified', b: 'writing' },
    { a: 'verified', b: 'suspect' },
    { a: 'verified', b: 'evicting' },
  ]
  for (const states of cases) {
    await assert.rejects(evict(database.pool, await object(states), 'a'), { code: 'GL002' })
  }
  const id = await object({ a: 'verified', b: 'verified' })
  await database.pool.query(`insert into home (kind, location_ids, min_copies) values ('original', '[]', 2)`)
  await assert.rejects(evict(database.pool, id, 'a'), { code: 'GL002' })
  // What is no copy leaves both.
  await evict(database.pool, await object({ a: 'suspect', b: 'verified' }), 'a')
  await database.pool.query('delete from home')
})

test('refused: a removal that nobody decided, of a live object', async () => {
  const id = await object({ a: 'verified', b: 'verified' })
  const remove = () =>
    database.pool.query(
      `update replica set state = 'evicting', removal = 'decided' where object_id = $1 and location_id = 'a'`,
      [id],
    )
  await assert.rejects(remove(), { code: 'GL002' })
  await database.pool.query(
    `update stored_object set state = 'purging', purge_reason = 'user' where id = $1`,
    [id],
  )
  await remove()
})

test('refused: both copies in one statement', async () => {
  const id = await object({ a: 'verified', b: 'verified' })
  await assert.rejects(
    database.pool.query(
      `update replica set state = 'evicting', removal = 'other-copy' where object_id = $1`,
      [id],
    ),
    { code: 'GL002' },
  )
  assert.equal(await verifiedCount(id), 2)
})

test('refused: deleting the row of a write that could still be proven', async () => {
  const id = await object({ a: 'verified', b: 'writing' })
  await assert.rejects(
    database.pool.query(`delete from replica where object_id = $1 and location_id = 'b'`, [id]),
    { code: 'GL001' },
  )
})

test('refused: deleting a verified or suspect row, truncating, skipping states, changing a key', async () => {
  const id = await object({ a: 'verified', b: 'suspect' })
  for (const location of ['a', 'b']) {
    await assert.rejects(
      database.pool.query('delete from replica where object_id = $1 and location_id = $2', [id, location]),
      { code: 'GL001' },
    )
  }
  await assert.rejects(database.pool.query('truncate replica cascade'), { code: 'GL003' })
  await assert.rejects(
    database.pool.query(`update replica set state = 'writing' where object_id = $1`, [id]),
    { code: 'GL001' },
  )
  await assert.rejects(database.pool.query(`update replica set key = 'x' where object_id = $1`, [id]), {
    code: 'GL001',
  })
  await assert.rejects(
    database.pool.query(
      `insert into replica (object_id, location_id, key, state, proof_level, verified_at, actor)
       values ($1, 'c', 'k', 'verified', 3, now(), 't')`,
      [id],
    ),
    { code: 'GL001' },
  )
})

test('a key is used once, ever, also after its replica is gone', async () => {
  const id = await object({ a: 'verified', b: 'verified' })
  const { rows } = await database.pool.query(
    'select key from replica where object_id = $1 and location_id = $2',
    [id, 'a'],
  )
  await evict(database.pool, id, 'a')
  await database.pool.query(`delete from replica where object_id = $1 and location_id = 'a'`, [id])
  await assert.rejects(begin(id, 'a', rows[0].key as string), { code: '23505' })
})

test('a purging object may lose its last copy, and never lives again', async () => {
  const id = await object({ a: 'verified' })
  await assert.rejects(database.pool.query('delete from stored_object where id = $1', [id]), {
    code: 'GL001',
  })
  await database.pool.query(
    `update stored_object set state = 'purging', purge_reason = 'user' where id = $1`,
    [id],
  )
  await assert.rejects(database.pool.query(`update stored_object set state = 'live' where id = $1`, [id]), {
    code: 'GL001',
  })
  await evict(database.pool, id, 'a', 'decided')
})

test('A1: a write that nobody finished goes for a reason only, and never as the last right bytes may', async () => {
  const id = await object({ a: 'suspect', b: 'writing' })
  await database.pool.query('update stored_object set is_linked = true where id = $1', [id])
  for (const removal of [null, 'decided', 'other-copy', 'wrong-bytes'])
    await assert.rejects(evict(database.pool, id, 'b', removal), {
      code: removal === null ? 'GL001' : 'GL002',
    })
  // Nothing is there: no bytes go.
  await evict(database.pool, id, 'b', 'nothing-there')

  const safe = await object({ a: 'verified', b: 'writing' })
  await database.pool.query('update stored_object set is_linked = true where id = $1', [safe])
  await evict(database.pool, safe, 'b', 'wrong-bytes')
  // An upload that was never acknowledged, and is not whole.
  await evict(database.pool, await object({ a: 'writing' }), 'a', 'wrong-bytes')
})

test('what is being given up comes back by a proof only', async () => {
  const id = await object({ a: 'verified', b: 'evicting' })
  const back = (level: number) =>
    database.pool.query(
      `update replica set state = 'verified', proof_level = $2 where object_id = $1 and location_id = 'b'`,
      [id, level],
    )
  await assert.rejects(back(2), { code: 'GL001' })
  await back(4)
  assert.equal(await verifiedCount(id), 2)
})

test('an object is immutable and its history append-only', async () => {
  const id = await object({ a: 'verified' })
  await assert.rejects(database.pool.query('update stored_object set size = 2 where id = $1', [id]), {
    code: 'GL001',
  })
  await assert.rejects(database.pool.query('delete from placement_event where object_id = $1', [id]), {
    code: 'GL003',
  })
  await assert.rejects(database.pool.query(`update placement_event set actor = 'x'`), { code: 'GL003' })
  const { rows } = await database.pool.query(
    'select from_state, to_state, actor from placement_event where object_id = $1 order by id',
    [id],
  )
  assert.deepEqual(rows, [
    { from_state: null, to_state: 'writing', actor: 'test' },
    { from_state: 'writing', to_state: 'verified', actor: 'test' },
  ])
})

async function object(states: Record<string, string>): Promise<string> {
  const id = randomUUID()
  await database.pool.query(
    `insert into stored_object (id, owner_id, kind, size, sha256, content_type, extension)
     values ($1, gen_random_uuid(), 'original', 1, sha256('x'), 'image/jpeg', 'jpg')`,
    [id],
  )
  for (const location of Object.keys(states)) await begin(id, location, randomUUID())
  for (const [location, state] of Object.entries(states)) {
    if (state !== 'writing') await verify(id, location)
  }
  for (const [location, state] of Object.entries(states)) {
    if (state === 'suspect' || state === 'evicting') {
      await database.pool.query(
        `update replica set state = $3, removal = 'other-copy' where object_id = $1 and location_id = $2`,
        [id, location, state],
      )
    }
  }
  return id
}

function begin(id: string, location: string, key: string) {
  return database.pool.query(
    `insert into replica (object_id, location_id, key, state, lease_expires_at, actor)
     values ($1, $2, $3, 'writing', now() + interval '1 hour', 'test')`,
    [id, location, key],
  )
}

function verify(id: string, location: string) {
  return database.pool.query(
    `update replica set state = 'verified', proof_level = 3, verified_at = now() where object_id = $1 and location_id = $2`,
    [id, location],
  )
}

function evict(
  client: pg.Pool | pg.PoolClient,
  id: string,
  location: string,
  removal: string | null = 'other-copy',
) {
  return client.query(
    `update replica set state = 'evicting', removal = $3 where object_id = $1 and location_id = $2`,
    [id, location, removal],
  )
}

async function verifiedCount(id: string): Promise<number> {
  const { rows } = await database.pool.query(
    `select count(*)::int as count from replica where object_id = $1 and state = 'verified'`,
    [id],
  )
  return rows[0].count as number
}
