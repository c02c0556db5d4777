/**
 * Who asks and what the request is about, in one statement instead of several in a row, and so one moment's truth. It
 * decides nothing: whether these credentials may have what was found is asked of the rows, as it would be of several answers.
 */
import type { Compilable, RawBuilder } from 'kysely'
import { compileOnce, type ValueOf } from '../database/compile-once.ts'
import type { Database, Queryable } from '../database/connect.ts'
import type { Actor, Holder } from './access.ts'
import { actorOfApiKey, apiKeyHolder } from './api-keys.ts'
import { actorOfSession, sessionHolder } from './sessions.ts'
import { hashToken } from './tokens.ts'

export type Credentials = { kind: 'session' | 'api-key'; value: string }
/** Null where the credentials are nobody's. */
export type FirstLook<Found> = (
  db: Database,
  credentials: Credentials,
) => Promise<{ actor: Actor; found: Found } | null>

/** By name: a statement with `*` is never prepared. */
export const HOLDER_COLUMNS = [
  'holder.userId',
  'holder.email',
  'holder.name',
  'holder.isAdmin',
  'holder.credentialId',
  'holder.permissions',
  'holder.isStale',
] as const

/**
 * A first look whose statement `build` begins from `holder`, the row that the credentials lead to, and selects
 * `HOLDER_COLUMNS` of it; with left joins alone, so that its row is there whatever else is. `read` gets all rows.
 */
export function lookFrom<Values extends Record<string, unknown>, Row extends Holder, Found>(
  build: (from: FromHolder, value: ValueOf<Values>) => Compilable<Row>,
  read: (rows: readonly [Row, ...Row[]], values: Values) => Found,
): (values: Values) => FirstLook<Found> {
  const statementFor = (holder: Holders) =>
    compileOnce<Values & { tokenHash: Buffer }, Row>((db, value) =>
      build(fromHolder(db, holder, value('tokenHash') as RawBuilder<Buffer>), value as never),
    )
  const statements = { session: statementFor(sessionHolder), 'api-key': statementFor(apiKeyHolder) }
  return (values) => async (db, credentials) => {
    const rows = await statements[credentials.kind](db, {
      ...values,
      tokenHash: hashToken(credentials.value),
    })
    const [first, ...rest] = rows
    if (first === undefined) return null
    const actor = credentials.kind === 'session' ? await actorOfSession(db, first) : actorOfApiKey(first)
    return { actor, found: read([first, ...rest], values) }
  }
}

type Holders = typeof sessionHolder | typeof apiKeyHolder
type FromHolder = ReturnType<typeof fromHolder>

function fromHolder(db: Queryable, holder: Holders, tokenHash: RawBuilder<Buffer>) {
  return db.with('holder', (cte) => (holder as typeof sessionHolder)(cte as Queryable, tokenHash))
}
