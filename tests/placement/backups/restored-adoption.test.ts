/** A backup that was made while a catalogue was taken over does not go on with that after it is restored. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { keyIn, readKeyFile } from '../../../src/database/backups/key-file.ts'
import { recipientOf } from '../../../src/database/backups/seal.ts'
import { beginCatalogueAdoption } from '../../../src/library/catalogue/adoption/adopt-catalogue.ts'
import { silentLog } from '../../../src/log.ts'
import { DEFAULT_KEEP } from '../../../src/placement/backup-settings.ts'
import { chooseBackup } from '../../../src/placement/backups/choose-backup.ts'
import { backUpDatabase } from '../../../src/placement/backups/make-backup.ts'
import { restoreInstallation } from '../../../src/placement/backups/restore-installation.ts'
import { forgetCatalogueAdoption } from '../../../src/placement/catalogue/adoption-state.ts'
import { replicateObject } from '../../../src/placement/lifecycle/replicate.ts'
import { openMemoryBackend } from '../../../src/storage/memory/memory.ts'
import { locationOfBackend, testPlacement } from '../../support/placement.ts'
import { emptyDatabase, testDatabase } from '../../support/postgres.ts'

test('a restore forgets what the backed up database was bringing back, and with which options', async (t) => {
  const database = await testDatabase()
  const folder = await mkdtemp(join(tmpdir(), 'glassine-adoption-'))
  const keyFile = join(folder, 'backup-key.txt')
  const backups = { pool: database.pool, keyFile, everyMs: 86_400_000, keep: DEFAULT_KEEP }
  const { placement, close } = await testPlacement(database.db, { backupsAt: ['s3'], backups })
  t.after(async () => {
    await close()
    await rm(folder, { recursive: true })
    await database.drop()
  })
  await beginCatalogueAdoption(database.db, { isRebuild: false, isFresh: true, trashDeleted: true })
  const objectId = await backUpDatabase(placement)
  assert.ok(objectId)
  await replicateObject(placement, { objectId, to: 's3' })

  const identity = keyIn((await readKeyFile(keyFile))!)
  const location = placement.locations.get('s3')!
  const target = await emptyDatabase(t)
  await restoreInstallation({
    dataDir: join(folder, 'new-machine'),
    local: locationOfBackend('local', 'memory', openMemoryBackend()),
    location,
    chosen: await chooseBackup(location, identity, undefined),
    key: { identity, recipient: await recipientOf(identity) },
    withEmpty: (use) => use(target.pool),
    beforeCommit: forgetCatalogueAdoption,
    log: silentLog,
    onProgress: () => undefined,
  })
  const { rows } = await target.pool.query('select adoption from catalogue_state')
  assert.deepEqual(rows, [{ adoption: null }])
})
