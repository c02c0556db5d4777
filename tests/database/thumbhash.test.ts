import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import { rgbaToThumbHash, thumbHashToApproximateAspectRatio, thumbHashToRGBA } from 'thumbhash'
import { testDatabase } from '../support/postgres.ts'

/** Whether the decoder that clients use finds all that it reads, and a shape to paint. */
function isPaintable(hash: Uint8Array): boolean {
  let isMissing = false
  const watched = new Proxy(hash, {
    get(target, name) {
      if (typeof name === 'string' && /^\d+$/.test(name) && Number(name) >= target.length) isMissing = true
      return Reflect.get(target, name, target)
    },
  })
  const ratio = thumbHashToApproximateAspectRatio(watched)
  if (!Number.isFinite(ratio) || ratio <= 0) return false
  const { w, h } = thumbHashToRGBA(watched)
  return w > 0 && h > 0 && !isMissing
}

async function kept(
  db: Awaited<ReturnType<typeof testDatabase>>['db'],
  hashes: readonly Uint8Array[],
): Promise<boolean[]> {
  const { rows } = await sql<{ condition: string }>`
    select pg_get_expr(conbin, conrelid) as condition from pg_constraint where conname = 'asset_thumbhash'`.execute(
    db,
  )
  const hex = hashes.map((hash) => Buffer.from(hash).toString('hex'))
  const asked = await sql<{ kept: boolean }>`
    select ${sql.raw(rows[0]!.condition)} as kept
    from (select decode(hex, 'hex') as thumbhash from unnest(${hex}::text[]) with ordinality as all_hashes (hex, at)
      order by at) as hashes`.execute(db)
  return asked.rows.map((row) => row.kept)
}

test('the database keeps no thumbhash that clients cannot paint', async (t) => {
  const { db } = await testDatabase(t)
  const hashes = Array.from({ length: 4_000 }, (_, at) => new Uint8Array(randomBytes(at % 40)))
  const answers = await kept(db, hashes)
  const wrong = hashes.filter((hash, at) => isPaintable(hash) !== answers[at])
  assert.deepEqual(
    wrong.map((hash) => Buffer.from(hash).toString('hex')),
    [],
  )
  assert.ok(answers.filter(Boolean).length > 500, 'some of them can be painted')
})

test('every shape that is reduced to a thumbhash has one that can be painted', async (t) => {
  const { db } = await testDatabase(t)
  const hashes: Uint8Array[] = []
  for (const [width, height] of [
    [1, 1],
    [1, 100],
    [100, 1],
    [100, 3],
    [3, 100],
    [100, 66],
    [75, 100],
    [2, 2],
  ] as const) {
    for (const alpha of [0, 128, 255]) {
      const pixels = randomBytes(width * height * 4)
      for (let at = 3; at < pixels.length; at += 4) pixels[at] = alpha
      hashes.push(rgbaToThumbHash(width, height, pixels))
    }
  }
  assert.ok(hashes.every(isPaintable))
  assert.ok((await kept(db, hashes)).every(Boolean))
})
