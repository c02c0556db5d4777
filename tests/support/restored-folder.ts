/**
 * A backup of the data folder, PostgreSQL and media together, taken while the server is stopped; and its
 * restore.
 */
import { execFile } from 'node:child_process'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ServerWithBucket } from './server-with-bucket.ts'

const run = promisify(execFile)

const backupOf = (site: Pick<ServerWithBucket, 'folder'>) => join(site.folder, 'backup')

/** Stops the server, copies, and starts it again. */
export async function backUp(site: ServerWithBucket): Promise<void> {
  await site.server.stop()
  // Owners, modes and times as well: PostgreSQL does not start without.
  await run('cp', ['-a', site.dataDir, backupOf(site)])
  await site.start()
}

/** Stops the server and puts the backup in the place of its data folder; the bucket is as it is. */
export async function putBack(site: ServerWithBucket): Promise<void> {
  await site.server.stop()
  await rm(site.dataDir, { recursive: true, force: true })
  await rename(backupOf(site), site.dataDir)
}
