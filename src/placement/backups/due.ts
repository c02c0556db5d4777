import { loadInstallation } from '../../database/backups/installation.ts'
import type { Placement } from '../placement.ts'
import { ownBackups } from './backup-rows.ts'
import { requireBackups } from './recipient.ts'

/** After the first start: by then somebody has made an account, and has seen the page. */
const FIRST_AFTER_MS = 10 * 60_000
/** A backup that is further ahead than this was made while a clock was wrong. */
export const CLOCK_SLACK_MS = 5 * 60_000

/** Whether the time of the next backup has come. */
export async function isBackupDue(placement: Placement): Promise<boolean> {
  const { everyMs } = requireBackups(placement)
  if (everyMs === 0) return false
  const now = placement.now().getTime()
  const [newest] = await ownBackups(placement.db)
  const since = newest?.takenAt ?? (await loadInstallation(placement.db)).createdAt
  const ageMs = now - since.getTime()
  return ageMs < -CLOCK_SLACK_MS || ageMs >= (newest ? everyMs : Math.min(FIRST_AFTER_MS, everyMs))
}
