/** The database is backed up, and brought back on a machine that has none. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { backUpNow } from '../../../../src/cli/backups/now.ts'
import { restoreFromBackup } from '../../../../src/cli/backups/restore.ts'
import { adoptFromCli } from '../../../../src/cli/storage/adopt.ts'
import { readKeyFile } from '../../../../src/database/backups/key-file.ts'
import { connectDatabase } from '../../../../src/database/connect.ts'
import { isSetUp } from '../../../../src/database/migrate.ts'
import { silentLog } from '../../../../src/log.ts'
import { knownBackups } from '../../../../src/placement/backups/backup-rows.ts'
import { findBackups, peekAt } from '../../../../src/placement/backups/found-backups.ts'
import { applyRetention } from '../../../../src/placement/backups/retention.ts'
import { confirmLocation } from '../../../../src/placement/locations/locations.ts'
import { enqueue } from '../../../../src/queue/enqueue.ts'
import type { Around, Given, Scenario } from '../scenario.ts'
import { BUCKET, keyFileOf, openSite, type SiteSetup } from '../site.ts'
import { workOffWell } from '../work-off.ts'
import { commandLineOf } from './command-line.ts'
import { acknowledgedObject, SMALL_BYTES, settle } from './files.ts'

/**
 * A file in the bucket, and a backup of the day before that knows it. No asset: its pictures would be on the
 * lost disk alone, and are made again when somebody asks for them.
 */
async function prepareBackup(around: Around): Promise<void> {
  const { site } = around
  await acknowledgedObject(around, SMALL_BYTES)
  await enqueue(site.db, 'back-up-database', {})
  await settle(around)
  await sql`update database_backup set taken_at = taken_at - interval '2 days'`.execute(site.db)
}

/** Whatever was cut: a whole backup is in the bucket, which the key opens. */
async function assertBackupInBucket({ site }: Pick<Around, 'site'>): Promise<void> {
  const location = site.placement.locations.get(BUCKET)!
  const found = await findBackups(location)
  const identity = await readKeyFile(keyFileOf(site.setup))
  assert.ok(found.length > 0 && identity !== null, 'a backup and its key are there')
  for (const backup of found) assert.ok((await peekAt(location, backup, identity)).tables.length > 0)
}

const backUp: Scenario = {
  name: 'backup',
  role: 'worker',
  async prepare(around) {
    await prepareBackup(around)
    await enqueue(around.site.db, 'back-up-database', {})
    return {}
  },
  async run(site, { mediaTools }) {
    const names = ['back-up-database', 'replicate-object', 'evict-replica'] as const
    await workOffWell(site, mediaTools, { names, isTimeOver: true })
    // The one of the day before is one too many now.
    await applyRetention(site.placement)
    await workOffWell(site, mediaTools, { names: ['purge-object'] })
  },
  async check(around) {
    await assertBackupInBucket(around)
    const backups = await knownBackups(around.site.db)
    assert.ok(backups.some(({ at }) => at.some(({ locationId }) => locationId === BUCKET)))
  },
}

const backUpByCommand: Scenario = {
  name: 'backup-now',
  role: 'command',
  async prepare(around) {
    await prepareBackup(around)
    return {}
  },
  async runAlone({ setup, mediaTools }) {
    await backUpNow(commandLineOf(setup, mediaTools))
  },
  check: assertBackupInBucket,
}

/** The machine that the backup is brought back to: another folder, another database. */
function newMachine(setup: SiteSetup, { databaseUrl, folder }: Given): SiteSetup {
  return { ...setup, databaseUrl: databaseUrl!, folder: folder! }
}

const restore: Scenario = {
  name: 'restore',
  role: 'command',
  async prepare(around) {
    await prepareBackup(around)
    const { setup } = around.site
    // The old machine starts once more, which advances the counters: by this the new one learns that there is
    // more than its backup knows, were it only that backup.
    const restarted = await openSite(setup)
    // On a machine that is busy, the start does not wait for it.
    await confirmLocation(restarted.placement, restarted.placement.locations.get(BUCKET)!)
    await restarted.close()
    await copyFile(keyFileOf(setup), join(setup.folder, 'written-down.txt'))
    return {
      databaseUrl: await around.emptyDatabase(),
      folder: join(setup.folder, 'new-machine'),
      keyFile: join(setup.folder, 'written-down.txt'),
    }
  },
  async runAlone({ setup, given, mediaTools }) {
    await restoreFromBackup(commandLineOf(newMachine(setup, given), mediaTools), {
      from: BUCKET,
      keyFile: given.keyFile!,
      yes: true,
      adopt: true,
    })
  },
  async takeUp({ setup, given, mediaTools }) {
    const machine = newMachine(setup, given)
    const context = commandLineOf(machine, mediaTools)
    const { pool } = connectDatabase(machine.databaseUrl, silentLog)
    const isThere = await isSetUp(pool)
    await pool.end()
    if (!isThere)
      await restoreFromBackup(context, { from: BUCKET, keyFile: given.keyFile!, yes: true, adopt: true })
    else for (const id of ['local', BUCKET]) await adoptFromCli(context, id, { yes: true })
    return machine
  },
  check: assertBackupInBucket,
}

export const BACKUPS: Scenario[] = [backUp, backUpByCommand, restore]
