/** Whose uploads go where first: one strategy for all, and another one that is tried with some of them. */
import { createHash } from 'node:crypto'
import type { UploadStrategy } from '../../config.ts'
import type { Database } from '../../database/connect.ts'
import type { Log } from '../../log.ts'
import type { Actor } from '../access.ts'

export type UploadRules = {
  upload: { strategy: UploadStrategy }
  /**
   * Null: all users have the same. `percent` of the users by their id, and those whose e-mail address is
   * named.
   */
  rollout: { strategy: UploadStrategy; percent: number; users: readonly string[] } | null
}

export const ALL_LOCAL_FIRST: UploadRules = { upload: { strategy: 'local-first' }, rollout: null }

/**
 * The strategy of one user. The share is told from the id alone, so that a user who has the new strategy at
 * 10 percent has it at 20, too, on every pod and after every start.
 */
export function strategyFor(
  { upload, rollout }: UploadRules,
  user: Pick<Actor, 'userId' | 'email'>,
): UploadStrategy {
  return rollout !== null && isChosen(rollout, user) ? rollout.strategy : upload.strategy
}

/** Whether a rollout is tried with this user. */
export function isChosen(
  { percent, users }: { percent: number; users: readonly string[] },
  user: Pick<Actor, 'userId' | 'email'>,
): boolean {
  const isNamed = users.some((email) => email.toLowerCase() === user.email.toLowerCase())
  return isNamed || shareOf(user.userId) < percent
}

/** From 0 to less than 100, evenly spread over users. */
function shareOf(userId: string): number {
  return (createHash('sha256').update(userId).digest().readUInt32BE() / 2 ** 32) * 100
}

/**
 * Who gets what: no addresses. `chosenUsers` of all `users` have the strategy of the rollout, by their share
 * or by name.
 */
export type UploadRulesInUse = {
  strategy: UploadStrategy
  rollout: {
    strategy: UploadStrategy
    percent: number
    namedUsers: number
    chosenUsers: number
    users: number
  } | null
}

export async function describeRules(db: Database, rules: UploadRules): Promise<UploadRulesInUse> {
  const { upload, rollout } = rules
  if (rollout === null) return { strategy: upload.strategy, rollout: null }
  const users = await livingUsers(db)
  return {
    strategy: upload.strategy,
    rollout: {
      strategy: rollout.strategy,
      percent: rollout.percent,
      namedUsers: rollout.users.length,
      chosenUsers: users.filter((user) => isChosen(rollout, user)).length,
      users: users.length,
    },
  }
}

function livingUsers(db: Database): Promise<Pick<Actor, 'userId' | 'email'>[]> {
  return db.selectFrom('app_user').select(['id as userId', 'email']).where('deleted_at', 'is', null).execute()
}

/** Says at start who gets what, and which of the named users are not there. */
export async function logUploadRules(db: Database, log: Log, rules: UploadRules): Promise<void> {
  const { rollout } = rules
  if (rollout === null) {
    // What everybody expects is not worth a line.
    if (rules.upload.strategy !== ALL_LOCAL_FIRST.upload.strategy)
      log.info({ strategy: rules.upload.strategy }, 'uploads: all users have the same strategy')
    return
  }
  const inUse = await describeRules(db, rules)
  const { chosenUsers, users } = inUse.rollout!
  log.info(
    inUse,
    `uploads: ${rollout.strategy} for ${chosenUsers} of ${users} users, ${rules.upload.strategy} for the rest`,
  )
  const known = new Set((await livingUsers(db)).map(({ email }) => email.toLowerCase()))
  const unknown = rollout.users.filter((email) => !known.has(email.toLowerCase()))
  if (unknown.length > 0) {
    log.warn({ unknown: unknown.length }, 'storage.rollout.users: some addresses belong to no user')
  }
}
