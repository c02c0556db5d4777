/**
 * What people can read beside the originals: a text for each user and month, with the key, name, date and
 * SHA-256 of each photo. A text that is no longer right is written anew once an hour at most.
 */
import { sql } from 'kysely'
import type { Queryable, Tx } from '../../database/connect.ts'
import { uuidArray } from '../../database/statements/uuid-array.ts'
import { dateObject, isCatalogueSafe } from '../../placement/catalogue/write-batch.ts'
import { CATALOGUE_TEXT } from '../../placement/keys.ts'
import { placesOfObjects } from '../../placement/ledger/object-sql.ts'
import { markForPurge } from '../../placement/lifecycle/purge.ts'
import type { Placement } from '../../placement/placement.ts'
import { ingestStaged } from '../../placement/uploads/ingest.ts'
import { stageStream } from '../../placement/uploads/stage.ts'

const REWRITE_MS = 3_600_000
/** Texts that one run writes at most. */
const AT_A_TIME = 50
const PAGE = 1_000

type Month = { ownerId: string; month: string }

/** `assetIds`: whose months are not right any more; null: all. */
export async function noteDirtyMonths(
  tx: Tx,
  { assetIds, months }: { assetIds: readonly string[] | null; months: readonly Month[] },
): Promise<void> {
  const which = assetIds === null ? sql`true` : sql`id = any(${uuidArray(assetIds)}::uuid[])`
  await sql`
    insert into catalogue_text (owner_id, month, dirty_since)
    select owner_id, month, now() from (
      select owner_id, date_trunc('month', local_date_time)::date as month from asset where ${which}
      union
      select owner_id, month from unnest(${uuidArray(months.map(({ ownerId }) => ownerId))}::uuid[],
        ${months.map(({ month }) => month)}::date[]) as former (owner_id, month)) as dirty
    on conflict (owner_id, month) do update
      set dirty_since = coalesce(catalogue_text.dirty_since, excluded.dirty_since)`.execute(tx)
}

/** Writes those that are due (`isNow`: all that are not right), and removes what newer ones stand for. */
export async function writeTexts(
  placement: Placement,
  { isNow, signal }: { isNow: boolean; signal?: AbortSignal | undefined },
): Promise<number> {
  await removeFormer(placement)
  const { rows } = await sql<Month>`
    select owner_id as "ownerId", to_char(month, 'YYYY-MM-DD') as month from catalogue_text
    where dirty_since is not null and former_object_id is null
      and (${isNow} or written_at is null or written_at > now()
        or written_at <= now() - ${REWRITE_MS} * interval '1 millisecond')
    order by dirty_since limit ${AT_A_TIME}`.execute(placement.db)
  for (const month of rows) {
    signal?.throwIfAborted()
    await writeText(placement, month, signal)
  }
  return rows.length
}

async function writeText(
  placement: Placement,
  { ownerId, month }: Month,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { db } = placement
  const seen = await db
    .selectFrom('catalogue_text')
    .select('dirty_since')
    .where('owner_id', '=', ownerId)
    .where(sql<boolean>`month = ${month}::date`)
    .executeTakeFirstOrThrow()
  const isEmpty = !(await isAnyIn(db, { ownerId, month }))
  const note = (tx: Queryable, objectId: string | null) =>
    sql`
      update catalogue_text set former_object_id = object_id, object_id = ${objectId}::uuid, written_at = now(),
        dirty_since = case when dirty_since > ${seen.dirty_since}::timestamptz then dirty_since end
      where owner_id = ${ownerId}::uuid and month = ${month}::date`.execute(tx)
  if (isEmpty) {
    await note(db, null)
    return
  }
  const staged = await stageStream(placement, linesOf(db, { ownerId, month }), {
    maxBytes: Number.MAX_SAFE_INTEGER,
    ...(signal && { signal }),
  })
  const createdAt = new Date(`${month}T00:00:00Z`)
  await ingestStaged(
    placement,
    {
      ...{ kind: 'catalogue', ownerId, assetId: null, contentType: 'text/plain', extension: CATALOGUE_TEXT },
      ...{ createdAt, staged },
    },
    async (tx, objectId) => {
      await dateObject(tx, objectId, createdAt)
      await note(tx, objectId)
    },
  )
}

/** When the new one is where it belongs, or the month has none any more. */
async function removeFormer(placement: Placement): Promise<void> {
  const { rows } = await sql<{ ownerId: string; month: string; objectId: string | null; former: string }>`
    select owner_id as "ownerId", to_char(month, 'YYYY-MM-DD') as month, object_id as "objectId",
      former_object_id as former
    from catalogue_text where former_object_id is not null limit ${AT_A_TIME}`.execute(placement.db)
  for (const { ownerId, month, objectId, former } of rows) {
    if (objectId !== null && !(await isCatalogueSafe(placement, objectId))) continue
    await placement.db.transaction().execute(async (tx) => {
      const { rows: held } = await sql`
        update catalogue_text set former_object_id = null
        where owner_id = ${ownerId}::uuid and month = ${month}::date and former_object_id = ${former}::uuid
        returning owner_id`.execute(tx)
      if (held.length > 0) await markForPurge(tx, [former], 'replaced')
    })
  }
}

async function isAnyIn(db: Queryable, month: Month): Promise<boolean> {
  const { rows } = await sql`select from asset where ${within(month)} limit 1`.execute(db)
  return rows.length > 0
}

function within({ ownerId, month }: Month) {
  return sql`owner_id = ${ownerId}::uuid and local_date_time >= ${month}::timestamp
    and local_date_time < ${month}::timestamp + interval '1 month'`
}

async function* linesOf(db: Queryable, month: Month): AsyncGenerator<Buffer> {
  const { rows: owners } = await sql<{ name: string; email: string }>`
    select name, email from app_user where id = ${month.ownerId}::uuid`.execute(db)
  const { name, email } = owners[0] ?? { name: '', email: '' }
  const title = `Photos and videos of ${plain(name)} <${plain(email)}> from ${month.month.slice(0, 7)}`
  yield Buffer.from(`# ${title}\n# key\tname\tdate\tSHA-256\n`)
  let after = { at: '0001-01-01', id: '00000000-0000-0000-0000-000000000000' }
  for (;;) {
    const { rows } = await sql<{ id: string; name: string; at: string; object: string; isTrashed: boolean }>`
      select id, original_file_name as name, local_date_time as at, original_object_id as object,
        deleted_at is not null as "isTrashed"
      from asset where ${within(month)}
        and (local_date_time, id) > (${after.at}::timestamp, ${after.id}::uuid)
      order by local_date_time, id limit ${PAGE}`.execute(db)
    const last = rows.at(-1)
    if (last === undefined) return
    const objects = await placesOfObjects(
      db,
      rows.map(({ object }) => object),
    )
    const lines = rows.map((row) => {
      const { keys = {}, sha256 = '' } = objects.get(row.object) ?? {}
      const where = [...new Set(Object.values(keys))].join(' ') || '(nowhere yet)'
      return `${where}\t${plain(row.name)}${row.isTrashed ? ' (in the trash)' : ''}\t${row.at}\t${sha256}\n`
    })
    yield Buffer.from(lines.join(''))
    after = { at: last.at, id: last.id }
  }
}

/** A name may hold anything; a line has four fields. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return text.replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, ' ')
}
