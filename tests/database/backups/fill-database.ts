/**
 * Makes a row, or several, in every table of the schema, with awkward values in every column that takes them.
 */
import { randomUUID } from 'node:crypto'
import type pg from 'pg'

type Column = {
  table: string
  column: string
  type: string
  is_nullable: boolean
  references_table: string | null
  references_column: string | null
}

const AWKWARD = 'tab\t, line\nbreak, back\\slash, \\. quote\' " ü 😀 \\N'

/** Values that satisfy the check constraints, by `table.column`; SQL, with {n} for the number of the row. */
const VALUES: Record<string, string> = {
  'adoption.state': "'done'",
  'alert.kind': "'unhealed'",
  'album.asset_order': "'desc'",
  'album_user.role': "'owner'",
  'app_user.quota_bytes': '9007199254740991',
  'app_user.email': "gen_random_uuid() || '@example.org'",
  'app_user.deleted_at': 'now()',
  'archive_download.state': "'waiting'",
  'asset.type': "'IMAGE'",
  'asset.checksum': "decode(md5(random()::text) || '00000000', 'hex')",
  'asset.local_date_time': "'0044-03-15 12:00:00.123'",
  'asset.file_created_at': "'9999-12-29 23:59:59.999+00'",
  'asset.thumbhash': 'null',
  'asset.visibility': "'timeline'",
  'asset.processing': "'done'",
  'asset_exif.rating': '-1',
  'asset_exif.date_time_original': "'0001-01-02 00:00:00+00'",
  'asset_exif.latitude': '0.1::float8 + 0.2::float8',
  'asset_exif.longitude': "'-179.99999999999997'",
  'asset_exif.fps': "'NaN'",
  'asset_file.kind': "'preview'",
  'campaign.from_minute': 'null',
  'campaign.kinds': "'{original}'",
  'campaign.older_than_days': '1',
  'campaign.phase': "'proposed'",
  'campaign.reason': "'asked'",
  'campaign.to_ids': "'{elsewhere}'",
  'campaign.until_minute': 'null',
  'campaign.workers': '2',
  'campaign_object.object_id': 'gen_random_uuid()',
  'campaign_object.state': "'pending'",
  'catalogue_change.subject': "'asset'",
  'catalogue_found.kind': "'asset'",
  'catalogue_left_over.kind': "'asset'",
  'catalogue_text.month': "date '2024-01-01' + {n} * interval '1 month'",
  'class_change.doomed_key': 'null',
  'class_change.clear_after': 'null',
  'class_change.to_key': "'k' || gen_random_uuid()",
  'clock_gap.from_at': "now() - (1 + {n}) * interval '1 day'",
  'collection.undone_at': 'null',
  'collection.undone_by': 'null',
  'collection_item.state': "'held'",
  'direct_upload.state': "'open'",
  'direct_upload.ended_at': 'null',
  'direct_upload.md5': "decode(md5(''), 'hex')",
  'direct_upload.part_bytes': 'null',
  'direct_upload.sha1': "decode(md5('') || '00000000', 'hex')",
  'direct_upload.visibility': "'archive'",
  'drill.started_at': 'now()',
  'drill.ends_at': "now() + interval '1 minute'",
  'home.held_ids': 'null',
  'home.held_before': 'null',
  'installation.recipient': "'age1somebody'",
  'location.kind': "'s3'",
  'location_counter.conflict': 'null',
  'location_counter.conflict_since': 'null',
  'location_counter.value': '7',
  'asset_metadata.value': "'{}'",
  'memory.type': "'on_this_day'",
  'partner.shared_with_id': '(select id from app_user order by ctid offset 1 - {n} limit 1)',
  'notification.level': "'info'",
  'notification_delivery.channel': "'email'",
  'replica.state': "'verified'",
  'replica.proof_level': '4',
  'replica.removal': 'null',
  'replica_restore.days': '3',
  'replica_restore.tier': "'bulk'",
  'stored_object.kind': "'original'",
  'stored_object.state': "'purging'",
  'stored_object.purge_reason': "'user'",
  'stored_object.asset_id': 'gen_random_uuid()',
}

