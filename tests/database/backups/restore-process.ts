/** Restores the backup in FILE into the database URL, and says each table that it begins; to be killed. */
import { createReadStream } from 'node:fs'
import pg from 'pg'
import { loadBackup } from '../../../src/database/backups/load-backup.ts'
import { JOBS_SECTION } from '../../../src/queue/backup-jobs.ts'

const [file, url] = process.argv.slice(2)
const pool = new pg.Pool({ connectionString: url! })
pool.on('error', () => undefined)
await loadBackup(pool, createReadStream(file!), {
  sections: [JOBS_SECTION],
  onTable: (name) => process.stdout.write(`${name}\n`),
})
process.stdout.write('done\n')
await pool.end()
