/** What a rebuild leaves while it is not finished: nothing that stands in its own way, and no open door. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { assertEmptyDatabase } from '../../../src/database/backups/load-backup.ts'
import { isAppError } from '../../../src/errors.ts'
import { beginCatalogueAdoption } from '../../../src/library/catalogue/adoption/adopt-catalogue.ts'
import { beginRebuild, isRebuildUnderWay } from '../../../src/library/catalogue/adoption/rebuild.ts'
import { serverConfig } from '../../../src/library/server/server-info.ts'
import { signUpAdmin } from '../../../src/library/users/users.ts'
import { silentLog } from '../../../src/log.ts'
import { emptyDatabase } from '../../support/postgres.ts'
import { ANNA, openInstallation } from './support.ts'

test('nobody signs up as the administrator of what is being rebuilt', async (t) => {
  const one = await openInstallation(t)
  await beginCatalogueAdoption(one.db, { isRebuild: true, isFresh: true, trashDeleted: false })
  await assert.rejects(
    signUpAdmin(one.db, ANNA),
    (error) => isAppError(error, 'conflict') && /being rebuilt.*glassine catalogue adopt/.test(error.message),
  )
  assert.equal((await serverConfig(one.db)).isInitialized, true)
  // It is over, and has brought nobody back.
  await one.adopt()
  assert.equal((await serverConfig(one.db)).isInitialized, false)
  assert.equal((await signUpAdmin(one.db, ANNA)).isAdmin, true)
})

test('a rebuild that ends at its beginning leaves a database that the next one can use', async (t) => {
  const { db, pool } = await emptyDatabase(t)
  assert.equal(await isRebuildUnderWay(pool), false)
  // As any error or kill after the tables were made.
  await assert.rejects(beginRebuild(pool, 'no id', silentLog))
  await assertEmptyDatabase(pool)
  const installation = randomUUID()
  await beginRebuild(pool, installation, silentLog)
  assert.equal(await isRebuildUnderWay(pool), true)
  const { rows } = await pool.query('select id from installation')
  assert.deepEqual(rows, [{ id: installation }])
  const jobs = await pool.query(
    `select task_identifier from graphile_worker.jobs where task_identifier = 'adopt-catalogue'`,
  )
  assert.equal(jobs.rowCount, 1)
  await assert.rejects(signUpAdmin(db, ANNA), /being rebuilt/)
  await assert.rejects(beginRebuild(pool, installation, silentLog), /There is an installation/)
})
