/**
 * What makes or changes a credential, and the rule that it never becomes stronger than the one that asks: it
 * may not do more, and does not live longer. A log-in (a session that a password began) is the strongest;
 * sessions of devices and API keys are less.
 */
import type { Queryable, Tx } from '../../database/connect.ts'
import { AppError } from '../../errors.ts'
import type { Actor } from '../access.ts'

/**
 * The actor as it is now, whose credential can't end or be narrowed before the transaction is over: what is
 * made with it is either made before its end, or not at all. One such transaction of a user at a time.
 * @throws AppError unauthenticated where the credential has ended meanwhile
 */
export async function holdCredential(tx: Tx, actor: Actor): Promise<Actor> {
  const user = await tx
    .selectFrom('app_user')
    .select('is_admin')
    .where('id', '=', actor.userId)
    .where('deleted_at', 'is', null)
    .forNoKeyUpdate()
    .executeTakeFirst()
  if (user === undefined) throw ended(actor)
  const now = { ...actor, isAdmin: user.is_admin }
  if (actor.apiKey === null) {
    const session = await tx
      .selectFrom('session')
      .select('id')
      .where('id', '=', actor.sessionId)
      .forKeyShare()
      .executeTakeFirst()
    if (session === undefined) throw ended(actor)
    return now
  }
  const key = await tx
    .selectFrom('api_key')
    .select(['id', 'permissions'])
    .where('id', '=', actor.apiKey.id)
    .forShare()
    .executeTakeFirst()
  if (key === undefined) throw ended(actor)
  return { ...now, apiKey: key }
}

/**
 * Demands the session of somebody who logged in. `what` completes "Log in to ...".
 * @throws AppError forbidden for an API key, and for a session that was made for a device
 */
export async function requireLogin(db: Queryable, actor: Actor, what: string): Promise<void> {
  if (actor.sessionId !== null) {
    const row = await db
      .selectFrom('session')
      .select('parent_id')
      .where('id', '=', actor.sessionId)
      .executeTakeFirst()
    if (row?.parent_id === null) return
  }
  const refused = actor.apiKey === null ? "a session that was made for a device can't" : "an API key can't"
  throw new AppError('forbidden', `Log in to ${what}: ${refused}`)
}

function ended({ apiKey }: Actor): AppError {
  return new AppError('unauthenticated', apiKey === null ? 'Invalid user token' : 'Invalid API key')
}
