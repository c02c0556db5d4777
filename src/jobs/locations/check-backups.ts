import { isBackupDue } from '../../placement/backups/due.ts'
import { applyRetention } from '../../placement/backups/retention.ts'
import { enqueue } from '../../queue/enqueue.ts'
import type { JobHandlers } from '../../queue/worker/worker.ts'
import type { JobParts } from '../parts.ts'

/** Has the next backup made when its time has come, and those removed that are one too many. */
export function checkBackupsJob({ db, placement, log }: JobParts): JobHandlers['check-backups'] {
  return async () => {
    if (placement.backups === null) return
    if (await isBackupDue(placement)) await enqueue(db, 'back-up-database', {}, { onlyIfNone: true })
    const removed = await applyRetention(placement)
    if (removed > 0) log.info({ backups: removed }, 'backups that newer ones stand for are removed')
  }
}
