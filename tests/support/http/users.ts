/**
 * Users whose passwords are hashed at the least cost that there is, which their rows say, as they would after
 * a change of the settings: a hash at the cost of the product takes 0.15 s of CPU, and so does each log-in.
 */
import { randomBytes, scryptSync } from 'node:crypto'
import type { Database } from '../../../src/database/connect.ts'
import { insertUser, type NewUser, type OwnUserView } from '../../../src/library/users/users.ts'

const COST = { N: 2, r: 1, p: 1 }

/** As `createUser` of the product. The password can be changed and logged in with as any other. */
export function createTestUser(db: Database, { password, ...user }: NewUser): Promise<OwnUserView> {
  const salt = randomBytes(16)
  const key = scryptSync(password.normalize('NFKC'), salt, 32, COST)
  const parts = ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), key.toString('base64')]
  return db.transaction().execute((tx) => insertUser(tx, user, parts.join('$')))
}
