/**
 * Some assets by chance without looking at all of them: those whose checksums lie in a few stretches that
 * begin at a random place. Checksums are spread evenly and have nothing to do with what is in a photo, so
 * every asset has the same chance. Numbering a million by chance took 0.5 s.
 */
import { randomBytes } from 'node:crypto'
import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database } from '../../database/connect.ts'
import type { Schema } from '../../database/schema.ts'

/** More of them: neighbours are drawn together more rarely. Fewer: fewer places of the index are read. */
const STRETCHES = 8
const PREFIX_BYTES = 6
const RING = 2 ** (8 * PREFIX_BYTES)
/** After all checksums. */
const END = Buffer.alloc(21, 0xff)

/**
 * @param where conditions on `asset` and what `join` adds
 * @returns null where the library is small, or has too few that match: then all have to be looked at
 */
export async function drawAssets(
  db: Database,
  ownerId: string,
  { join, where, size }: { join: RawBuilder<unknown>; where: RawBuilder<unknown>; size: number },
): Promise<Selectable<Schema['asset']>[] | null> {
  const { total } = await db
    .selectFrom('asset_count')
    .select(sql<number>`coalesce(sum(assets), 0)::bigint`.as('total'))
    .where('owner_id', '=', ownerId)
    .executeTakeFirstOrThrow()
  // Twice as many, for those in the trash and others that do not match.
  const share = (2 * size + 50) / total
  if (!(share < 0.5)) return null
  const stretches = stretchesOf(randomBytes(PREFIX_BYTES).readUIntBE(0, PREFIX_BYTES), share)
  const { rows } = await sql<Selectable<Schema['asset']>>`
    select asset.*
    from unnest(${stretches.map(([begin]) => begin)}::bytea[], ${stretches.map(([, end]) => end)}::bytea[]) as stretch (first, beyond)
    join asset on asset.owner_id = ${ownerId}::uuid and asset.checksum >= stretch.first and asset.checksum < stretch.beyond
    ${join} where ${where} order by random() limit ${size}`.execute(db)
  return rows.length < size ? null : rows
}

/** Of all checksums this share, in stretches at equal distances; the one that passes the end begins anew. */
export function stretchesOf(start: number, share: number): [Buffer, Buffer][] {
  const length = Math.ceil((share / STRETCHES) * RING)
  return Array.from({ length: STRETCHES }, (_, index) => {
    const begin = (start + index * (RING / STRETCHES)) % RING
    const end = begin + length
    if (end < RING) return [[prefix(begin), prefix(end)] as [Buffer, Buffer]]
    const both: [Buffer, Buffer][] = [
      [prefix(begin), END],
      [prefix(0), prefix(end - RING)],
    ]
    return both
  }).flat()
}

function prefix(value: number): Buffer {
  const bytes = Buffer.alloc(PREFIX_BYTES)
  bytes.writeUIntBE(value, 0, PREFIX_BYTES)
  return bytes
}
