import type pg from 'pg'

type Row = Record<string, string>

/**
 * What a database holds, as text that two people can compare: tables with columns and constraints, indexes,
 * functions, triggers.
 */
export async function dumpSchema(pool: pg.Pool, schema = 'public'): Promise<string> {
  const rows = async (text: string) => (await pool.query<Row>(text, [schema])).rows
  const columns = await rows(`
    select c.relname as table, a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
      case when a.attnotnull then ' not null' else '' end as not_null,
      case when a.attidentity <> '' then ' generated always as identity'
           when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end as default
    from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.relkind in ('r', 'p') and c.relnamespace = $1::regnamespace order by c.relname, a.attnum`)
  const constraints = await rows(`
    select conrelid::regclass::text as table, conname as name, pg_get_constraintdef(oid) as text
    from pg_constraint where connamespace = $1::regnamespace and conrelid <> 0 and contype <> 'n' order by 1, contype, 2`)
  const indexes = await rows(`
    select tablename as table, indexdef as text from pg_indexes
    where schemaname = $1 and indexname not in (select conname from pg_constraint) order by indexname`)
  const triggers = await rows(`
    select tgrelid::regclass::text as table, pg_get_triggerdef(oid) as text from pg_trigger
    where not tgisinternal and tgrelid in (select oid from pg_class where relnamespace = $1::regnamespace) order by tgname`)
  const functions = await rows(`
    select pg_get_functiondef(oid) as text from pg_proc where pronamespace = $1::regnamespace and prokind = 'f'
    and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e') order by proname`)

  const parts: string[] = []
  for (const table of new Set(columns.map((column) => column.table))) {
    const own = (all: Row[]) => all.filter((row) => row.table === table)
    const lines = [
      ...own(columns).map((column) => `  ${column.name} ${column.type}${column.not_null}${column.default}`),
      ...own(constraints).map((constraint) => `  constraint ${constraint.name} ${constraint.text}`),
    ]
    parts.push(`create table ${table} (\n${lines.join(',\n')}\n);`)
    for (const { text } of [...own(indexes), ...own(triggers)]) parts.push(`${text};`)
    parts.push('')
  }
  for (const { text } of functions) parts.push(`${text?.trim()};\n`)
  return `${parts.join('\n').trimEnd()}\n`
}