/** Two rows in each table that may have two, past the triggers (as a superuser). */
export async function fillDatabase(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query('set local session_replication_role = replica')
    await client.query('delete from installation')
    const columns = await columnsOf(client)
    const tables = [...Map.groupBy(columns, ({ table }) => table)].map(([name, own]) => ({ name, own }))
    for (const { name } of tables) await client.query(`delete from ${name}`)
    const done = new Set<string>()
    let left = tables
    while (left.length > 0) {
      const ready = left.filter(({ name, own }) =>
        own.every(
          ({ references_table: other, is_nullable }) =>
            other === null || other === name || done.has(other) || is_nullable,
        ),
      )
      if (ready.length === 0) throw new Error(`a circle: ${left.map(({ name }) => name).join(', ')}`)
      for (const { name, own } of ready) {
        const isSingle = own.some(({ column }) => column === 'is_only' || column === 'only_row')
        for (let count = 0; count < (isSingle ? 1 : 2); count += 1)
          await insert(client, name, own, count, done)
        done.add(name)
      }
      left = left.filter((table) => !ready.includes(table))
    }
    for (const { name, own } of tables)
      for (const { column } of own)
        await client.query('select setval(pg_get_serial_sequence($1, $2)::regclass, 50)', [name, column])
    await client.query('commit')
  } finally {
    client.release()
  }
}

async function insert(
  client: pg.PoolClient,
  table: string,
  columns: Column[],
  count: number,
  done: ReadonlySet<string>,
): Promise<void> {
  const values: Record<string, string> = {}
  for (const { column, type, references_table: other, references_column: key, is_nullable } of columns) {
    const known = VALUES[`${table}.${column}`]
    if (known !== undefined) values[column] = known.replaceAll('{n}', String(count))
    else if (other !== null) {
      // Both halves of a key of two columns come from the same row.
      const isThere = done.has(other) && other !== table
      values[column] =
        isThere || !is_nullable
          ? `(select ${key} from ${other} order by ctid offset ${count} limit 1)`
          : 'null'
    } else values[column] = anyValue(type, column, count)
  }
  const names = Object.keys(values)
  await client.query(
    `insert into ${table} (${names.join(', ')}) overriding system value
     values (${names.map((name) => values[name]).join(', ')})`,
  )
}

function anyValue(type: string, column: string, count: number): string {
  const quoted = `'${AWKWARD.replaceAll("'", "''")}'`
  if (column === 'location_id') return `(select id from location order by ctid offset ${count} limit 1)`
  if (type === 'text') return `${quoted} || '${randomUUID()}'`
  if (type === 'text[]') return `array[${quoted}, null, '']`
  if (type === 'uuid') return `'${randomUUID()}'`
  if (type === 'uuid[]') return `array['${randomUUID()}'::uuid]`
  if (type === 'bytea') return `decode('${randomUUID().replaceAll('-', '').repeat(2)}', 'hex')`
  if (type === 'jsonb')
    return `jsonb_build_object('a', ${quoted}::text, 'n', 1.10, 'deep', '[1, null]'::jsonb)`
  if (type === 'boolean') return 'true'
  if (type === 'date') return `current_date + ${count}`
  if (type.startsWith('timestamp')) return `now() + ${count} * interval '1.000001 second'`
  return String(count + 1)
}

async function columnsOf(client: pg.PoolClient): Promise<Column[]> {
  const { rows } = await client.query<Column>(`
    select c.relname as table, a.attname as column, format_type(a.atttypid, a.atttypmod) as type,
      not a.attnotnull as is_nullable, f.relname as references_table, fa.attname as references_column
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      and a.attgenerated = ''
    left join pg_constraint k on k.conrelid = c.oid and k.contype = 'f' and a.attnum = any(k.conkey)
    left join pg_class f on f.oid = k.confrelid
    left join pg_attribute fa on fa.attrelid = f.oid and fa.attnum = k.confkey[array_position(k.conkey, a.attnum)]
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname <> 'schema_migration'
    order by c.relname, a.attnum`)
  const seen = new Set<string>()
  return rows.filter(({ table, column }) => {
    const name = `${table}.${column}`
    if (seen.has(name)) return false
    seen.add(name)
    return true
  })
}
