/**
 * Lines of the sync stream as PostgreSQL builds them: text, because `concat` looks up the types of its
 * arguments once for a statement, and `json_build_object` does so for each row. Session time zone: UTC.
 */

/** How a column becomes JSON. `uuid` and `word`: never null, nothing to escape; the others may be null. */
export type Kind =
  | 'uuid'
  | 'uuid?'
  | 'word'
  | 'text'
  | 'number'
  | 'float'
  | 'boolean'
  | 'time'
  | 'base64'
  | 'json'
/** `[name in JSON, kind, SQL expression]` */
export type Field = readonly [name: string, kind: Kind, expression: string]

const TIME_FORMAT = `'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'`

/** Before the value, the value, and behind it. The literals are JSON. */
const PIECES: Record<Kind, (column: string) => readonly [string, string, string]> = {
  uuid: (column) => ['"', column, '"'],
  word: (column) => ['"', column, '"'],
  'uuid?': (column) => ['', `coalesce('"' || ${column} || '"', 'null')`, ''],
  text: (column) => ['', `coalesce(to_json(${column})::text, 'null')`, ''],
  number: (column) => ['', `coalesce(${column}::text, 'null')`, ''],
  // JSON has no NaN and no infinity, which PostgreSQL puts above all numbers, and below them.
  float: (column) => [
    '',
    `case when ${column} > '-Infinity' and ${column} < 'Infinity' then ${column}::text else 'null' end`,
    '',
  ],
  boolean: (column) => ['', `case when ${column} then 'true' else 'false' end`, ''],
  time: (column) => ['', `coalesce('"' || to_char(${column}, ${TIME_FORMAT}) || '"', 'null')`, ''],
  // PostgreSQL breaks it after 76 characters. To look for the breaks takes longer than to encode.
  base64: (column) => [
    '',
    `coalesce('"' || case when octet_length(${column}) <= 57 then encode(${column}, 'base64')
      else translate(encode(${column}, 'base64'), E'\\n', '') end || '"', 'null')`,
    '',
  ],
  json: (column) => ['', column, ''],
}

/**
 * An SQL expression of the whole line. `ack`: an SQL expression of what stands behind the type, or behind
 * `ackType`.
 */
export function lineSql(type: string, fields: readonly Field[], ack: string, ackType = type): string {
  const parts: string[] = []
  let literal = `{"type":"${type}","data":{`
  fields.forEach(([name, kind, expression], index) => {
    const [before, value, after] = PIECES[kind](expression)
    parts.push(quote(`${literal}${index === 0 ? '' : ','}"${name}":${before}`), value)
    literal = after
  })
  return `concat(${[...parts, quote(`${literal}},"ack":"${ackType}|`), ack, quote('"}')].join(', ')})`
}

/** A whole line of what is not built by PostgreSQL. `id`: to acknowledge it by. */
export function dataLine(type: string, data: object, id: string): string {
  return `${JSON.stringify({ type, data, ack: `${type}|${id}` })}\n`
}

/** A whole line without data: `ack` is what to acknowledge it by. */
export function bareLine(type: string, ack: string): string {
  return `{"type":"${type}","data":{},"ack":"${ack}"}\n`
}

/** An SQL literal of ours: no text of anybody's. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
