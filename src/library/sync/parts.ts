/** What the types of the stream are made of: statements that give lines, and single lines. */
import { isUuid } from '../../uuid.ts'
import { bareLine, type Field, lineSql, quote } from './line.ts'
import { ACK } from './names.ts'

/** `extra`: of a backfill, the row that it has come to, or `complete`. */
export type Checkpoint = { id: string; extra: string | null; begunId: string }

export type Part =
  /** A statement with one column of lines; `before` comes before the first of them, and only with one. */
  { select: string; before?: string } | { line: string }

/** One stream of one session. */
export type Sync = {
  userId: string
  /**
   * Below every id that may still become visible. What is visible is sent, whatever its id, but never
   * acknowledged beyond this: then it comes once more.
   */
  bound: string
  checkpoints: ReadonlyMap<string, Checkpoint>
  /** In the snapshot of the stream. */
  query<Row>(statement: string): Promise<Row[]>
  /** Writes a checkpoint that the client has not acknowledged. */
  store(type: string, id: string, extra: string): Promise<void>
}

/** The parts of one request type, in order. */
export type SyncType = (sync: Sync) => AsyncIterable<Part> | Iterable<Part>

/** An id as an SQL literal. @throws Error where it is none: COPY takes no parameters */
export function uuidSql(id: string): string {
  if (!isUuid(id)) throw new Error(`${id} is no UUID`)
  return `'${id}'::uuid`
}

/** An SQL expression of the id to acknowledge a row by. */
export function ackSql(sync: Sync, id: string): string {
  return `least(${id}, ${uuidSql(sync.bound)})`
}

/** The same in a line that is made here. */
export function ackedId(sync: Sync, id: string): string {
  return id < sync.bound ? id : sync.bound
}

/** `and <column> > <checkpoint>`, where the client has one of this type. */
export function afterCheckpoint(sync: Sync, type: string, column: string): string {
  const checkpoint = sync.checkpoints.get(type)
  return checkpoint === undefined ? '' : ` and ${column} > ${uuidSql(checkpoint.id)}`
}

/** Rows that are new or changed since they were acknowledged. `from`: with its `where`. */
export function upserts(
  sync: Sync,
  { type, fields, id, from }: { type: string; fields: readonly Field[]; id: string; from: string },
): Part {
  return {
    select: `select ${lineSql(type, fields, ackSql(sync, id))} from ${from}${afterCheckpoint(sync, type, id)} order by ${id}`,
  }
}

/** What is gone. `scope`: a condition on `removal`, and who hears of it. */
export function removals(
  sync: Sync,
  { type, kind, scope, fields }: { type: string; kind: string; scope: string; fields: readonly Field[] },
): Part {
  const line = lineSql(type, fields, ackSql(sync, 'removal.id'))
  return {
    select: `select ${line} from sync_removal removal where removal.kind = ${quote(kind)} and ${scope}${afterCheckpoint(sync, type, 'removal.id')} order by removal.id`,
  }
}

/** A line that acknowledges for another type. */
export function ackLine(ack: string): string {
  return bareLine(ACK, ack)
}
