import { backUpDatabase } from '../../placement/backups/make-backup.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

export function backUpDatabaseJob({
  placement,
  log,
  announceStorage,
}: JobParts): JobHandlers['back-up-database'] {
  return async (_payload, { signal }) => {
    const objectId = await backUpDatabase(placement, signal)
    log.info({ objectId }, 'a backup of the database was made')
    await announceStorage()
  }
}
