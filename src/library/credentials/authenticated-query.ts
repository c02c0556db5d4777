/**
 * Reads the actor and the target of a request in one statement instead of several in a row: one round trip,
 * and one consistent snapshot. It decides nothing: the caller checks by the rows whether the actor may have
 * the target.
 */
import type { Compilable, Expression, RawBuilder } from 'kysely'
import type { Database, Queryable } from '../../database/connect.ts'
import { compileOnce, type ValueOf } from '../../database/statements/compile-once.ts'
import type { Actor, Holder } from '../access.ts'
import { actorOfApiKey, apiKeyHolder } from './api-keys.ts'
import { actorOfSession, sessionHolder } from './sessions.ts'
import { hashToken } from './tokens.ts'

export type Credentials = { kind: 'session' | 'api-key'; value: string }
/** Who asks, and what was found for them. */
export type Authenticated<Found> = { actor: Actor; found: Found }

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
 * A statement, and one for API keys alike, that `build` begins from `holder`, the row that the credentials
 * lead to, and that selects `HOLDER_COLUMNS` of it; with left joins alone, so that its row is there whatever
 * else is. What it returns runs it: null where the credentials are nobody's, else all rows.
 */
export function compileForHolder<Values extends Record<string, unknown>, Row extends Holder>(
  build: (db: WithHolder, value: ValueOf<Values>) => Compilable<Row>,
): (
  db: Database,
  credentials: Credentials,
  values: Values,
) => Promise<Authenticated<readonly [Row, ...Row[]]> | null> {
  type All = Values & { tokenHash: Buffer }
  const ofSession = compileOnce<All, Row>((db, value) =>
    build(withHolder(db, sessionHolder, value('tokenHash')), value),
  )
  const ofApiKey = compileOnce<All, Row>((db, value) =>
    build(withHolder(db, apiKeyHolder, value('tokenHash')), value),
  )
  return async (db, { kind, value }, values) => {
    const all = { ...values, tokenHash: hashToken(value) }
    const [first, ...rest] = await (kind === 'session' ? ofSession(db, all) : ofApiKey(db, all))
    if (first === undefined) return null
    const actor = kind === 'session' ? await actorOfSession(db, first) : actorOfApiKey(first)
    return { actor, found: [first, ...rest] }
  }
}

type WithHolder = ReturnType<typeof withHolder>

function withHolder(
  db: Queryable,
  holder: (db: Queryable, tokenHash: RawBuilder<Buffer>) => Expression<Holder>,
  tokenHash: RawBuilder<Buffer>,
) {
  return db.with('holder', (cte) => holder(cte as Queryable, tokenHash))
}
